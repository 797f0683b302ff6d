"""Keys of a recipe: every mistake in them is named before anything is made; help."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from speechunits import ranks, recipe
from speechunits.errors import UserError
from speechunits.part import ConfigError
from tests.toy_recipe import calls, fault, files, toy


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    calls.clear()
    fault.clear()
    for name in ranks.LAUNCHED:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["out=X", "sise=3"], "sise: toy has no 'sise'; did you mean 'size'?"),
        (["out=X"], "(top): toy needs 'size'"),
        (["size=3"], "(top): toy needs 'out'"),
        (["out=X", "size=many"], "size: toy takes size: int, found 'many'"),
        (["out=X", "size=3", "rate=true"], "rate: toy takes rate: float, found True"),
        (["out=X", "size=???"], "size: must be given, for example size=... on the command line"),
        (["out=X", "size=3", "parts._target_=torch.nn.Lineal"], "parts._target_: cannot import 'torch.nn.Lineal'"),
        (["out=X", "size=3", "parts.a.b=???"], "parts.a.b: must be given"),
    ],
)
def test_mistakes_in_keys(arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as found:
        recipe.run(toy, arguments)
    assert any(says in line for line in found.value.mistakes), found.value
    assert not calls and not files(tmp_path), "nothing was made"


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as found:
        recipe.run(toy, ["siez=1", "rate=fast", "parts._target_=no.such", "parts.x=???"])
    text = str(found.value)
    assert text.startswith("6 mistake(s)")
    for says in ("did you mean 'size'", "rate: float", "no.such", "parts.x", "needs 'out'", "needs 'size'"):
        assert says in text


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("--size", "'--size' is neither a .yaml file nor key=value"),
        ("missing.yaml", "missing.yaml: no such configuration file"),
        ("size=[1,", "size: '[1,' is not readable as YAML"),
        ("size={a: b: c}", "size: '{a: b: c}' is not readable as YAML"),
        ("size=${nowhere}", "Interpolation key 'nowhere' not found"),
    ],
)
def test_arguments_that_cannot_be_read(argument: str, says: str) -> None:
    with pytest.raises(UserError) as found:
        recipe.run(toy, ["out=X", argument])
    assert says in str(found.value)


def test_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["toy", "--help"])
    recipe.main(toy)
    said = capsys.readouterr().out
    assert said.startswith("A recipe that doubles a size") and "size: 'int'" in said and "rate: 'float' = 0.5" in said
