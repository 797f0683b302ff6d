"""A cut whose audio lhotse alters as it is read; times and labels stay."""

from __future__ import annotations

from lhotse.augmentation import AudioTransform
from lhotse.cut import Cut, MixedCut
from lhotse.utils import fastcopy

from speechunits.errors import UserError


def altered(cut: Cut, how: AudioTransform) -> Cut:
    """``cut`` with one change more to its recording, after those that it has.

    Raises:
        UserError: the cut is a mixture, or has no recording.
    """
    if isinstance(cut, MixedCut) or not cut.has_recording:
        raise UserError(
            f"the cut {cut.id} is {'a mixture of several' if isinstance(cut, MixedCut) else 'without a recording'}; "
            "noise, rooms and speed go with cuts of one recording: leave the transform out or save the mixture as audio"
        )
    recording = fastcopy(cut.recording, transforms=[*(cut.recording.transforms or []), how])
    return fastcopy(cut, recording=recording)
