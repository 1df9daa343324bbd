"""`/admin`: what operators do from the shell, over HTTP."""
