"""StoredFrames: rows of an array that was stored with a cut, one for each frame of it. The only place that reads them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from lhotse.array import TemporalArray
from lhotse.audio import Recording
from lhotse.cut import Cut
from lhotse.features.io import get_reader

from speechunits.data.segments import WINDOW
from speechunits.errors import UserError

SHORT = 2  # rows that may be missing at the end: a 25 ms window at a 20 ms hop loses one, at 10 ms two


@dataclass(frozen=True)
class StoredFrames:
    """The array under ``cut.custom[key]``.

    Args:
        key: see above. hop: seconds per row.
        kind: what is stored ("units"), and rows: what its rows are called ("labels"), for errors.
        or_else: what else helps where the speed of a cut was changed, for errors.
        aligned: rows and audio share a time line; else the array is read whole.
        speed: what happens where the speed of a cut was changed after its array was stored. "refuse": an error. "nearest":
            each frame takes the row whose frame lay nearest to it in the unchanged audio.
    """

    key: str
    hop: Fraction | None
    kind: str = "units"
    rows: str = "labels"
    or_else: str = ""
    aligned: bool = True
    speed: Literal["refuse", "nearest"] = "refuse"

    def load(self, cut: Cut) -> np.ndarray:
        """(T, ...), one row for each frame of the cut.

        Raises:
            UserError: there is no array, it cannot be read, or it is of other audio.
        """
        what = f"{self.key} of the cut {cut.id}"
        array = (getattr(cut, "custom", None) or {}).get(self.key)
        if not isinstance(array, TemporalArray):
            raise UserError(f"there are no {what}; extract {self.kind} for every cut of the manifest")
        rows = self._rows(cut, array) if self.aligned else np.arange(array.num_frames)
        left, right = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
        try:
            reader = get_reader(array.array.storage_type)(array.array.storage_path)
            found = np.asarray(reader.read(array.array.storage_key, left, right))
            if len(found) < right - left:
                raise ValueError(f"{array.array.storage_path} was cut off")
            return found[rows - left]
        except (OSError, ValueError) as error:
            raise UserError(f"{what} cannot be read ({error}); extract the {self.kind} again") from error

    def _rows(self, cut: Cut, array: TemporalArray) -> np.ndarray:
        """(T,) number of the row of every frame of the cut, exact in frames.

        One row more than the recording has frames is dropped (some frontends round up), more is an error.
        """
        assert self.hop is not None
        what, hop = f"{self.key} of the cut {cut.id}", self.hop
        if abs(array.frame_shift - float(hop)) > 1e-6:
            raise UserError(f"{what} have a hop of {array.frame_shift} s, the manifest says {hop} s; extract again")
        speed = self._speed(cut)
        in_recording = frames(cut.recording.duration * speed - array.start, hop)
        if array.num_frames > in_recording + 1:
            raise UserError(
                f"{what} are {array.num_frames} {self.rows}, but its recording has {in_recording} frames of {hop} s; "
                "they belong to other audio, extract them again"
            )
        centres = cut.start + float(WINDOW / 2) + float(hop) * np.arange(frames(cut.duration, hop))
        places = (centres * speed - float(WINDOW / 2) - array.start) / float(hop)
        wanted = np.rint(places).astype(np.int64)
        if speed == 1 and len(wanted) and (wanted[0] < 0 or abs(places[0] - wanted[0]) > 0.05):
            raise UserError(
                f"the cut {cut.id} starts {places[0]:.2f} {self.rows} after its {self.key}, which is not a whole number of "
                f"{self.rows}; cut on their grid or extract {self.kind} from these cuts"
            )
        rows = wanted[(wanted >= 0) & (wanted < array.num_frames)]
        if len(rows) < len(wanted) - (SHORT if speed == 1 else 2 * SHORT):
            raise UserError(
                f"{what} are {len(rows)} {self.rows}, but it has {len(wanted)} frames of {hop} s; "
                "they belong to other audio, extract them again"
            )
        return rows

    def _speed(self, cut: Cut) -> float:
        """How much faster the cut is than the audio that its array was stored for."""
        then = cut.custom.get(f"{self.key}_speed", "").split()
        now = changes_of_speed(cut.recording).split()
        if now == then:
            return 1.0
        if self.speed == "refuse" or now[: len(then)] != then:
            raise UserError(
                f"the speed or tempo of the cut {cut.id} was changed after {self.key} were stored, so they no longer fit; "
                f"extract {self.kind} from the changed cuts{self.or_else}"
            )
        return float(np.prod([float(factor) for factor in now[len(then) + 1 :: 2]]))


def frames(seconds: float, hop: Fraction) -> int:
    """Whole hops in ``seconds``; a millionth of a hop short of one more counts as one more."""
    return int(np.floor(seconds / float(hop) + 1e-6))


def changes_of_speed(recording: Recording) -> str:
    """Every change of speed or tempo made to a recording, as "Speed 1.1"; empty if there is none."""
    changes = [t if isinstance(t, dict) else t.to_dict() for t in recording.transforms or []]
    return " ".join(f"{t['name']} {t['kwargs']['factor']}" for t in changes if t["name"] in ("Speed", "Tempo"))
