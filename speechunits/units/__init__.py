"""Discrete units: what they are, how audio becomes them, how they are shortened and restored."""
