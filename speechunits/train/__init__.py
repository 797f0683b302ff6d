"""Training: the only door to lightning and to the trackers."""
