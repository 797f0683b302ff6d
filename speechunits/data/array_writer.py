"""ArrayWriter: an array for each cut -> a new manifest that carries them."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from lhotse.array import Array, TemporalArray
from lhotse.cut import Cut
from lhotse.utils import fastcopy
from torch import Tensor

from speechunits.data.array_store import NAME, PackedWriter, packed
from speechunits.data.shar import without_bytes
from speechunits.data.stored_frames import SHORT, changes_of_speed, frames
from speechunits.data.unit_meta import meta_path, write_meta
from speechunits.errors import UserError


class Useless(UserError):
    """What was written is of no use, however often it is read again."""


class ArrayWriter:
    """Use as a context manager. Writes three files, each aside and then renamed, the manifest last:

    ``train.jsonl.gz`` (the cuts with a TemporalArray under ``custom[field]``), ``train.jsonl.gz.meta.json`` (``about`` and
    ``derived_from``) and ``train.<field>.<hash>.bin`` (the arrays). An interrupted run leaves nothing. What several
    processes ``pack``, one can ``add`` (``units/array_parts.py``).

    What is stored, codes or vectors, is a subclass: ``kind``, ``source`` and ``dtype``, ``checked`` and maybe ``look``.

    Args:
        manifest: path of the new ``.jsonl.gz``.
        hop: seconds per row of an array; None where its rows are not tied to time, as a single one that is about the whole cut.
        about: what else its meta says of the field, as "vocab" or "shape", and "fingerprint".
        field: name under which the arrays are stored.
        derived_from: fingerprints or names of what they were made from.
        others: meta of fields that the cuts carry already (``read_meta`` of their manifest).

    Raises:
        UserError: on leaving: nothing was written, or what is of no use.
    """

    kind: str  # what an array holds, for errors: "codes"
    source: str  # what made it: "tokenizer"
    dtype: np.dtype

    def __init__(
        self,
        manifest: str | Path,
        hop: Fraction | None,
        about: Mapping[str, Any],
        field: str,
        derived_from: Sequence[str],
        others: Mapping[str, Mapping[str, Any]] | None,
    ) -> None:
        self.path, self.field, self.hop = Path(manifest), field, None if hop is None else Fraction(hop)
        if not self.path.name.endswith(".jsonl.gz"):
            raise UserError(f"{manifest} must end in .jsonl.gz, like every manifest of cuts; rename it")
        about = {"hop": None if self.hop is None else str(self.hop), **about}
        self.meta = {**(others or {}), field: {**about, "derived_from": list(derived_from)}}
        tag = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:8]
        self._bin = self.path.with_name(f"{self.path.name.removesuffix('.jsonl.gz')}.{field}.{tag}.bin")
        self._seen: set[str] = set()
        self._count = 0

    def checked(self, cut: Cut, array: np.ndarray) -> np.ndarray:
        """The array of a cut as it is stored.

        Raises:
            UserError: it is none that can be.
        """
        raise NotImplementedError

    def look(self, raw: np.ndarray) -> None:
        """See the numbers (N,) of an array that is added."""

    def verify(self) -> None:
        """Look back on all that was written.

        Raises:
            Useless: it is of no use.
        """

    def __enter__(self) -> ArrayWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._parts = [p.with_name(f"{p.name}.{os.getpid()}.part") for p in (self._bin, self.path)]
        self._arrays = PackedWriter(self._parts[0])
        self._raw = open(self._parts[1], "wb")
        self._lines = gzip.GzipFile("", "wb", fileobj=self._raw, mtime=0)
        return self

    def write(self, cut: Cut, array: Tensor | np.ndarray) -> None:
        """Store the array of one cut, (T, ...).

        Raises:
            UserError: it does not fit (``pack``), or the cut was written before.
        """
        if cut.id in self._seen:
            raise UserError(f"the cut {cut.id} came twice; ids of cuts must be unique")
        self._seen.add(cut.id)
        self.add(*self.pack(cut, array))

    def pack(self, cut: Cut, array: Tensor | np.ndarray) -> tuple[dict[str, Any], bytes]:
        """The manifest's entry for one cut and the bytes of its array, for ``add``, in this process or another.

        Raises:
            UserError: the shape, the range or the number of rows does not fit.
        """
        array = self.checked(cut, np.asarray(array))
        count = len(array) if self.hop is None else frames(cut.duration, self.hop)
        if not count - SHORT <= len(array) <= count + 1:
            raise UserError(
                f"the cut {cut.id} has {count} frames of {self.hop} s, but {len(array)} {self.kind} came; "
                f"the {self.source}'s hop is wrong or the {self.kind} are of another cut"
            )
        kind, raw = packed(array.astype(self.dtype))
        step = cut.duration if self.hop is None else float(self.hop)
        stored = TemporalArray(
            Array(NAME, str(self._bin.resolve()), f"0:{kind}", list(array.shape)), 0, step, cut.start
        )
        custom = {**(cut.custom or {}), self.field: stored}
        if speed := changes_of_speed(cut.recording):
            custom[f"{self.field}_speed"] = speed  # the array is of the changed audio, so it fits it
        return without_bytes(fastcopy(cut, custom=custom).to_dict()), raw

    def size(self, row: dict[str, Any]) -> int:
        """How many bytes belong to an entry that ``pack`` made."""
        return int(np.prod(row["custom"][self.field]["array"]["shape"])) * self.dtype.itemsize

    def add(self, row: dict[str, Any], raw: bytes) -> None:
        """Append what ``pack`` made; that no cut comes twice is the caller's care."""
        self.look(np.frombuffer(raw, self.dtype))
        array = row["custom"][self.field]["array"]
        array["storage_key"] = self._arrays.append(array["storage_key"].partition(":")[2], raw)
        self._lines.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        self._count += 1

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, _: TracebackType | None) -> None:
        try:
            self._lines.close()
            self._raw.flush()
            os.fsync(self._raw.fileno())
            self._raw.close()
            self._arrays.close()
            if kind is None:
                self._publish()
        finally:
            for part in self._parts:
                part.unlink(missing_ok=True)

    def _publish(self) -> None:
        if not self._count:
            raise Useless(f"no {self.kind} were written for {self.path}; look for unreadable audio in the log")
        if self._count > 1:
            self.verify()
        # never an old manifest beside new arrays, whenever this is interrupted
        self.path.unlink(missing_ok=True)
        meta_path(self.path).unlink(missing_ok=True)
        try:
            os.replace(self._parts[0], self._bin)
            write_meta(self.path, self.meta)
            os.replace(self._parts[1], self.path)
        except (OSError, UserError):  # a full disk: arrays without a manifest are of no use
            for path in (self._bin, meta_path(self.path)):
                path.unlink(missing_ok=True)
            raise
