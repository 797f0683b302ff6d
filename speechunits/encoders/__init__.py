"""Frames to Hidden. An encoder has ``dim_in``, ``dim`` and ``depth``; ``forward(x: Seq, cond=None, state=None) -> Hidden``."""
