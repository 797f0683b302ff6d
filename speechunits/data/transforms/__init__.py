"""What may happen to a cut before its fields are read."""

from speechunits.data.transforms.crop import Crop

__all__ = ["Crop"]
