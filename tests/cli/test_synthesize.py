"""``speechunits synthesize``: a text becomes a sound file, whole or not at all."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import pytest

from speechunits import store
from speechunits.commands import synthesize
from speechunits.data.read_audio import read_audio
from speechunits.errors import UserError
from tests.tasks.alphabet import knows_lengths, make, speaker_table
from tests.tasks.test_synthesis import vocoder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models")
    model = knows_lengths(make("units", conditions=speaker_table()), "units")
    store.save(model, out / "text_to_units", kind="text_to_units")
    store.save(vocoder(), out / "vocoder", kind="vocoder")
    return out


def call(folders: Path, *arguments: object) -> None:
    parser = argparse.ArgumentParser()
    synthesize.add(parser.add_subparsers())
    models = ["--model", folders / "text_to_units", "--vocoder", folders / "vocoder"]
    args: Any = parser.parse_args(["synthesize", *map(str, [*arguments, *models])])
    args.do(args)


def test_text_becomes_sound(folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call(folders, "Abc dad. Bad!", "--speaker", "bob", "-o", tmp_path / "deep" / "a.wav")
    audio = read_audio(tmp_path / "deep" / "a.wav")
    assert audio.data.size(1) > 4000 and float(audio.data.abs().max()) > 0.01
    monkeypatch.setattr("sys.stdin", io.StringIO("Abc dad. Bad!\n"))
    call(folders, "-", "--speaker", "bob", "-o", tmp_path / "b.wav")
    assert (tmp_path / "b.wav").read_bytes() == (tmp_path / "deep" / "a.wav").read_bytes()


def test_another_search_with_a_seed(folders: Path, tmp_path: Path) -> None:
    said = ["abc", "--speaker", "ann", "--search", "unit_search/sampled.yaml"]
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        call(folders, *said, "--seed", seed, "-o", tmp_path / f"{name}.wav")
    a, b, c = ((tmp_path / f"{name}.wav").read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["abc"], "the text_to_units is told a speaker in training; give one"),
        (["abc", "--speaker", "eve"], "no speaker 'eve'"),
        (["xyz", "--speaker", "ann"], r"'x', 'y', 'z' of 'xyz' not among the 6 symbols"),
        ([" ", "--speaker", "ann"], "there is no text to say"),
        (["abc", "--speaker", __file__], "a recording is heard by a --speaker-encoder"),
        (["abc", "--speaker-encoder", "x"], "hears a recording; give one as --speaker"),
        (["abc", "--speaker", "ann", "--search", "conf/text/words.yaml"], "has no model.search"),
    ],
)
def test_mistakes_leave_no_file(folders: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        call(folders, *arguments, "-o", tmp_path / "a.wav")
    assert list(tmp_path.iterdir()) == []
