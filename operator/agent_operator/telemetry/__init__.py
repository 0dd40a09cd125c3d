"""What the operator tells about itself: log lines, metrics, health."""
