"""Part: a built piece, or what builds it once its parent has said what it supplies (dim, hop, streams)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias, TypeVar

from speechunits.errors import UserError
from speechunits.signature import accepted

T = TypeVar("T")
K = TypeVar("K")
Part: TypeAlias = T | Callable[..., T]
Tree = dict[str, Any]


class ConfigError(UserError):
    """All mistakes of one configuration, each with where it is and what to do."""

    def __init__(self, found: Iterable[str]) -> None:
        self.mistakes = list(found)
        super().__init__(f"{len(self.mistakes)} mistake(s) in the configuration:\n  " + "\n  ".join(self.mistakes))


class Slot:
    """A part that waits for what its parent supplies. Call it through ``fill``."""

    def __init__(self, make: Callable[..., Any], arguments: Tree, node: Tree, path: str) -> None:
        self.make, self.arguments, self.path = make, arguments, path
        self.node = self._node = _described(arguments, node)

    def __call__(self, **supplied: Any) -> Any:
        return call(self.make, {**self.arguments, **supplied}, {**self.node, **supplied}, self.path)


def fill(part: Part[T], **supplied: Any) -> T:
    """Build a part that waits, giving it those of ``supplied`` that it takes; a built part comes back as it is."""
    if isinstance(part, (Slot, partial)) or inspect.isclass(part):
        make = part.make if isinstance(part, Slot) else part
        takes = accepted(make)
        return part(**{k: v for k, v in supplied.items() if k in takes})  # type: ignore[return-value]
    return part  # type: ignore[return-value]


def fill_all(parts: Mapping[str, Part[T]], **supplied: Any) -> dict[str, T]:
    """``fill`` each; all that fail are reported together."""
    return all_of({name: partial(fill, part, **supplied) for name, part in parts.items()})


def all_of(makes: Mapping[K, Callable[[], T]]) -> dict[K, T]:
    """Call each; all that fail are reported together."""
    out, bad = {}, []
    for key, make in makes.items():
        try:
            out[key] = make()
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
    except Exception as error:  # not the user's mistake, or not surely: the traceback stays, with the place
        if not hasattr(error, "__notes__"):
            error.add_note(f"while building {path or '(top)'}")
        raise
    if hasattr(made, "__dict__") and not hasattr(made, "_node"):
        object.__setattr__(
            made, "_node", _described(arguments, node)
        )  # past nn.Module's bookkeeping: a plain dict, never state
    return made


def _described(argument: Any, node: Any) -> Any:
    """The configuration of an argument: a part restored from a folder is described by what it is, not by the path."""
    if isinstance(argument, list) and isinstance(node, list):
        return [_described(a, n) for a, n in zip(argument, node, strict=True)]
    if isinstance(argument, dict) and isinstance(node, dict) and argument.keys() <= node.keys():
        return {k: _described(argument[k], v) if k in argument else v for k, v in node.items()}
    return getattr(argument, "_node", node)


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
