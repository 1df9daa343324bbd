"""What one process holds of each room, put together from settings; the composition root joins it."""
