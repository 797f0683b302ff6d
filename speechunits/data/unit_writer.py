"""UnitWriter: codes of cuts -> a new manifest that carries them."""

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

from speechunits.data.fields.units_field import SHORT, changes_of_speed, frames
from speechunits.data.shar import without_bytes
from speechunits.data.unit_meta import meta_path, write_meta
from speechunits.data.unit_store import NAME, PackedWriter, packed
from speechunits.errors import UserError


class NoUnits(UserError):
    """What was written is of no use, however often it is read again."""


class UnitWriter:
    """Use as a context manager. Writes three files, each aside and then renamed, the manifest last:

    ``train.jsonl.gz`` (the cuts with a TemporalArray under ``custom[field]``), ``train.jsonl.gz.meta.json`` (hop,
    vocab, fingerprint, origin) and ``train.units.<hash>.bin`` (the codes). An interrupted run leaves nothing. What several
    processes ``pack``, one can ``add`` (``units/unit_parts.py``).

    Args:
        manifest: path of the new ``.jsonl.gz``.
        hop: seconds per code. vocab: codes per codebook. fingerprint: of the tokenizer.
        field: name under which the codes are stored.
        derived_from: fingerprints or names of what the tokenizer was made from.
        others: meta of code fields that the cuts carry already (``read_meta`` of their manifest).

    Raises:
        UserError: on leaving: nothing was written, or all labels of more than one cut are one and the same.
    """

    def __init__(
        self,
        manifest: str | Path,
        hop: Fraction,
        vocab: Sequence[int],
        fingerprint: str,
        field: str = "units",
        derived_from: Sequence[str] = (),
        others: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.path, self.field, self.hop, self.vocab = Path(manifest), field, Fraction(hop), tuple(vocab)
        if not self.path.name.endswith(".jsonl.gz"):
            raise UserError(f"{manifest} must end in .jsonl.gz, like every manifest of cuts; rename it")
        about = {"hop": str(self.hop), "vocab": list(self.vocab), "fingerprint": fingerprint}
        self.meta = {**(others or {}), field: {**about, "derived_from": list(derived_from)}}
        tag = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:8]
        self._bin = self.path.with_name(f"{self.path.name.removesuffix('.jsonl.gz')}.{field}.{tag}.bin")
        self._dtype = np.int16 if max(self.vocab) <= 1 << 15 else np.int32
        self._seen: set[str] = set()
        self._count = 0
        self._first: np.ndarray | None = None
        self._varied = False

    def __enter__(self) -> UnitWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._parts = [p.with_name(f"{p.name}.{os.getpid()}.part") for p in (self._bin, self.path)]
        self._codes = PackedWriter(self._parts[0])
        self._raw = open(self._parts[1], "wb")
        self._lines = gzip.GzipFile("", "wb", fileobj=self._raw, mtime=0)
        return self

    def write(self, cut: Cut, codes: Tensor | np.ndarray) -> None:
        """Store the codes of one cut, (T,) or (T, K) integers.

        Raises:
            UserError: the codes do not fit (``pack``), or the cut was written before.
        """
        if cut.id in self._seen:
            raise UserError(f"the cut {cut.id} came twice; ids of cuts must be unique")
        self._seen.add(cut.id)
        self.add(*self.pack(cut, codes))

    def pack(self, cut: Cut, codes: Tensor | np.ndarray) -> tuple[dict[str, Any], bytes]:
        """The manifest's entry for one cut and the bytes of its codes, for ``add``, in this process or another.

        Raises:
            UserError: the shape, the range or the number of codes does not fit.
        """
        codes = np.asarray(codes)
        count = frames(cut.duration, self.hop)
        if codes.shape[1:] not in [(len(self.vocab),), *([()] if len(self.vocab) == 1 else [])]:
            raise UserError(f"codes of the cut {cut.id} have shape {codes.shape} for {len(self.vocab)} codebook(s)")
        sizes = np.array(self.vocab if codes.ndim > 1 else self.vocab[0])
        if codes.size and (codes.min() < 0 or (codes >= sizes).any()):
            raise UserError(f"codes of the cut {cut.id} run from {codes.min()} to {codes.max()}, outside {self.vocab}")
        if not count - SHORT <= len(codes) <= count + 1:
            raise UserError(
                f"the cut {cut.id} has {count} frames of {self.hop} s, but {len(codes)} codes came; "
                "the tokenizer's hop is wrong or the codes are of another cut"
            )
        kind, raw = packed(codes.astype(self._dtype))
        array = TemporalArray(
            Array(NAME, str(self._bin.resolve()), f"0:{kind}", list(codes.shape)), 0, float(self.hop), cut.start
        )
        custom = {**(cut.custom or {}), self.field: array}
        if speed := changes_of_speed(cut.recording):
            custom[f"{self.field}_speed"] = speed  # the codes are of the changed audio, so they fit it
        return without_bytes(fastcopy(cut, custom=custom).to_dict()), raw

    def size(self, row: dict[str, Any]) -> int:
        """How many bytes of codes belong to an entry that ``pack`` made."""
        return int(np.prod(row["custom"][self.field]["array"]["shape"])) * np.dtype(self._dtype).itemsize

    def add(self, row: dict[str, Any], raw: bytes) -> None:
        """Append what ``pack`` made; that no cut comes twice is the caller's care."""
        codes = np.frombuffer(raw, self._dtype).reshape(-1, len(self.vocab))
        if self._first is None and len(codes):
            self._first = codes[0]
        self._varied |= bool((codes != self._first).any())
        array = row["custom"][self.field]["array"]
        array["storage_key"] = self._codes.append(array["storage_key"].partition(":")[2], raw)
        self._lines.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        self._count += 1

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, _: TracebackType | None) -> None:
        try:
            self._lines.close()
            self._raw.flush()
            os.fsync(self._raw.fileno())
            self._raw.close()
            self._codes.close()
            if kind is None:
                self._publish()
        finally:
            for part in self._parts:
                part.unlink(missing_ok=True)

    def _publish(self) -> None:
        if not self._count:
            raise NoUnits(f"no codes were written for {self.path}; look for unreadable audio in the log")
        if self._count > 1 and not self._varied:
            raise NoUnits(
                f"all labels for {self.path} are one and the same code; look at the tokenizer's codebook and its input"
            )
        # never an old manifest beside new codes, whenever this is interrupted
        self.path.unlink(missing_ok=True)
        meta_path(self.path).unlink(missing_ok=True)
        try:
            os.replace(self._parts[0], self._bin)
            write_meta(self.path, self.meta)
            os.replace(self._parts[1], self.path)
        except (OSError, UserError):  # a full disk: codes without a manifest are of no use
            for path in (self._bin, meta_path(self.path)):
                path.unlink(missing_ok=True)
            raise
