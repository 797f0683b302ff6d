"""One audio to other audios, of the same length but for ``Excerpt``: ``forward(audio: Seq, draws) -> Seq``."""
