"""Arrays packed into one file, registered with lhotse: lossless, one read per utterance, no pickle.

lhotse 1.33's own storages are lossy (lilcom), need HDF5, pickle (``memory_raw``) or make a file per utterance.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from lhotse.array import Array, TemporalArray
from lhotse.cut import Cut
from lhotse.features.io import FeaturesReader, FeaturesWriter, register_reader, register_writer
from lhotse.utils import fastcopy

NAME = "speechunits_packed"


def packed(value: np.ndarray) -> tuple[str, bytes]:
    """``dtype:T[:K ...]`` and the bytes of an array."""
    data = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
    return ":".join([data.dtype.str, *map(str, data.shape)]), data.tobytes()


@register_writer
class PackedWriter(FeaturesWriter):
    """Appends little-endian numbers to one file; the key of an array is ``offset:dtype:T[:K ...]``."""

    name = NAME

    def __init__(self, storage_path: str | Path, **_: Any) -> None:
        self._path = Path(storage_path)
        self._file = open(self._path, "wb")  # noqa: SIM115 (closed by close)
        self._hash = hashlib.sha256()

    @property
    def storage_path(self) -> str:
        return str(self._path)

    @property
    def hash(self) -> str:
        return self._hash.hexdigest()

    def write(self, key: str, value: np.ndarray) -> str:
        return self.append(*packed(value))

    def append(self, kind: str, raw: bytes) -> str:
        """What ``packed`` gave; the key of the array."""
        where = f"{self._file.tell()}:{kind}"
        self._hash.update(raw)
        self._file.write(raw)
        return where

    def close(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


@register_reader
class PackedReader(FeaturesReader):
    name = NAME

    def __init__(self, storage_path: str | Path, **_: Any) -> None:
        self._path = storage_path

    def read(self, key: str, left_offset_frames: int = 0, right_offset_frames: int | None = None) -> np.ndarray:
        """Rows [left, right) of the array ``key``; only they are read."""
        start, kind, *shape = key.split(":")
        dtype, rows, rest = np.dtype(kind), int(shape[0]), tuple(map(int, shape[1:]))
        left, right, _ = slice(left_offset_frames, right_offset_frames).indices(rows)
        row = dtype.itemsize * int(np.prod(rest))
        with open(self._path, "rb") as f:
            raw = os.pread(f.fileno(), max(0, right - left) * row, int(start) + left * row)
        return np.frombuffer(raw, dtype).reshape(-1, *rest)


def beside(cut: Cut, folder: Path) -> Cut:
    """Point packed arrays to the file of that name in ``folder`` (the manifest's) if there is one.

    So a folder of units or features can be moved as a whole, and a manifest copied elsewhere still finds its arrays.
    """
    custom = getattr(cut, "custom", None) or {}
    for name, value in custom.items():
        array = value.array if isinstance(value, TemporalArray) else value
        if isinstance(array, Array) and array.storage_type == NAME:
            near = folder / Path(array.storage_path).name
            if near.is_file():
                array = fastcopy(array, storage_path=str(near))
                custom[name] = fastcopy(value, array=array) if isinstance(value, TemporalArray) else array
    return cut
