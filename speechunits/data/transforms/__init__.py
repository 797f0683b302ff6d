"""What may happen to a cut before its fields are read."""

from speechunits.data.transforms.crop import Crop
from speechunits.data.transforms.noise import Noise
from speechunits.data.transforms.reverberation import Reverberation
from speechunits.data.transforms.speed import Speed

__all__ = ["Crop", "Noise", "Reverberation", "Speed"]
