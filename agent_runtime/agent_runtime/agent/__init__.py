"""The agent itself: prompt, models in layers, the retry owner."""
