"""speechunits: learn, extract, evaluate and use self-supervised discrete speech units."""

__version__ = "0.1.0"
