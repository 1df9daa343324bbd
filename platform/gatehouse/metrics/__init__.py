"""What is counted and measured of a running deployment, for whoever watches it."""
