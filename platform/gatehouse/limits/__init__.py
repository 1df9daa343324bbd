"""May they call now."""
