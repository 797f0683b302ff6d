"""Cuts: one or several lhotse manifests, opened without reading them: any cut by its number."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lhotse.cut import Cut
from lhotse.serialization import deserialize_item

from speechunits.data.array_store import beside
from speechunits.data.ids import first_repeated
from speechunits.data.length_index import LengthIndex, index_manifest
from speechunits.data.shar import KEY, fill_shar, without_bytes
from speechunits.data.unit_meta import read_streams, write_meta
from speechunits.errors import UserError
from speechunits.store import writing
from speechunits.stream import Stream

Paths = str | Path | Sequence[str | Path]


def open_cuts(paths: Paths, made_by: str | None = None) -> Cuts:
    """Open cut manifests: ``.jsonl``, ``.jsonl.gz`` or a Shar folder each.

    Args:
        paths: one manifest or several, which are read as one.
        made_by: the stage or command that writes them, for the error message.

    Raises:
        UserError: a manifest is missing, empty, not of cuts, or two share a cut id.
    """
    several = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not several:
        raise UserError("no manifest was given; name at least one .jsonl.gz file or Shar folder")
    for path in map(Path, several):
        if not path.exists():
            hint = f"run {made_by}" if made_by else "run the stage that writes it, or correct the path"
            raise UserError(f"the manifest {path} does not exist; {hint}")
        if not path.is_dir() and not path.name.endswith((".jsonl", ".jsonl.gz")):
            raise UserError(f"{path} is neither .jsonl, .jsonl.gz nor a Shar folder; convert it with `lhotse copy`")
    return Cuts(tuple(Path(p) for p in several))


def write_cuts(path: str | Path, cuts: Iterable[Cut], fields: Mapping[str, Any] | None = None) -> None:
    """Write ``path``, a ``.jsonl.gz``, whole or not at all; the same cuts give the same bytes.

    Args:
        fields: what is stored of the cuts, for the ``.meta.json`` beside it.

    Raises:
        UserError: the place cannot be written.
    """
    with writing(path) as aside:
        with open(aside, "wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as lines:
            for cut in cuts:
                lines.write(json.dumps(without_bytes(cut.to_dict()), ensure_ascii=False).encode() + b"\n")
        if fields:
            write_meta(Path(path), fields)


class Cuts:
    """Random access to N cuts of one or several manifests. Made by ``open_cuts``; pickles as its paths.

    Attributes:
        seconds: (N,) float64. rates: (N,) int32 Hz.
        hash: of all manifests. streams: stored code fields by name, from the manifests' ``.meta.json``.
    """

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self.paths = paths
        self._parts: list[LengthIndex] = [index_manifest(p) for p in paths]
        self._ends = np.cumsum([len(p.ids) for p in self._parts])
        self._files: dict[int, int] = {}
        # whole paths: a manifest made of these cuts elsewhere must find their arrays, from wherever it is read
        self._folders = [path.absolute().parent if path.is_file() else None for path in paths]
        one = self._parts[0] if len(paths) == 1 else None  # mapped, and so not copied
        self.seconds = one.seconds if one else np.concatenate([p.seconds for p in self._parts])
        self.rates = one.rates if one else np.concatenate([p.rates for p in self._parts])
        self.hash = "+".join(p.hash for p in self._parts)
        self.streams = _common_streams(paths)
        if len(paths) > 1 and (twice := first_repeated([p.ids for p in self._parts])) is not None:
            raise UserError(f"the cut {twice} is in more than one of {', '.join(map(str, paths))}; make ids unique")

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened_again, (self.paths, self.hash)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __iter__(self) -> Iterator[Cut]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, row: int) -> Cut:
        """Cut number ``row``; its JSON line is read and decoded now."""
        part, i = self._place(row)
        index, path = self._parts[part], self.paths[part]
        if part not in self._files:
            self._files[part] = os.open(index.lines, os.O_RDONLY)
        start, end = index.offsets[i : i + 2].tolist()
        # pread leaves the file's position alone: forked workers share the descriptor
        line = os.pread(self._files[part], end - start, start)
        try:
            data = json.loads(line)
        except ValueError as error:
            raise UserError(f"{index.lines} changed since it was opened ({error}); start again") from error
        places = data.pop(KEY, {})
        cut = fill_shar(deserialize_item(data), places, path)
        folder = self._folders[part]
        return cut if folder is None else beside(cut, folder)

    def __del__(self) -> None:
        for file in getattr(self, "_files", {}).values():
            os.close(file)

    def _place(self, row: int) -> tuple[int, int]:
        """The manifest of a cut, and its number there."""
        if not 0 <= row < len(self):
            raise IndexError(row)
        part = int(np.searchsorted(self._ends, row, side="right"))
        return part, int(row - (self._ends[part] - len(self._parts[part].ids)))

    @property
    def ids(self) -> tuple[str, ...]:
        """All cut ids, made anew each time: for corpora small enough to be listed. Else ``id``."""
        return tuple(i for p in self._parts for i in p.ids)

    def id(self, row: int) -> str:
        """The id of cut number ``row``, without reading the cut."""
        part, i = self._place(row)
        return self._parts[part].ids[i]

    def manifest(self, rows: np.ndarray) -> np.ndarray:
        """(M,) which of ``paths`` each of these cuts is from."""
        return np.searchsorted(self._ends, rows, side="right")

    def row(self, cut_id: str) -> int:
        """The number of a cut.

        Raises:
            UserError: there is no such cut.
        """
        for part, end in zip(self._parts, self._ends.tolist(), strict=True):
            if (i := part.ids.find(cut_id)) is not None:
                return int(end - len(part.ids) + i)
        raise UserError(f"{', '.join(map(str, self.paths))} has no cut {cut_id}")


def _opened_again(paths: tuple[Path, ...], content: str) -> Cuts:
    """In a loader worker: the index is mapped there too, and must be the same."""
    cuts = Cuts(paths)
    if cuts.hash != content:
        raise UserError(f"{', '.join(map(str, paths))} changed since it was opened; start again")
    return cuts


def _common_streams(paths: tuple[Path, ...]) -> dict[str, Stream]:
    streams = read_streams(paths[0])
    for path in paths[1:]:
        other = read_streams(path)
        for name in sorted(set(streams) | set(other)):
            if streams.get(name) != other.get(name):
                raise UserError(
                    f"the field {name} of {path} ({other.get(name)}) differs from that of {paths[0]} "
                    f"({streams.get(name)}); extract both with one tokenizer"
                )
    return streams
