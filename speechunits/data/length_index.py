"""LengthIndex: what the batch plan must know of a manifest, built once and kept beside it."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lhotse.serialization import deserialize_item
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from speechunits.data.shar import scan_shar
from speechunits.errors import UserError
from speechunits.store import writing

FORMAT = "1"


@dataclass(frozen=True)
class LengthIndex:
    """One row per cut of a manifest.

    Args:
        seconds: (N,) float64, durations.
        rates: (N,) int32, sampling rate of the recording in Hz; 0 where a cut has none of its own.
        offsets: (N + 1,) int64, byte range of each cut's line in ``lines``.
        ids: N cut ids.
        lines: a plain .jsonl file, one cut per line: the manifest itself, or a decompressed copy of it.
        hash: sha256 of ids and durations: the batch plan depends on it, and not on where the audio lies.
    """

    seconds: np.ndarray
    rates: np.ndarray
    offsets: np.ndarray
    ids: tuple[str, ...]
    lines: Path
    hash: str


def index_manifest(path: Path) -> LengthIndex:
    """The index of a .jsonl, .jsonl.gz or Shar manifest: read if it is fresh, else built and written beside it.

    It lies in ``.speechunits/`` in the manifest's folder, or below the user's cache folder if that is not writable.
    A changed size, time or inode of the manifest makes it stale.

    Raises:
        UserError: the manifest is empty, holds something else than cuts, or names a cut twice.
    """
    sources = sorted(path.iterdir()) if path.is_dir() else [path]
    state = json.dumps(
        [[s.name, s.stat().st_size, s.stat().st_mtime_ns, s.stat().st_ino] for s in sources if s.is_file()]
    )
    store = _store(path)
    kept = store / f"{path.name}.index.safetensors"
    return _read(kept, state) or _build(path, kept, state)


def _store(path: Path) -> Path:
    beside = path.parent / ".speechunits"  # never inside a Shar folder: lhotse takes every file there for a field
    try:
        beside.mkdir(exist_ok=True)
        if os.access(beside, os.W_OK):
            return beside
    except OSError:
        pass
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "speechunits" / "manifests" / hashlib.sha256(str(path.resolve().parent).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _read(kept: Path, state: str) -> LengthIndex | None:
    try:
        with safe_open(kept, "numpy") as f:
            about = f.metadata()
            if about.get("format") != FORMAT or about.get("state") != state:
                return None
            arrays = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 (safe_open is not a mapping)
    except (FileNotFoundError, SafetensorError):
        return None
    lines = kept.parent / about["lines"]
    if not lines.is_file():
        return None
    ids = tuple(arrays["ids"].tobytes().decode().split("\n"))
    return LengthIndex(arrays["seconds"], arrays["rates"], arrays["offsets"], ids, lines, about["hash"])


def _build(path: Path, kept: Path, state: str) -> LengthIndex:
    digest = hashlib.sha256()
    in_place = path.is_file() and path.suffix == ".jsonl"
    part = kept.with_name(f"{path.name}.{os.getpid()}.part")
    ids, seconds, rates, ends = [], [], [], [0]
    try:
        with open(os.devnull if in_place else part, "wb") as out:
            for number, line in enumerate(_lines(path, digest), 1):
                ends.append(ends[-1] + out.write(line))
                row = _row(line, f"{path}: line {number}")
                ids.append(row[0])
                seconds.append(row[1])
                rates.append(row[2])
        if not ids:
            raise UserError(f"{path} holds no cuts; run the stage that writes it again and look for its warnings")
        if len(set(ids)) < len(ids):
            twice = next(i for i, n in zip(*np.unique(ids, return_counts=True), strict=True) if n > 1)
            raise UserError(f"{path} names the cut {twice} twice; ids decide every random draw, so make them unique")
        if in_place:
            lines = path
        else:
            lines = kept.with_name(f"{path.name}.{digest.hexdigest()[:12]}.jsonl")
            os.replace(part, lines)
    finally:
        part.unlink(missing_ok=True)
    lengths = np.array(seconds)
    content = hashlib.sha256("\n".join(ids).encode() + lengths.tobytes()).hexdigest()
    index = LengthIndex(lengths, np.array(rates, np.int32), np.array(ends), tuple(ids), lines, content)
    about = {"format": FORMAT, "state": state, "hash": index.hash, "lines": os.path.relpath(lines, kept.parent)}
    arrays = {
        "seconds": index.seconds,
        "rates": index.rates,
        "offsets": index.offsets,
        "ids": np.frombuffer("\n".join(ids).encode(), np.uint8),
    }
    with writing(kept) as aside:
        save_file(arrays, aside, about)
    for old in kept.parent.glob(f"{path.name}.*.jsonl"):
        if old != lines:
            old.unlink(missing_ok=True)
    return index


def _lines(path: Path, digest: Any) -> Iterator[bytes]:
    """Every line, ended by a newline; ``digest`` sees all bytes."""
    file = None if path.is_dir() else gzip.open(path) if path.suffix == ".gz" else open(path, "rb")  # noqa: SIM115
    raw: Iterable[bytes] = scan_shar(path) if file is None else file
    try:
        for line in raw:
            digest.update(line)
            yield line if line.endswith(b"\n") else line + b"\n"
    except (OSError, EOFError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} cannot be read ({error}); make it again") from error
    finally:
        if file is not None:
            file.close()


def _row(line: bytes, where: str) -> tuple[str, float, int]:
    try:
        cut = json.loads(line)
        if cut["type"] == "MixedCut":
            mixed = deserialize_item(cut)
            return mixed.id, float(mixed.duration), int(mixed.sampling_rate)
        return str(cut["id"]), float(cut["duration"]), int((cut.get("recording") or {}).get("sampling_rate", 0))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{where} is not a cut ({type(error).__name__}: {error}); make cuts, as with `lhotse cut simple`"
        ) from error
