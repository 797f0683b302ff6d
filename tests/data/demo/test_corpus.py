from __future__ import annotations

import json
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speechunits.data.demo import corpus as module
from speechunits.data.demo.corpus import MARK, make_demo_corpus
from speechunits.errors import UserError

pytestmark = pytest.mark.slow
Cuts = Callable[[str, str], list[Any]]
Sizes = dict[str, dict[str, int]]


def test_manifests_and_mark_agree(corpus: Path, cuts: Cuts, sizes: Sizes) -> None:
    mark = json.loads((corpus / MARK).read_text(encoding="utf-8"))
    for split, size in sizes.items():
        for language, count in (("en", size["sentences"]), ("es", size["spanish"])):
            found, told = cuts(split, language), mark["cuts"][f"{split}_{language}"]
            assert len(found) == count == told["utterances"]
            assert sum(cut.duration for cut in found) == pytest.approx(told["seconds"], abs=1e-2)
    assert not list(corpus.parent.glob("*.partial"))


def test_a_manifest_for_each_split_that_was_asked_for(espeak_installed: None, tmp_path: Path) -> None:
    some = {"sentences": 2, "spanish": 0, "speakers": 2}
    made = make_demo_corpus(tmp_path / "c", train=some, valid=some, test=some, pairs=some, seen=1, workers=1)
    counts = {name: count["utterances"] for name, count in made["cuts"].items()}
    assert counts == {"train_en": 2, "valid_en": 2, "test_en": 2, "pairs_en": 2, "test_seen_en": 1, "pairs_seen_en": 1}
    assert {path.name.split(".")[0] for path in (tmp_path / "c").glob("cuts_*")} == {f"cuts_{name}" for name in counts}


def test_cuts_load_from_any_folder(cuts: Cuts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for cut in cuts("valid", "en") + cuts("valid", "es"):
        audio = cut.load_audio()
        assert audio.shape == (1, cut.num_samples) and cut.sampling_rate == 16000
        assert 0.05 < np.abs(audio).max() < 1


def test_phones_tile_the_utterance(cuts: Cuts) -> None:
    for cut in cuts("train", "en") + cuts("train", "es"):
        (supervision,) = cut.supervisions
        phones = supervision.alignment["phone"]
        assert phones[0].start == 0 and phones[-1].end == pytest.approx(cut.duration, abs=2e-5)
        assert phones[0].symbol == phones[-1].symbol == "sil"
        assert all(a.end == pytest.approx(b.start, abs=1e-6) for a, b in pairwise(phones))
        assert all(phone.duration > 0 for phone in phones)
        assert len(supervision.custom["stress"]) == len(phones) and 1 in supervision.custom["stress"]
        assert not any(mark in phone.symbol for phone in phones for mark in "ˈˌ\ufffd(")


def test_words_give_the_text_back(cuts: Cuts) -> None:
    for cut in cuts("train", "en") + cuts("train", "es"):
        words = cut.supervisions[0].alignment["word"]
        assert " ".join(word.symbol for word in words) == cut.supervisions[0].text
        assert all(a.end <= b.start + 1e-6 for a, b in pairwise(words))


def test_pairs_and_people(cuts: Cuts) -> None:
    english = {cut.pair: cut.supervisions[0] for cut in cuts("test", "en")}
    for cut in cuts("test", "es"):
        assert cut.supervisions[0].speaker == "f00" and cut.supervisions[0].language == "es"
        assert english[cut.pair].language == "en"
    assert {s.gender for s in english.values()} == {"female", "male"}


def test_a_whole_corpus_is_kept_and_not_mistaken(
    corpus: Path, sizes: Sizes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("rendered again")

    monkeypatch.setattr(module, "render", never)
    before = (corpus / MARK).read_bytes()
    assert make_demo_corpus(corpus, **sizes) == json.loads(before)
    with pytest.raises(UserError, match=r"seed was 0 and is now 1.*delete it"):
        make_demo_corpus(corpus, **sizes, seed=1)
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match="not a whole demo corpus"):
        make_demo_corpus(tmp_path, **sizes)
    assert (tmp_path / "mine.txt").exists() and (corpus / MARK).read_bytes() == before


@pytest.mark.usefixtures("espeak_installed")
def test_an_interrupted_corpus_is_made_afresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = {"sentences": 3, "spanish": 1, "speakers": 2}
    out, real = tmp_path / "out", module.render

    def interrupted(*args: Any) -> Any:
        renderings = real(*args)
        yield next(renderings)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "render", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_demo_corpus(out, train=some, valid=some, test=some, workers=1)
    assert not out.exists() and list((tmp_path / "out.partial" / "audio").iterdir())
    monkeypatch.setattr(module, "render", real)
    made = make_demo_corpus(out, train=some, valid=some, test=some, seed=5, workers=1)
    assert os.listdir(tmp_path) == ["out"]
    assert len(list((out / "audio").iterdir())) == 12 == sum(cuts["utterances"] for cuts in made["cuts"].values())
