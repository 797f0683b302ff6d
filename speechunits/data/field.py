"""Field: one named entry of a batch, read from a cut."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from lhotse.cut import Cut

from speechunits.draws import Draws
from speechunits.stream import Stream

if TYPE_CHECKING:
    from speechunits.data.cuts import Cuts


class BadAudio(Exception):
    """This utterance cannot be read: training skips it and counts, extraction lists it."""


class Field(Protocol):
    """What fills ``batch[name]``; the name is the key under which it is given to the dataset.

    Attributes:
        stream: rate, vocabulary and origin of integer codes, known once bound; None for other fields.
        grid: seconds; crops start on multiples of it. None: any start will do.
        whole: describes the whole utterance, so the cut must not be cropped (text, unaligned units).
        warps: stays right when the speed of the cut is changed.
    """

    @property
    def stream(self) -> Stream | None: ...

    @property
    def grid(self) -> Fraction | None: ...

    @property
    def whole(self) -> bool: ...

    @property
    def warps(self) -> bool: ...

    def bind(self, cuts: Cuts) -> Field:
        """This field for the cuts of one opened set: checks the manifests' promises before anything is trained.

        Raises:
            UserError: the manifests do not have what the field reads, or something else than was asked for.
        """
        ...

    def load(self, cut: Cut) -> Any:
        """The entry of one cut.

        Raises:
            BadAudio: the audio is missing, corrupt, empty or has NaN samples.
            UserError: the labels are missing or wrong.
        """
        ...

    def collate(self, items: list[Any]) -> Any:
        """The batch entry (a Seq, a list of str ...) of the loaded items of B cuts."""
        ...


@runtime_checkable
class DrawnField(Protocol):
    """A field whose entry is drawn anew in every epoch of a training (BPE dropout); elsewhere it is asked to ``load``."""

    def draw(self, cut: Cut, draws: Draws) -> Any:
        """In place of ``load``; ``draws`` are those of this cut alone, utterance 0."""
        ...
