"""Read an answer and the truth, count: ``counts(frames, batch)`` before a pass, ``forward(passes, batch) -> Terms``."""
