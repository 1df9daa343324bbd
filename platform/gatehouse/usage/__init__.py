"""What was answered, counted exactly."""
