"""Nouns: YAML fragments and systems. A package, so that an installed wheel finds them with `importlib.resources`."""
