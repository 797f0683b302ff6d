"""Artefacts are folders: ``config.yaml`` (the call that rebuilds it), ``weights.safetensors``, ``meta.json``.

No pickles. A folder is written aside and renamed, so a half-written one never carries the final name. Its fingerprint
is the format version plus a hash of the weights and of the arguments that differ from the defaults at saving time, so
an argument added later with its default leaves old fingerprints alone; all arguments are written out, so a default
changed later leaves old artefacts alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from speechunits import __version__
from speechunits.config import ConfigError, build, dump, load, merge
from speechunits.errors import UserError
from speechunits.part import Tree, node_of
from speechunits.signature import accepted, locate

FORMAT = 1
RENAMED: dict[str, str] = {}  # old dotted path -> new one, for artefacts written before a rename


# ------------------------------------------------------------------------------------------------ files


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """A temporary file or folder beside ``path`` that takes its name only if the block ends well.

    Raises:
        UserError: the disk is full or the place is not writable; nothing is left behind.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(aside)  # of a killed process with the same number, as in restarted containers
        yield aside
        readable(aside)
        if aside.is_dir() and path.exists():
            old = path.with_name(f".{path.name}.{os.getpid()}.old")
            os.rename(path, old)
            try:
                os.rename(aside, path)
            except OSError:
                os.rename(old, path)
                raise
            _remove(old)
        else:
            os.replace(aside, path)
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be written ({why}); free some space or choose another place") from error
    finally:
        _remove(aside)


def readable(path: Path) -> None:
    """Give ``path``, or all files in that folder, the usual mode of new files: safetensors writes for the owner alone."""
    umask = os.umask(0o077)
    os.umask(umask)
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file():
            file.chmod(0o666 & ~umask)


def check_place(path: str | Path) -> None:
    """Find out now whether something can be written there, before it takes hours to make.

    Raises:
        UserError: it cannot.
    """
    if Path(path).is_dir():
        raise UserError(f"{path}: is a folder; give the name of a file in it")
    place = Path(path).absolute().parent
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); choose another place") from error


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):  # not there, or in a place that the error in flight is about
            path.unlink()


def write_text(path: str | Path, text: str) -> None:
    """Write a small file whole or not at all."""
    with writing(path) as aside, open(aside, "w", encoding="utf-8") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())


def write_json(path: str | Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Parse a JSON file.

    Raises:
        UserError: missing or damaged.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: missing or not JSON ({error}); run the stage that writes it again") from error


# ------------------------------------------------------------------------------------------------ fingerprints


def _complete(node: Any, *, differing: bool) -> Any:
    """``node`` with every default written out, or (``differing``) with what equals its default left out."""
    if isinstance(node, list):
        return [_complete(v, differing=differing) for v in node]
    if not isinstance(node, dict):
        return node
    out = {k: _complete(v, differing=differing) for k, v in node.items()}
    if "_target_" in node:
        for name, p in accepted(locate(node["_target_"])).items():
            if p.default is inspect.Parameter.empty:
                continue
            default = list(p.default) if isinstance(p.default, tuple) else p.default
            if differing and name in out and out[name] == default:
                del out[name]
            elif not differing and name not in out and isinstance(default, (bool, int, float, str, list)):
                out[name] = default
    return out


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, types, shapes and bytes, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        t = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{t.dtype}|{tuple(t.shape)}|".encode())
        digest.update(t.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def fingerprint(node: Tree, tensors: Mapping[str, Tensor]) -> str:
    """16 hex digits that name an artefact by content, never by path or time."""
    arguments = json.dumps(_complete(node, differing=True), sort_keys=True, default=str)
    return hashlib.sha256(f"{FORMAT}|{hash_tensors(tensors)}|{arguments}".encode()).hexdigest()[:16]


def identity(module: nn.Module) -> str:
    """The fingerprint of a built module, as ``save`` would give it."""
    return fingerprint(_complete(node_of(module), differing=False), module.state_dict())


# ------------------------------------------------------------------------------------------------ artefacts


def save(module: nn.Module, folder: str | Path, *, derived_from: Sequence[str] = (), **facts: Any) -> str:
    """Save a built module as a folder and return its fingerprint.

    Args:
        module: made by ``config.build`` (its configuration travels with it).
        folder: replaced whole if it exists.
        derived_from: fingerprints of the artefacts it was made from.
        facts: further JSON facts for ``meta.json`` (training figures, layer, units of measure).
    """
    node = _complete(node_of(module), differing=False)
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in module.state_dict().items()}
    name = fingerprint(node, tensors)
    config = dump(node)
    meta = {
        "format": FORMAT,
        "fingerprint": name,
        "derived_from": list(derived_from),
        "config_sha256": hashlib.sha256(config.encode()).hexdigest(),
        "weights_sha256": hash_tensors(tensors),
        "speechunits": __version__,
        **facts,
    }
    with writing(folder) as aside:
        aside.mkdir()
        save_file(tensors, aside / "weights.safetensors")
        write_text(aside / "config.yaml", config)
        write_json(aside / "meta.json", meta)
    return name


def read_meta(folder: str | Path) -> dict[str, Any]:
    """The facts of an artefact without its weights.

    Raises:
        UserError: not an artefact folder, or written by a newer format.
    """
    folder = Path(folder)
    if not (folder / "meta.json").is_file():
        raise UserError(f"{folder}: not an artefact folder (meta.json is missing); give a folder that a recipe saved")
    meta = read_json(folder / "meta.json")
    needs = {"format", "fingerprint", "derived_from", "config_sha256", "weights_sha256"}
    if not isinstance(meta, dict) or not needs <= meta.keys() or meta["format"] not in range(1, FORMAT + 1):
        raise UserError(f"{folder}/meta.json: of a newer speechunits or damaged; this one reads format {FORMAT}")
    return meta


def read_node(folder: str | Path) -> Tree:
    """The configuration of an artefact, renames applied."""
    meta, path = read_meta(folder), Path(folder) / "config.yaml"
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != meta["config_sha256"]:
        raise UserError(f"{path}: changed or damaged since it was saved; save the artefact again")

    def rename(node: Any) -> Any:
        if isinstance(node, list):
            return [rename(v) for v in node]
        if isinstance(node, dict):
            return {k: RENAMED.get(v, v) if k == "_target_" else rename(v) for k, v in node.items()}
        return node

    return rename(load(path))


def restore(
    folder: str | Path,
    device: str | torch.device = "cpu",
    expect: type | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Any:
    """Rebuild what ``save`` wrote, weights checked, in eval mode; on torch's meta device without reading weights.

    Args:
        changes: laid over its configuration: what a new training sets otherwise (dropout, masks) and no weight depends on.

    Raises:
        UserError: a file is missing, damaged, or holds something else than ``expect``; changed, it has other weights, or what
            is to be changed is not there.
    """
    meta, node = read_meta(folder), read_node(folder)
    for name, change in (changes or {}).items():
        if name not in node and isinstance(change, Mapping) and "_target_" not in change:
            raise UserError(
                f"{folder}: has no {name} that changes.{name} could change; take it out (changes.{name}=null)"
            )
    node = merge(node, changes or {})
    new = "the changes asked for" if changes else "this version of the code"
    try:
        module = build(node, stored=True)
    except ConfigError as error:
        raise UserError(f"{folder}: does not fit {new}: {error}") from error
    module.fingerprint = meta["fingerprint"]
    if expect is not None and not isinstance(module, expect):
        raise UserError(f"{folder}: holds a {type(module).__name__}, but a {expect.__name__} is needed here")
    if torch.get_default_device().type == "meta":
        return module.eval()
    path = Path(folder) / "weights.safetensors"
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: missing or damaged ({error}); save the artefact again") from error
    if hash_tensors(tensors) != meta["weights_sha256"]:
        raise UserError(f"{path}: its checksum does not match meta.json; the file is damaged or was exchanged")
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(f"{path}: does not fit {new}: {' '.join(str(error).split())}") from error
    return module.to(device).eval()


def untrained(folder: str | Path, seed: int = 0) -> Any:
    """The architecture of an artefact with fresh weights, in eval mode: the baseline that training has to beat."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(read_node(folder), stored=True).eval()
