"""ArrayParts: the arrays of a corpus on their way to one manifest, from any number of processes, any number of times."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from speechunits.data.array_writer import ArrayWriter, Useless
from speechunits.errors import UserError
from speechunits.seq import Seq, unpad
from speechunits.store import write_json, writing
from speechunits.units.feature_pass import FeaturePass

PARTS = 1024  # at most: what a process that is killed has to do again


class ArrayParts:
    """Part p holds consecutive batches of the corpus's one global order, so that neither the number of processes nor an
    interruption changes a byte of what ``join`` writes. Process r of W writes the parts r, r + W, ... that are not there;
    what could not be read is kept in a part too, and not tried again.

    Args:
        folder: of the parts, shared by all processes.
        batches: the corpus; with the fields "audio" and "cut".
        writer: of the manifest that ``join`` writes; not entered yet.
    """

    def __init__(self, folder: Path, batches: FeaturePass, writer: ArrayWriter) -> None:
        self.folder, self.batches, self.writer = folder, batches, writer
        count = min(PARTS, len(batches.batches))
        self._starts = np.linspace(0, len(batches.batches), count + 1).astype(int).tolist()
        about = json.dumps([batches.name, writer.meta, self._starts])
        self._source = hashlib.sha256(
            about.encode()
        ).hexdigest()  # parts of another corpus or of other arrays are made anew

    def __len__(self) -> int:
        return len(self._starts) - 1

    def mine(self) -> list[int]:
        """The parts that this process has yet to write."""
        return [p for p in range(self.batches.rank, len(self), self.batches.ranks) if self._opened(p) is None]

    def write(self, encode: Callable[[Seq], Seq]) -> float:
        """Write the parts of this process: ``encode`` gives the arrays of a batch of audio. Returns seconds of audio.

        Raises:
            UserError: the arrays do not fit the cuts, or the disk is full.
        """
        mine, seconds = self.mine(), 0.0
        stream = self.batches.only([i for part in mine for i in range(*self._starts[part : part + 2])])
        head = next(stream, None)
        for part in mine:
            packed = []
            while head is not None and head[0] < self._starts[part + 1]:
                batch = head[1]
                for cut, array in zip(batch["cut"], unpad(encode(batch["audio"])), strict=True):
                    packed.append(self.writer.pack(cut, array.cpu()))
                    seconds += cut.duration
                head = next(stream, None)
            self._save(part, packed)
        return seconds

    def join(self, listed: Path) -> tuple[int, dict[str, str]]:
        """The manifest, from all parts: for one process, when all have written. ``clear`` then removes the parts.

        Args:
            listed: JSON file for what could not be read, if anything.

        Returns:
            how many cuts it has, and id -> reason of those that could not be read.

        Raises:
            UserError: a cut of the corpus is missing, comes twice or is none of its; or most cannot be read.
        """
        try:
            return self._join(listed)
        except Useless:  # so that what is mended is read again, and nothing lies about
            self.clear()
            raise

    def _join(self, listed: Path) -> tuple[int, dict[str, str]]:
        count, bad = 0, dict[str, str]()
        with self.writer as writer:
            for part in range(len(self)):
                rows, raw, unreadable = self._read(part)
                self._verify(part, Counter([*(row["id"] for row in rows), *unreadable]))
                place = 0
                for row in rows:
                    size = writer.size(row)
                    writer.add(row, raw[place : place + size])
                    place += size
                count, bad = count + len(rows), bad | unreadable
            if bad:
                write_json(listed, bad)
            if len(bad) > count:
                raise Useless(f"{self.writer.path}: most cuts cannot be read ({len(bad)}, {count} can); see {listed}")
        return count, bad

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, part: int) -> Path:
        return self.folder / f"{part:04d}.safetensors"

    def _ids(self, part: int) -> Iterator[str]:
        for i in range(*self._starts[part : part + 2]):
            yield from map(self.batches.cuts.id, self.batches.batches[i].tolist())

    def _verify(self, part: int, there: Counter[str]) -> None:
        wanted = set(self._ids(part))
        for what, names in (
            ("lacks", [name for name in wanted if name not in there]),
            ("has twice", [name for name, times in there.items() if times > 1]),
            ("has strangers:", [name for name in there if name not in wanted]),
        ):
            if names:
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                raise UserError(
                    f"{self._path(part)} {what} {', '.join(sorted(names)[:3])}{more}; delete it and run again"
                )

    def _save(self, part: int, packed: list[tuple[dict[str, Any], bytes]]) -> None:
        lines = "\n".join(json.dumps(row, ensure_ascii=False) for row, _ in packed)
        bad = {name: self.batches.bad[name] for name in self._ids(part) if name in self.batches.bad}
        arrays = {"lines": gzip.compress(lines.encode(), 1), "arrays": b"".join(raw for _, raw in packed)}
        with writing(self._path(part)) as aside:
            save_file(
                {name: np.frombuffer(data, np.uint8) for name, data in arrays.items()},
                aside,
                {"source": self._source, "bad": json.dumps(bad)},
            )

    def _opened(self, part: int) -> Any:
        """The file of a part that was written whole, for this corpus and these arrays; None if there is none."""
        try:
            file = safe_open(self._path(part), "numpy")
        except (FileNotFoundError, SafetensorError):
            return None
        return file if file.metadata().get("source") == self._source else None

    def _read(self, part: int) -> tuple[list[dict[str, Any]], bytes, dict[str, str]]:
        """Entries, their arrays, and what is unreadable."""
        if (file := self._opened(part)) is None:
            raise UserError(f"{self._path(part)}: missing or damaged; run the extraction again, it goes on there")
        lines, raw = (file.get_tensor(name).tobytes() for name in ("lines", "arrays"))
        rows = [json.loads(line) for line in gzip.decompress(lines).split(b"\n") if line]
        return rows, raw, json.loads(file.metadata()["bad"])
