"""Random access to a Lhotse Shar folder: lhotse itself reads Shar from its beginning only."""

from __future__ import annotations

import gzip
import json
import logging
import os
import tarfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import zip_longest
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from lhotse.cut import Cut
from lhotse.serialization import deserialize_item
from lhotse.shar.utils import fill_shar_placeholder

from speechunits.errors import UserError

log = logging.getLogger(__name__)

PARALLEL = 16 << 20  # bytes of (compressed) cuts from which on several processes pay: about 200 000 cuts
KEY = "_shar"  # what a scanned line has beside the cut: where each field's bytes lie


def scan_shar(folder: Path) -> Iterator[bytes]:
    """The cuts of all shards in order, as JSON lines that also say where in which tar file each field's bytes lie.

    Raises:
        UserError: shards of a field are missing, compressed or do not match the cuts.
    """
    shards = _files(folder, "cuts")
    if not shards:
        raise UserError(
            f"{folder} has no cuts.*.jsonl.gz; give a folder that `lhotse shar export` wrote, or a manifest"
        )
    names = {p.name.split(".")[0] for p in folder.iterdir() if ".tar" in p.suffixes or ".jsonl" in p.suffixes}
    fields = {name: _files(folder, name) for name in sorted(names - {"cuts"})}
    for name, files in fields.items():
        for number in sorted(shards.keys() ^ files.keys()):
            lost, there = (name, "cuts") if number in shards else ("cuts", name)
            raise UserError(f"{folder}: shard {number} of {lost} is missing, that of {there} is there; export it again")
    numbers = {int(number) for number in shards if number.isdigit()}
    if numbers and (gaps := sorted({*range(min(numbers), max(numbers))} - numbers)):
        log.warning("%s: shard %06d and %d more are missing of all fields", folder, gaps[0], len(gaps) - 1)
    tasks = [(shard, {name: files[number] for name, files in fields.items()}) for number, shard in shards.items()]
    for lines in _in_order(tasks):
        yield from lines


def _in_order(tasks: list[tuple[Path, dict[str, Path]]]) -> Iterator[list[bytes]]:
    """The lines of each shard. Reading the headers of tar files takes 0.2 ms of a processor per cut: an hour for 20
    million, so that several processes read ahead where there is much of it."""
    processors = min(16, len(os.sched_getaffinity(0)))
    if processors == 1 or sum(shard.stat().st_size for shard, _ in tasks) < PARALLEL:
        yield from (_scan(*task) for task in tasks)
        return
    with ProcessPoolExecutor(processors, get_context("fork")) as pool:
        waiting: deque[Future[list[bytes]]] = deque()
        for task in tasks:
            waiting.append(pool.submit(_scan, *task))
            if len(waiting) > 2 * processors:  # so that memory stays bounded
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _scan(shard: Path, files: dict[str, Path]) -> list[bytes]:
    out = []
    for line, *places in zip_longest(_lines(shard), *(_members(path, name) for name, path in files.items())):
        cut = json.loads(line) if line is not None else {"id": "(none)"}
        for (name, path), place in zip(files.items(), places, strict=True):
            if place is None or place["id"] != cut["id"]:
                raise UserError(
                    f"{path}: expected {name} of the cut {cut['id']} but found that of "
                    f"{place['id'] if place else 'none'}; export the folder again"
                )
        cut[KEY] = {n: p for n, p in zip(files, places, strict=True) if "manifest" in p}
        out.append(json.dumps(cut).encode() + b"\n")
    return out


def fill_shar(cut: Cut, places: dict[str, Any], folder: Path) -> Cut:
    """Give ``cut`` the fields that ``scan_shar`` located, with their bytes in memory; one file is open at a time.

    Raises:
        UserError: a shard is gone or was cut off since it was scanned.
    """
    filled = {}
    for name, place in places.items():
        manifest = deserialize_item(dict(place["manifest"]))
        if "tar" in place:
            shard = os.path.abspath(folder / place["tar"])
            fill_shar_placeholder(manifest, _read(shard, place["at"], place["size"]), f"{cut.id}{place['suffix']}")
            filled[name] = {**place, "tar": shard}
        setattr(cut, name, manifest)
    if filled:
        cut.custom = {**(cut.custom or {}), KEY: filled}
    return cut


def without_bytes(row: dict[str, Any]) -> dict[str, Any]:
    """``row``, the dict of a cut, ready for a manifest: what ``fill_shar`` brought says again where its bytes lie."""
    for name, place in (row.get("custom") or {}).pop(KEY, {}).items():
        (row if name in row else row["custom"])[name] = place["manifest"]
        row.setdefault(KEY, {})[name] = place
    return row


def _read(shard: str, at: int, size: int) -> bytes:
    try:
        with open(shard, "rb") as f:
            data = os.pread(f.fileno(), size, at)
    except OSError as error:
        raise UserError(f"the shard {shard} cannot be read any more ({error.strerror}); put it back") from error
    if len(data) < size:
        raise UserError(f"the shard {shard} was cut off since it was indexed; put it back whole")
    return data


def _files(folder: Path, name: str) -> dict[str, Path]:
    """Number -> shard of a field, in order."""
    found = sorted(p for p in folder.iterdir() if p.name.split(".")[0] == name and {".jsonl", ".tar"} & set(p.suffixes))
    return {p.name.split(".")[1]: p for p in found}


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as lines:
            yield from lines
    except (OSError, EOFError) as error:
        raise _damaged(path, error) from error


def _members(path: Path, name: str) -> Iterator[dict[str, Any]]:
    if ".jsonl" in path.suffixes:
        for line in _lines(path):
            item = json.loads(line)
            yield {"id": item["cut_id"], **({"manifest": item[name]} if name in item else {})}
        return
    if path.suffix != ".tar":
        raise UserError(f"{path} is a compressed tar without random access; export plain .tar shards")
    try:
        with tarfile.open(path, "r:") as tar:
            while (data := tar.next()) is not None:
                about = tar.next()
                stem, suffix = os.path.splitext(data.name)
                if about is None or suffix == ".nodata":
                    yield {"id": stem}
                    continue
                text = tar.extractfile(about).read().decode()  # type: ignore[union-attr]
                place = {"tar": path.name, "at": data.offset_data, "size": data.size, "suffix": suffix}
                yield {"id": stem, "manifest": json.loads(text), **place}
    except (OSError, ValueError, tarfile.TarError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"the shard {path} is cut off or damaged ({error}); copy or export it again")
