"""BatchDataset: from planned cut numbers to a batch. Runs inside loader workers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import torch
from torch.utils.data import Dataset

from speechunits.data.cuts import Cuts
from speechunits.data.field import BadAudio, DrawnField, Field
from speechunits.data.transform import Transform
from speechunits.draws import draws
from speechunits.errors import UserError
from speechunits.stream import Stream


class Planned(NamedTuple):
    """One batch to load.

    spares: cuts to borrow one of, in this order, if no cut of ``rows`` can be read. place: what errors call the batch.
    visits: how often each of ``rows`` came before in this epoch, if some did (``Mixture``): they are cropped and masked anew.
    """

    epoch: int
    rows: tuple[int, ...]
    spares: tuple[int, ...] = ()
    place: str = ""
    visits: tuple[int, ...] | None = None


class Loaded(NamedTuple):
    """A batch, what could not be read (cut id -> reason), and the UserError, if any.

    An exception that crosses from a worker would arrive as a page of traceback.
    """

    batch: dict[str, Any]
    bad: dict[str, str]
    refused: str | None = None


class BatchDataset(Dataset):
    """Loads ``{"ids": list[str], "draws": Draws, "seconds": (B,) float64, name: field ...}`` for a ``Planned`` batch.

    Args:
        cuts: the opened manifests.
        fields: batch name -> Field; bound to ``cuts`` here.
        transforms: applied in order before the fields are read, so that all fields see the same cut.
        seed: of the draws.
        sampling: let fields that draw do so; in validation (epoch -1) they never do.

    Raises:
        UserError: a field and the manifests or the transforms do not fit.
    """

    def __init__(
        self,
        cuts: Cuts,
        fields: Mapping[str, Field],
        transforms: Sequence[Transform] = (),
        seed: int = 0,
        sampling: bool = True,
    ) -> None:
        if taken := {"ids", "draws", "seconds"} & set(fields):
            raise UserError(f"a field cannot be named {taken.pop()}: every batch has that entry already; rename it")
        self.cuts, self.seed, self.transforms = cuts, seed, tuple(transforms)
        self.fields = {name: field.bind(cuts) for name, field in fields.items()}
        whole = [name for name, field in self.fields.items() if field.whole]
        if whole and any(t.crops for t in self.transforms):
            raise UserError(
                f"the field {whole[0]} describes whole utterances, so it cannot go with a crop; "
                "leave out one of the two, or drop long cuts by max_duration"
            )
        stiff = [name for name, field in self.fields.items() if not field.warps]
        if stiff and any(t.warps for t in self.transforms):
            follow = f"set fields.{stiff[0]}.speed: nearest, " if hasattr(self.fields[stiff[0]], "speed") else ""
            raise UserError(
                f"the field {stiff[0]} was stored at one speed, so it cannot go with a change of speed; leave out "
                f"the transform, {follow}or extract it from cuts at each speed"
            )
        self._drawn = {name for name, field in self.fields.items() if sampling and isinstance(field, DrawnField)}
        # two of one kind (two sorts of noise) draw apart
        purposes = [t.purpose for t in self.transforms]
        self._purposes = [f"{p}:{n}" if (n := purposes[:i].count(p)) else p for i, p in enumerate(purposes)]
        self._grid = common_grid([f.grid for f in self.fields.values() if f.grid is not None])

    @property
    def streams(self) -> dict[str, Stream]:
        return {name: field.stream for name, field in self.fields.items() if field.stream is not None}

    def __getitem__(self, planned: Planned) -> Loaded:
        bad: dict[str, str] = {}
        try:
            visits = planned.visits or (0,) * len(planned.rows)
            pairs = zip(planned.rows, visits, strict=True)
            loaded = [x for row, visit in pairs if (x := self._load(row, planned.epoch, bad, visit))]
            spares = iter(planned.spares)
            while not loaded and (row := next(spares, None)) is not None:
                loaded = [x for x in [self._load(row, planned.epoch, bad)] if x]
            if not loaded:
                return Loaded({"ids": []}, bad)
            ids, keys, seconds, items = zip(*loaded, strict=True)
            batch: dict[str, Any] = {"ids": list(ids), "draws": draws(keys, self.seed, planned.epoch)}
            batch["seconds"] = torch.tensor(seconds, dtype=torch.float64)
            for name, field in self.fields.items():
                batch[name] = field.collate([item[name] for item in items])
            return Loaded(batch, bad)
        except UserError as error:
            return Loaded({"ids": []}, bad, f"{error} ({planned.place})" if planned.place else str(error))
        except Exception as error:
            names = ", ".join(self.cuts[row].id for row in planned.rows)
            raise RuntimeError(f"the batch of {names} cannot be loaded: {type(error).__name__}: {error}") from error

    def _load(
        self, row: int, epoch: int, bad: dict[str, str], visit: int = 0
    ) -> tuple[str, str, float, dict[str, Any]] | None:
        """The cut's id, the name that its draws go by, its seconds and its fields."""
        cut = self.cuts[row]
        cut_id = cut.id
        key = f"{cut_id}#{visit}" if visit else cut_id
        drawn = draws([key], self.seed, epoch)
        for purpose, transform in zip(self._purposes, self.transforms, strict=True):
            cut = transform(cut, drawn.generator(0, purpose), self._grid)
        try:
            entries = {
                name: field.draw(cut, drawn) if epoch >= 0 and name in self._drawn else field.load(cut)  # type: ignore[attr-defined]
                for name, field in self.fields.items()
            }
            return cut_id, key, cut.duration, entries
        except BadAudio as reason:
            bad[cut_id] = str(reason)
            return None


def common_grid(grids: Sequence[Fraction]) -> Fraction | None:
    """The smallest time that is a whole multiple of each, in seconds: 1/50 and 1/25 -> 1/25. None if there is none."""
    if not grids:
        return None
    return Fraction(math.lcm(*(g.numerator for g in grids)), math.gcd(*(g.denominator for g in grids)))
