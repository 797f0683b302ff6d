"""What a batch can hold."""

from speechunits.data.fields.audio_field import AudioField
from speechunits.data.fields.cut_field import CutField
from speechunits.data.fields.durations_field import DurationsField
from speechunits.data.fields.features_field import FeaturesField
from speechunits.data.fields.label_field import LabelField
from speechunits.data.fields.phone_field import PhoneField
from speechunits.data.fields.reduced_units_field import ReducedUnitsField
from speechunits.data.fields.speaker_field import SpeakerField
from speechunits.data.fields.stacked_units_field import StackedUnitsField
from speechunits.data.fields.text_field import TextField
from speechunits.data.fields.units_field import UnitsField
from speechunits.data.fields.voice_field import VoiceField

__all__ = [
    "AudioField",
    "CutField",
    "DurationsField",
    "FeaturesField",
    "LabelField",
    "PhoneField",
    "ReducedUnitsField",
    "SpeakerField",
    "StackedUnitsField",
    "TextField",
    "UnitsField",
    "VoiceField",
]
