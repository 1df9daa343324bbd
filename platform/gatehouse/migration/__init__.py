"""Where an endpoint stands in its life."""
