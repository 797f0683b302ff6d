"""UnitsField: stored codes of a cut. The only place that reads them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from lhotse.array import TemporalArray
from lhotse.audio import Recording
from lhotse.cut import Cut
from lhotse.features.io import get_reader
from torch import Tensor

from speechunits.data.segments import WINDOW
from speechunits.errors import UserError
from speechunits.seq import Seq, pad
from speechunits.stream import Stream

if TYPE_CHECKING:
    from speechunits.data.cuts import Cuts

SHORT = 2  # labels that may be missing at the end: a 25 ms window at a 20 ms hop loses one, at 10 ms two
LOOKED_AT = 16  # cuts whose labels are looked at before training


@dataclass(frozen=True)
class UnitsField:
    """Codes stored under ``cut.custom[key]``: (T,), or (T, K) of several codebooks, int64; batches are Seq.

    Args:
        key: name in the cut's ``custom`` and in the manifest's ``.meta.json``.
        hop: what the labels must have, as "1/50"; None takes what the manifest says.
        vocab: likewise, codes per codebook.
        fingerprint: likewise, of the tokenizer that made them.
        aligned: labels and audio share a time line. False for units of another utterance (``target_units``): they are
            read whole.
        speed: what happens where the speed of a cut was changed after its labels were stored. "refuse": an error.
            "nearest": each frame takes the label whose frame lay nearest to it in the unchanged audio.
        stream: what the manifest says; ``bind`` sets it.
    """

    key: str = "units"
    hop: str | None = None
    vocab: tuple[int, ...] | None = None
    fingerprint: str | None = None
    aligned: bool = True
    speed: Literal["refuse", "nearest"] = "refuse"
    stream: Stream | None = None

    @property
    def grid(self) -> Fraction | None:
        return self.stream.hop if self.stream and self.aligned else None

    @property
    def whole(self) -> bool:
        return not self.aligned

    @property
    def warps(self) -> bool:
        return not self.aligned or self.speed == "nearest"

    def bind(self, cuts: Cuts) -> UnitsField:
        where = ", ".join(map(str, cuts.paths))
        found = cuts.streams.get(self.key)
        if found is None:
            there = ", ".join(cuts.streams) or "none"
            raise UserError(f"{where} has no stored codes {self.key} (it has {there}); extract units or correct `key`")
        asked = {
            "hop": (found.hop, self.hop and Fraction(self.hop)),
            "vocab": (found.vocab, self.vocab and tuple(self.vocab)),
            "fingerprint": (found.fingerprint, self.fingerprint),
        }
        for name, (have, want) in asked.items():
            if want is not None and want != have:
                raise UserError(
                    f"{where}: {name} of {self.key} is {have}, not {want}; extract again or correct `{name}`"
                )
        if self.aligned and found.hop is None:
            raise UserError(f"{where}: {self.key} have no hop, so they cannot follow the audio; set aligned: false")
        bound = replace(self, stream=found)
        if len(cuts) > 1:
            bound._refuse_constant(cuts, where)
        return bound

    def _refuse_constant(self, cuts: Cuts, where: str) -> None:
        """Constant labels train to a loss of 0, which looks like success (fairseq pull 4521: "costed me a month")."""
        rows = np.linspace(0, len(cuts) - 1, min(LOOKED_AT, len(cuts))).astype(int).tolist()
        codes = torch.cat([self.load(cuts[row]) for row in rows])
        if len(codes) > 1 and bool((codes == codes[0]).all()):
            raise UserError(f"{where}: all labels of {self.key} are {codes[0].tolist()}; extract the units again")

    def load(self, cut: Cut) -> Tensor:
        assert self.stream is not None, "bind the field to its cuts first"
        what = f"{self.key} of the cut {cut.id}"
        array = (getattr(cut, "custom", None) or {}).get(self.key)
        if not isinstance(array, TemporalArray):
            raise UserError(f"there are no {what}; extract units for every cut of the manifest")
        labels = self._labels(cut, array, self.stream.hop) if self.aligned else np.arange(array.num_frames)
        left, right = (int(labels[0]), int(labels[-1]) + 1) if len(labels) else (0, 0)
        try:
            reader = get_reader(array.array.storage_type)(array.array.storage_path)
            codes = np.asarray(reader.read(array.array.storage_key, left, right))
            if len(codes) < right - left:
                raise ValueError(f"{array.array.storage_path} was cut off")
            codes = codes[labels - left]
        except (OSError, ValueError) as error:
            raise UserError(f"{what} cannot be read ({error}); extract the units again") from error
        sizes = self.stream.vocab
        if codes.shape[1:] not in [(len(sizes),), *([()] if len(sizes) == 1 else [])]:
            raise UserError(f"{what} have shape {codes.shape} but {len(sizes)} codebook(s); extract the units again")
        if codes.size and (codes.min() < 0 or (codes >= np.array(sizes if codes.ndim > 1 else sizes[0])).any()):
            raise UserError(
                f"{what} run from {codes.min()} to {codes.max()}, outside the manifest's vocabulary {sizes}; "
                "extract the units again"
            )
        return torch.from_numpy(codes.astype(np.int64))

    def _labels(self, cut: Cut, array: TemporalArray, hop: Fraction | None) -> np.ndarray:
        """(T,) number of the label of every frame of the cut, exact in frames.

        One label more than the recording has frames is dropped (some frontends round up), more is an error.
        """
        assert hop is not None
        what = f"{self.key} of the cut {cut.id}"
        if abs(array.frame_shift - float(hop)) > 1e-6:
            raise UserError(f"{what} have a hop of {array.frame_shift} s, the manifest says {hop} s; extract again")
        speed = self._speed(cut)
        in_recording = frames(cut.recording.duration * speed - array.start, hop)
        if array.num_frames > in_recording + 1:
            raise UserError(
                f"{what} are {array.num_frames} labels, but its recording has {in_recording} frames of {hop} s; "
                "they belong to other audio, extract them again"
            )
        centres = cut.start + float(WINDOW / 2) + float(hop) * np.arange(frames(cut.duration, hop))
        places = (centres * speed - float(WINDOW / 2) - array.start) / float(hop)
        wanted = np.rint(places).astype(np.int64)
        if speed == 1 and len(wanted) and (wanted[0] < 0 or abs(places[0] - wanted[0]) > 0.05):
            raise UserError(
                f"the cut {cut.id} starts {places[0]:.2f} labels after its {self.key}, which is not a whole number of "
                "labels; cut on their grid or extract units from these cuts"
            )
        labels = wanted[(wanted >= 0) & (wanted < array.num_frames)]
        if len(labels) < len(wanted) - (SHORT if speed == 1 else 2 * SHORT):
            raise UserError(
                f"{what} are {len(labels)} labels, but it has {len(wanted)} frames of {hop} s; "
                "they belong to other audio, extract them again"
            )
        return labels

    def _speed(self, cut: Cut) -> float:
        """How much faster the cut is than the audio that its labels were stored for."""
        then = cut.custom.get(f"{self.key}_speed", "").split()
        now = changes_of_speed(cut.recording).split()
        if now == then:
            return 1.0
        if self.speed == "refuse" or now[: len(then)] != then:
            raise UserError(
                f"the speed or tempo of the cut {cut.id} was changed after {self.key} were stored, so they no longer "
                "fit; extract units from the changed cuts, or set the field's speed: nearest"
            )
        return float(np.prod([float(factor) for factor in now[len(then) + 1 :: 2]]))

    def collate(self, items: list[Tensor]) -> Seq:
        return pad(items, self.stream.hop if self.stream else None)


def frames(seconds: float, hop: Fraction) -> int:
    """Whole hops in ``seconds``; a millionth of a hop short of one more counts as one more."""
    return int(np.floor(seconds / float(hop) + 1e-6))


def changes_of_speed(recording: Recording) -> str:
    """Every change of speed or tempo made to a recording, as "Speed 1.1"; empty if there is none."""
    changes = [t if isinstance(t, dict) else t.to_dict() for t in recording.transforms or []]
    return " ".join(f"{t['name']} {t['kwargs']['factor']}" for t in changes if t["name"] in ("Speed", "Tempo"))
