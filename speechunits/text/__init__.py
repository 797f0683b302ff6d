"""Text to symbols and back. A tokenizer has ``stream``, ``encode(text) -> (N,) ids`` and ``decode(ids) -> text``."""
