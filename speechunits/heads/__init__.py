"""Frames to scores. Built with ``dim`` (of the frames) and ``vocab`` (codes per codebook) from their objective."""
