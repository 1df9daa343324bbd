"""Tables, sessions and the revision that carries changes to running servers."""
