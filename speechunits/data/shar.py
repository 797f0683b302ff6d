"""Random access to a Lhotse Shar folder: lhotse itself reads Shar from its beginning only."""

from __future__ import annotations

import gzip
import json
import os
import tarfile
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from lhotse.cut import Cut
from lhotse.serialization import deserialize_item
from lhotse.shar.utils import fill_shar_placeholder

from speechunits.errors import UserError

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
        if len(files) != len(shards):
            raise UserError(f"{folder}: {len(shards)} shards of cuts but {len(files)} of {name}; export it again")
    for i, shard in enumerate(shards):
        columns = [_members(files[i], name) for name, files in fields.items()]
        with gzip.open(shard) if shard.suffix == ".gz" else open(shard, "rb") as lines:
            for line, *places in zip_longest(lines, *columns):
                cut = json.loads(line) if line is not None else {"id": "(none)"}
                for name, place in zip(fields, places, strict=True):
                    if place is None or place["id"] != cut["id"]:
                        raise UserError(
                            f"{fields[name][i]}: expected {name} of the cut {cut['id']} but found that of "
                            f"{place['id'] if place else 'none'}; export the folder again"
                        )
                cut[KEY] = {n: p for n, p in zip(fields, places, strict=True) if "manifest" in p}
                yield json.dumps(cut).encode() + b"\n"


def fill_shar(cut: Cut, places: dict[str, Any], folder: Path) -> Cut:
    """Give ``cut`` the fields that ``scan_shar`` located, with their bytes in memory."""
    for name, place in places.items():
        manifest = deserialize_item(dict(place["manifest"]))
        if "tar" in place:
            with open(folder / place["tar"], "rb") as f:
                data = os.pread(f.fileno(), place["size"], place["at"])
            fill_shar_placeholder(manifest, data, f"{cut.id}{place['suffix']}")
        setattr(cut, name, manifest)
    return cut


def _files(folder: Path, name: str) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.name.split(".")[0] == name and {".jsonl", ".tar"} & set(p.suffixes))


def _members(path: Path, name: str) -> Iterator[dict[str, Any]]:
    if ".jsonl" in path.suffixes:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as lines:
            for line in lines:
                item = json.loads(line)
                yield {"id": item["cut_id"], **({"manifest": item[name]} if name in item else {})}
        return
    if path.suffix != ".tar":
        raise UserError(f"{path} is a compressed tar without random access; export plain .tar shards")
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
