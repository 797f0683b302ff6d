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
from speechunits.data.unit_meta import meta_path, write_meta
from speechunits.data.unit_store import NAME, PackedWriter
from speechunits.errors import UserError


class UnitWriter:
    """Use as a context manager. Writes three files, each aside and then renamed, the manifest last:

    ``train.jsonl.gz`` (the cuts with a TemporalArray under ``custom[field]``), ``train.jsonl.gz.meta.json`` (hop,
    vocab, fingerprint, origin) and ``train.units.<hash>.bin`` (the codes). An interrupted run leaves nothing, so it is
    simply run again; several processes write a manifest each, which ``open_cuts`` reads as one.

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
        self._meta = {**(others or {}), field: {**about, "derived_from": list(derived_from)}}
        tag = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:8]
        self._bin = self.path.with_name(f"{self.path.name.removesuffix('.jsonl.gz')}.{field}.{tag}.bin")
        self._dtype = np.int16 if max(self.vocab) <= 1 << 15 else np.int32
        self._seen: set[str] = set()
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
            UserError: the shape, the range or the number of codes does not fit, or the cut was written before.
        """
        codes = np.asarray(codes)
        count = frames(cut.duration, self.hop)
        if cut.id in self._seen:
            raise UserError(f"the cut {cut.id} came twice; ids of cuts must be unique")
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
        self._seen.add(cut.id)
        if self._first is None and len(codes):
            self._first = codes[0]
        self._varied |= bool((codes != self._first).any())
        key = self._codes.write(cut.id, codes.astype(self._dtype))
        array = TemporalArray(
            Array(NAME, str(self._bin.resolve()), key, list(codes.shape)), 0, float(self.hop), cut.start
        )
        custom = {**(cut.custom or {}), self.field: array}
        if speed := changes_of_speed(cut.recording):
            custom[f"{self.field}_speed"] = speed  # the codes are of the changed audio, so they fit it
        line = json.dumps(fastcopy(cut, custom=custom).to_dict(), ensure_ascii=False)
        self._lines.write(line.encode() + b"\n")

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
        if not self._seen:
            raise UserError(f"no codes were written for {self.path}; look for unreadable audio in the log")
        if len(self._seen) > 1 and not self._varied:
            raise UserError(
                f"all labels for {self.path} are one and the same code; look at the tokenizer's codebook and its input"
            )
        # never an old manifest beside new codes, whenever this is interrupted
        self.path.unlink(missing_ok=True)
        meta_path(self.path).unlink(missing_ok=True)
        try:
            os.replace(self._parts[0], self._bin)
            write_meta(self.path, self._meta)
            os.replace(self._parts[1], self.path)
        except (OSError, UserError):  # a full disk: codes without a manifest are of no use
            for path in (self._bin, meta_path(self.path)):
                path.unlink(missing_ok=True)
            raise
