"""LengthIndex: what the batch plan must know of a manifest, built once and kept beside it."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import logging
import os
import time
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from lhotse.serialization import deserialize_item
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from speechunits.data.ids import Ids, first_repeated
from speechunits.data.shar import scan_shar
from speechunits.errors import UserError
from speechunits.store import writing

FORMAT = "2"
ARRAYS = {
    **{"seconds": np.float64, "rates": np.int32, "offsets": np.int64},
    **{"text": np.uint8, "ends": np.int64, "hashes": np.int64, "order": np.int32},
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LengthIndex:
    """One row per cut of a manifest, about 60 bytes; read back, it is mapped and not copied.

    Args:
        seconds: (N,) float64, durations.
        rates: (N,) int32, sampling rate of the recording in Hz; 0 where a cut has none of its own.
        offsets: (N + 1,) int64, byte range of each cut's line in ``lines``.
        ids: of the cuts.
        lines: a plain .jsonl file, one cut per line: the manifest itself, or a decompressed copy of it.
        hash: sha256 of ids and durations: the batch plan depends on it, and not on where the audio lies.
    """

    seconds: np.ndarray
    rates: np.ndarray
    offsets: np.ndarray
    ids: Ids
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
    about = [(s.name, s.stat()) for s in sources if s.is_file()]
    text = json.dumps([[name, s.st_size, s.st_mtime_ns, s.st_ino] for name, s in about])
    state = hashlib.sha256(text.encode()).hexdigest()
    kept = _store(path) / f"{path.name}.index.safetensors"
    if (index := _read(kept, state)) is not None:
        return index
    with _alone(kept.with_name(f"{path.name}.lock")):  # the others wait for the first, and read what it made
        if (index := _read(kept, state)) is None:
            _build(path, kept, state)
            index = _read(kept, state)
    assert index is not None
    return index


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with open(lock, "w") as held:
        with suppress(OSError):  # a file system without locks: every process builds the same
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


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
    """The index in ``kept`` if it is whole and of this state: mapped, so that a process holds the pages it touches and
    those of one machine share them."""
    try:
        with safe_open(kept, "numpy") as f:
            about = f.metadata()
    except (FileNotFoundError, SafetensorError):
        return None
    if about.get("format") != FORMAT or about.get("state") != state:
        return None
    lines = kept.parent / about["lines"]
    if not lines.is_file():
        return None
    arrays = _mapped(kept)
    ids = Ids(*(arrays[name] for name in ("text", "ends", "hashes", "order")))
    return LengthIndex(arrays["seconds"], arrays["rates"], arrays["offsets"], ids, lines, about["hash"])


def _mapped(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, read when they are used."""
    with open(path, "rb") as f:
        size = int.from_bytes(f.read(8), "little")
        header = json.loads(f.read(size))
    data = np.asarray(np.memmap(path, np.uint8, "r", 8 + size))
    return {name: data[slice(*header[name]["data_offsets"])].view(kind) for name, kind in ARRAYS.items()}


def _build(path: Path, kept: Path, state: str) -> None:
    begin = time.monotonic()
    digest = hashlib.sha256()
    in_place = path.is_file() and path.suffix == ".jsonl"
    part = kept.with_name(f"{path.name}.{os.getpid()}.part")
    seconds, rates, offsets = array("d"), array("i"), array("q", [0])

    def rows(out: IO[bytes]) -> Iterator[str]:
        for number, line in enumerate(_lines(path, digest), 1):
            offsets.append(offsets[-1] + out.write(line))
            name, length, rate = _row(line, f"{path}: line {number}")
            seconds.append(length)
            rates.append(rate)
            yield name

    try:
        with open(os.devnull if in_place else part, "wb") as out:
            ids = Ids.pack(rows(out))
        if not len(ids):
            raise UserError(f"{path} holds no cuts; run the stage that writes it again and look for its warnings")
        if (twice := first_repeated([ids])) is not None:
            raise UserError(f"{path} names the cut {twice} twice; ids decide every random draw, so make them unique")
        if in_place:
            lines = path
        else:
            lines = kept.with_name(f"{path.name}.{digest.hexdigest()[:12]}.jsonl")
            os.replace(part, lines)
    finally:
        part.unlink(missing_ok=True)
    arrays: dict[str, np.ndarray] = {
        "seconds": np.frombuffer(seconds),
        "rates": np.frombuffer(rates, np.int32),
        "offsets": np.frombuffer(offsets, np.int64),
        **{"text": ids.text, "ends": ids.ends, "hashes": ids.hashes, "order": ids.order},
    }
    content = hashlib.sha256(ids.text[:-1].data)  # without the last newline: as format 1, or all plans change
    content.update(arrays["seconds"].data)
    about = {"format": FORMAT, "state": state, "hash": content.hexdigest()}
    with writing(kept) as aside:
        save_file(arrays, aside, {**about, "lines": os.path.relpath(lines, kept.parent)})
    for old in kept.parent.glob(f"{path.name}.*.jsonl"):
        if old != lines:
            old.unlink(missing_ok=True)
    log.info("%s: indexed %d cuts in %.0f s", path, len(ids), time.monotonic() - begin)


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
