"""Waveform to frames. A frontend has ``dim``, ``hop`` and ``frames(lengths)``; ``forward(audio: Seq) -> Seq``."""
