"""Plain YAML in, built objects out: ``load`` merges files and overrides, ``check`` finds mistakes, ``build`` builds.

A mapping with ``_target_`` (a dotted path) is a call; its other keys are the constructor's arguments. The constructor
is the schema. A required keyword-only argument (``dim``, ``hop``, ``streams``) is not typed in YAML: the parent
supplies it, so such a node reaches the parent as a ``Slot`` that the parent calls through ``fill``.
``_partial_: true`` gives a ``functools.partial`` instead (optimizers, schedules).
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from speechunits.errors import UserError as UserError
from speechunits.part import ConfigError as ConfigError
from speechunits.part import Slot, Tree, all_of, call
from speechunits.signature import accepted, locate, mistakes

# ------------------------------------------------------------------------------------------------ load


def conf_root() -> Path:
    """The folder of shipped YAML: ``conf/`` of the checkout or of the installed wheel."""
    return Path(str(importlib.resources.files("conf")))


def find(path: str | Path, beside: Path | None = None) -> Path:
    """A YAML file: as given, beside the including file, or in the shipped ``conf/``."""
    tries = [Path(path), *([beside / path] if beside else []), conf_root().parent / path, conf_root() / path]
    for candidate in tries:
        if candidate.is_file():
            return candidate
    raise UserError(f"{path}: no such configuration file; looked at {', '.join(map(str, tries))}")


def merge(under: Any, over: Any, keep_null: bool = False) -> Any:
    """Mappings merge key by key, null removes, a node whose ``_target_`` changes is replaced whole.

    ``keep_null`` leaves the nulls in, for fragments that still have to remove something from what they are laid over.
    """
    if not isinstance(over, Mapping):
        return over
    kept = under if isinstance(under, Mapping) else {}
    replaced = "_target_" in kept and kept["_target_"] != over.get("_target_", kept["_target_"])
    out = {} if replaced else dict(kept)
    for key, value in over.items():
        if value is None and not keep_null:
            out.pop(key, None)
        else:
            out[key] = merge(out.get(key), value, keep_null)
    return out


def _read(path: Path, above: tuple[Path, ...] = ()) -> Tree:
    if path.resolve() in above:
        raise UserError(f"{path}: includes itself through {above[-1]}; delete one of the includes")
    try:
        tree = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except Exception as error:  # YAML and OmegaConf raise many kinds; the user needs the file and the place
        raise UserError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path}: the top level must be a mapping of keys, found {type(tree).__name__}")
    out: Tree = {}
    include = tree.pop("include", None) or []
    for name in [include] if isinstance(include, str) else include:
        out = merge(out, _read(find(name, path.parent), (*above, path.resolve())), keep_null=True)
    return merge(out, tree, keep_null=True)


def _override(source: str) -> Any:
    try:
        return OmegaConf.to_container(OmegaConf.from_dotlist([source]), resolve=False)
    except Exception as error:
        key, _, value = source.partition("=")
        raise UserError(f"{key}: '{value}' is not readable as YAML: {' '.join(str(error).split())}") from error


def load(*sources: str | Path | Mapping[str, Any]) -> Tree:
    """Merge ``sources`` in order: YAML paths (their ``include:`` first), mappings, and ``key.path=value`` overrides.

    A ``Path`` is always a file; a string with ``=`` is always an override.

    Raises:
        UserError: a file is missing or unreadable, or an override is not ``key=value``.
    """
    tree: Tree = {}
    for source in sources:
        if isinstance(source, Mapping):
            tree = merge(tree, source)
        elif isinstance(source, Path) or (source.endswith((".yaml", ".yml")) and "=" not in source):
            tree = merge(tree, _read(find(source)))
        elif "=" in source:
            tree = merge(tree, _override(source))
        else:
            raise UserError(f"'{source}' is neither a .yaml file nor key=value")
    try:
        resolved = OmegaConf.to_container(OmegaConf.create(tree), resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError([" ".join(str(error).split())]) from error
    assert isinstance(resolved, dict)
    return resolved  # type: ignore[return-value]


def dump(tree: Mapping[str, Any]) -> str:
    """YAML text of a plain tree."""
    return OmegaConf.to_yaml(OmegaConf.create(dict(tree)))


# ------------------------------------------------------------------------------------------------ build


def _make(node: Any, path: str, supplied: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return list(all_of({i: partial(_make, v, f"{path}[{i}]", {}) for i, v in enumerate(node)}).values())
    if not isinstance(node, dict):
        return node
    inside = {k: v for k, v in node.items() if k not in ("_target_", "_partial_")}
    arguments = all_of({k: partial(_make, v, f"{path}.{k}" if path else k, {}) for k, v in inside.items()})
    if "_target_" not in node:
        return arguments
    make = locate(node["_target_"])
    if node.get("_partial_"):
        return partial(make, **arguments)
    takes = accepted(make)
    arguments |= {k: v for k, v in supplied.items() if k in takes}
    required = [k for k, p in takes.items() if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if any(k not in arguments for k in required):
        return Slot(make, arguments, node, path)
    return call(make, arguments, {**node, **{k: v for k, v in supplied.items() if k in takes}}, path)


def check(tree: Any, *, stored: bool = False) -> list[str]:
    """Every mistake that signatures show: unknown, missing and mistyped keys, unset ``???``, paths that do not import.

    Args:
        tree: a plain tree from ``load``.
        stored: the tree comes from an artefact, where supplied arguments are written out.
    """
    return list(mistakes(tree, "", stored))


def build(tree: Any, *, at: str = "", stored: bool = False, **supplied: Any) -> Any:
    """Check ``tree``, then build it; ``supplied`` are the keyword-only arguments of the root.

    ``at`` says where ``tree`` lies in the whole configuration: it begins the path of every mistake.
    A root that still lacks some of them comes back as a ``Slot`` (see ``part.fill``).

    Raises:
        ConfigError: with all mistakes at once.
    """
    if found := list(mistakes(tree, at, stored)):
        raise ConfigError(found)
    return _make(tree, at, supplied)


def check_build(tree: Any, *, at: str = "", stored: bool = False, **supplied: Any) -> list[str]:
    """Every mistake that ``check`` finds; if none, every mistake of a build on torch's meta device.

    Nothing is allocated and no weights are read: parts say what they give and need (dim, hop, streams, vocab) in their
    constructors, and what does not meet is reported with its path, siblings together.

    Args:
        tree: a plain tree from ``load``.
        at: where ``tree`` lies in the whole configuration; begins every path.
        stored: see ``check``.
        supplied: keyword-only arguments of the root.
    """
    import torch

    if found := list(mistakes(tree, at, stored)):
        return found
    try:
        with torch.device("meta"):
            _make(tree, at, supplied)
    except ConfigError as error:
        return error.mistakes
    except Exception as error:
        place = " ".join(getattr(error, "__notes__", [])) or f"while building {at or '(top)'}"
        return [f"{place.removeprefix('while building ')}: {type(error).__name__}: {' '.join(str(error).split())}"]
    return []
