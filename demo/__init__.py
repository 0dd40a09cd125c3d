"""The demo: a good prompt is promoted and a bad one rolled back, on a real cluster."""
