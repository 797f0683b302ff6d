"""Ids: the names of millions of cuts in a few arrays that lie in a file."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator

import numpy as np


class Ids:
    """N ids, found by number and by name. As Python strings 20 million would take 1.5 GB in every process.

    Args:
        text: (bytes,) uint8: all ids in UTF-8, each ended by a newline.
        ends: (N + 1,) int64: where each begins in ``text``, and the end.
        hashes: (N,) int64: ``hash_id`` of each, sorted.
        order: (N,) int32: the number of the id that each of ``hashes`` is of.
    """

    def __init__(self, text: np.ndarray, ends: np.ndarray, hashes: np.ndarray, order: np.ndarray) -> None:
        self.text, self.ends, self.hashes, self.order = text, ends, hashes, order

    @classmethod
    def pack(cls, ids: Iterable[str]) -> Ids:
        """From strings, one at a time."""
        text, ends, hashes = bytearray(), array("q", [0]), array("q")
        for name in ids:
            text += name.encode() + b"\n"
            ends.append(len(text))
            hashes.append(hash_id(name))
        found = np.frombuffer(hashes, np.int64)
        order = np.argsort(found, kind="stable").astype(np.int32)
        return cls(np.frombuffer(text, np.uint8), np.frombuffer(ends, np.int64), found[order], order)

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, row: int) -> str:
        start, end = self.ends[row : row + 2].tolist()
        return self.text[start : end - 1].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))

    def find(self, name: str) -> int | None:
        """The number of an id; None if it is not among them."""
        return next((row for row in self.candidates(hash_id(name)) if self[row] == name), None)

    def candidates(self, hashed: int) -> list[int]:
        """The numbers of all ids with this hash: as good as always one or none."""
        place = slice(*(int(np.searchsorted(self.hashes, hashed, side)) for side in ("left", "right")))
        return self.order[place].tolist()


def hash_id(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)


def first_repeated(several: list[Ids]) -> str | None:
    """An id that comes twice, within one of ``several`` or in two of them; None if all are unique."""
    hashes = np.sort(np.concatenate([ids.hashes for ids in several])) if len(several) > 1 else several[0].hashes
    for hashed in np.unique(hashes[1:][hashes[1:] == hashes[:-1]]).tolist():
        seen: set[str] = set()
        for name in (ids[row] for ids in several for row in ids.candidates(hashed)):
            if name in seen:
                return name
            seen.add(name)
    return None
