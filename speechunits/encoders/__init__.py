"""Frames to Hidden. An encoder has ``dim_in``, ``dim`` and ``depth``. ``forward(x: Seq, cond, state) -> Hidden``."""
