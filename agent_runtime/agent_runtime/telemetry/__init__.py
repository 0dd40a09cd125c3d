"""What the pod tells about itself: counters, gauges, logs."""
