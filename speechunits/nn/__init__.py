"""Bricks: attention, transformer layers, positions, gradients. Seq and torch only."""
