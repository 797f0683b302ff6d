"""Constructors as schemas: which arguments a dotted path takes, and which mistakes a tree of them holds."""

from __future__ import annotations

import difflib
import importlib
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from torch import nn

from speechunits.errors import UserError

_KINDS_OUT = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def locate(path: str) -> Callable[..., Any]:
    """The class or function behind a dotted path; a user's own module works the same.

    Raises:
        UserError: the path does not import.
    """
    module, _, name = str(path).rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"cannot import '{path}' ({error})") from error


def accepted(make: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Named parameters of a callable; ``**kwargs`` of a constructor are followed up its base classes."""
    out: dict[str, inspect.Parameter] = {}
    for cls in getattr(make, "__mro__", [make]):
        fn = cls.__dict__.get("__init__") if inspect.isclass(cls) else cls
        if fn is None:
            continue
        parameters = inspect.signature(fn).parameters
        out |= {n: p for n, p in parameters.items() if n not in {"self", *out} and p.kind not in _KINDS_OUT}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            break
    return out


def _hints(make: Callable[..., Any]) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    for cls in reversed(getattr(make, "__mro__", [make])):
        fn = cls.__dict__.get("__init__") if inspect.isclass(cls) else cls
        try:
            hints |= typing.get_type_hints(fn) if fn is not None else {}
        except (NameError, TypeError):  # annotations that exist only for type checkers: nothing to check against
            continue
    return hints


def _fits(value: Any, hint: Any) -> bool:
    """Whether a YAML value can be of the annotated type; anything not plainly wrong passes."""
    origin, args = get_origin(hint), get_args(hint)
    if isinstance(value, dict) and "_target_" in value:
        return hint not in (int, float, str, bool)
    if origin in (Union, types.UnionType):
        return any(_fits(value, a) for a in args)
    if origin is Literal:
        return value in args
    if hint in (Any, object) or isinstance(hint, TypeVar):
        return True
    if hint is bool or isinstance(value, bool):
        return hint is bool and isinstance(value, bool)
    if hint is int:
        return isinstance(value, int)
    if hint is float:
        return isinstance(value, (int, float))
    if hint in (str, Path):
        return isinstance(value, str)
    if hint is Fraction:
        return isinstance(value, (int, str))
    kind = origin or hint
    if not isinstance(kind, type) or getattr(kind, "_is_protocol", False):
        return True
    if issubclass(kind, Mapping):
        return isinstance(value, Mapping) and all(_fits(v, args[1]) for v in value.values() if args)
    if issubclass(kind, Sequence):
        return isinstance(value, list) and all(_fits(v, args[0]) for v in value if args)
    return isinstance(value, kind)  # a part must be a mapping with _target_


def _says(hint: Any) -> str:
    return getattr(hint, "__name__", None) if isinstance(hint, type) else str(hint).replace("typing.", "")  # type: ignore[return-value]


def mistakes(node: Any, path: str, stored: bool) -> Iterator[str]:
    """Each mistake under ``node`` as one line: where, what, and what to do."""
    if isinstance(node, list):
        for i, value in enumerate(node):
            yield from mistakes(value, f"{path}[{i}]", stored)
    elif isinstance(node, dict):
        if "_target_" in node:
            yield from _call_mistakes(node, path, stored)
        for key, value in node.items():
            yield from mistakes(value, f"{path}.{key}" if path else str(key), stored)
    elif node == "???":
        yield f"{path}: must be given, for example {path}=... on the command line"


def _is_part(make: Any) -> bool:
    """Whether an artefact may name it: a folder from elsewhere must not call whatever it likes (``os.system``)."""
    return inspect.isclass(make) and (issubclass(make, nn.Module) or make.__module__.startswith("speechunits."))


def _call_mistakes(node: dict[str, Any], path: str, stored: bool) -> Iterator[str]:
    try:
        make = locate(node["_target_"])
    except UserError as error:
        yield f"{path}._target_: {error}".removeprefix(".")
        return
    if stored and not _is_part(make):
        yield f"{path or '(top)'}: an artefact is made of parts, and {node['_target_']} is none; do not use this folder"
        return
    takes, hints, name = accepted(make), _hints(make), getattr(make, "__name__", str(make))
    for key, value in node.items():
        at = f"{path}.{key}" if path else key
        if key in ("_target_", "_partial_"):
            continue
        if key not in takes:
            close = difflib.get_close_matches(key, takes, 1, 0.5)
            hint = f"did you mean '{close[0]}'?" if close else f"it takes: {', '.join(takes) or 'nothing'}"
            yield f"{at}: {name} has no '{key}'; {hint}"
        elif (
            takes[key].kind is inspect.Parameter.KEYWORD_ONLY
            and takes[key].default is inspect.Parameter.empty
            and not stored
        ):
            yield f"{at}: '{key}' of {name} is supplied by what contains it; delete the line"
        elif key in hints and value != "???" and not _fits(value, hints[key]):
            yield f"{at}: {name} takes {key}: {_says(hints[key])}, found {value!r}"
    if not node.get("_partial_"):
        for key, p in takes.items():
            if p.default is p.empty and p.kind is not p.KEYWORD_ONLY and key not in node:
                yield f"{path or '(top)'}: {name} needs '{key}'"
