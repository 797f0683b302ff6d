"""One audio to other audios of the same length: ``forward(audio: Seq, draws) -> Seq``."""
