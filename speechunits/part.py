"""Part: a built piece, or what builds it once its parent has said what it supplies (dim, hop, streams)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from speechunits.errors import UserError
from speechunits.signature import accepted

T = TypeVar("T")
Part = T | Callable[..., T]
Tree = dict[str, Any]


class ConfigError(UserError):
    """All mistakes of one configuration, each with where it is and what to do."""

    def __init__(self, found: Iterable[str]) -> None:
        self.mistakes = list(found)
        super().__init__(f"{len(self.mistakes)} mistake(s) in the configuration:\n  " + "\n  ".join(self.mistakes))


class Slot:
    """A part that waits for what its parent supplies. Call it through ``fill``."""

    def __init__(self, make: Callable[..., Any], arguments: Tree, node: Tree, path: str) -> None:
        self.make, self.arguments, self.node, self.path = make, arguments, node, path

    def __call__(self, **supplied: Any) -> Any:
        return call(self.make, {**self.arguments, **supplied}, {**self.node, **supplied}, self.path)


def fill(part: Part[T], **supplied: Any) -> T:
    """Build a part that waits, giving it those of ``supplied`` that it takes; a built part comes back as it is."""
    if isinstance(part, (Slot, partial)) or inspect.isclass(part):
        make = part.make if isinstance(part, Slot) else part
        takes = accepted(make)
        return part(**{k: v for k, v in supplied.items() if k in takes})
    return part  # type: ignore[return-value]


def fill_all(parts: Mapping[str, Part[T]], **supplied: Any) -> dict[str, T]:
    """``fill`` each; all that fail are reported together."""
    out, bad = {}, []
    for name, part in parts.items():
        try:
            out[name] = fill(part, **supplied)
        except ConfigError as error:
            bad += error.mistakes
    if bad:
        raise ConfigError(bad)
    return out


def call(make: Callable[..., Any], arguments: Tree, node: Tree, path: str) -> Any:
    try:
        made = make(**arguments)
    except ConfigError:
        raise
    except (ValueError, TypeError) as error:
        raise ConfigError([f"{path or '(top)'}: {getattr(make, '__name__', make)}: {error}"]) from error
    if hasattr(made, "__dict__"):
        object.__setattr__(made, "_node", node)  # past nn.Module's bookkeeping: a plain dict, never state
    return made


def node_of(made: Any) -> Tree:
    """The configuration that rebuilds ``made``, with what parents supplied and every default written out.

    Raises:
        UserError: ``made`` or one of its parts was not built by ``build`` / ``fill`` from a configuration.
    """
    node = getattr(made, "_node", None)
    if node is None:
        raise UserError(
            f"{type(made).__name__} was built by hand; only what config.build made can be saved as a folder"
        )
    return node
