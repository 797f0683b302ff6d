"""Vocoders: frames to waveform, and what judges a waveform in training."""
