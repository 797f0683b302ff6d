"""Constructors as schemas: every kind of mistake, with its path and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import pytest
from torch import nn

from speechunits.errors import UserError
from speechunits.part import Part
from speechunits.signature import accepted, locate, mistakes

HERE = __name__


class Below:
    def __init__(self, depth: int = 1, **rest: Any) -> None: ...


class Above(Below):
    def __init__(self, width: float = 2.0, **rest: Any) -> None:
        super().__init__(**rest)


class Everything:
    def __init__(
        self,
        count: int = 1,
        rate: float = 1.0,
        name: str = "a",
        flag: bool = False,
        kind: Literal["one", "two"] = "one",
        sizes: Sequence[int] = (1,),
        hop: Fraction | str = "1/50",
        table: Mapping[str, float] = {},
        part: Part[nn.Module] | None = None,
        parts: Mapping[str, Part[nn.Module]] = {},
        folder: Path | None = None,
        act: Callable[[float], float] | None = None,
        free: Any = None,
        pair: tuple[int, ...] = (1,),
    ) -> None: ...


class Needs(nn.Module):
    def __init__(self, here: int, *, dim: int, style: str = "plain") -> None: ...


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dotted paths into this file, whose module name depends on how pytest imports it."""
    import sys

    monkeypatch.setitem(sys.modules, "signature_cases", sys.modules[HERE])


def found(target: str, stored: bool = False, **arguments: Any) -> list[str]:
    return list(mistakes({"_target_": f"signature_cases.{target}", **arguments}, "model", stored))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("count", 3), ("rate", 1), ("rate", 0.5), ("name", "b"), ("flag", True), ("kind", "two"), ("sizes", [1, 2]),
        ("hop", "1/25"), ("table", {"a": 1.0}), ("part", {"_target_": "torch.nn.Identity"}), ("folder", "exp/x"),
        ("parts", {"a": {"_target_": "torch.nn.Identity"}}), ("free", [1, {"a": None}]), ("pair", [1, 2]),
    ],
)  # fmt: skip
def test_what_fits_passes(key: str, value: Any):
    assert found("Everything", **{key: value}) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("count", 1.5), ("count", "3"), ("count", True), ("rate", "fast"), ("name", 3), ("flag", 1), ("flag", "yes"),
        ("kind", "three"), ("sizes", 4), ("sizes", [1, "2"]), ("sizes", True), ("table", 3), ("table", {"a": "b"}),
        ("part", 5), ("part", "torch.nn.Identity"), ("parts", {"a": 5}), ("folder", 5), ("act", "relu"), ("pair", 3),
        ("count", {"_target_": "torch.nn.Identity"}),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(key: str, value: Any):
    (line,) = found("Everything", **{key: value})
    assert line.startswith(f"model.{key}: Everything takes {key}: ") and line.endswith(f"found {value!r}")


def test_unknown_keys_get_a_suggestion_or_the_list():
    assert found("Needs", here=1, stile="x") == ["model.stile: Needs has no 'stile'; did you mean 'style'?"]
    assert found("Needs", here=1, zzz=1) == ["model.zzz: Needs has no 'zzz'; it takes: here, dim, style"]


def test_missing_and_supplied_arguments():
    assert found("Needs") == ["model: Needs needs 'here'"]
    assert found("Needs", here=1, dim=3) == [
        "model.dim: 'dim' of Needs is supplied by what contains it; delete the line"
    ]
    assert found("Needs", stored=True, here=1, dim=3) == []
    assert found("Needs", here=1, style="bold") == []  # keyword-only with a default may be typed


def test_an_artefact_names_parts_alone():
    for target in ("os.system", "subprocess.Popen", "speechunits.store.write_text"):
        (line,) = mistakes({"_target_": target}, "model", True)
        assert line == f"model: an artefact is made of parts, and {target} is none; do not use this folder"


def test_unset_values_and_what_does_not_import():
    assert found("Needs", here="???") == ["model.here: must be given, for example model.here=... on the command line"]
    (line,) = mistakes({"a": [{"_target_": "no.such.Thing"}]}, "", False)
    assert line.startswith("a[0]._target_: cannot import 'no.such.Thing'")


def test_partial_nodes_may_lack_arguments_but_not_invent_them():
    assert found("Needs", _partial_=True) == []
    assert "did you mean 'here'" in found("Needs", _partial_=True, her=1)[0]


def test_kwargs_are_followed_up_the_base_classes():
    assert list(accepted(Above)) == ["width", "depth"]
    assert found("Above", depth="x", width=1) == ["model.depth: Above takes depth: int, found 'x'"]


def test_locate_names_the_path():
    assert locate("torch.nn.Linear") is nn.Linear
    for path in ("torch.nn.Linearr", "Linear", "no_such_package.x"):
        with pytest.raises(UserError, match=f"cannot import '{path}'"):
            locate(path)
