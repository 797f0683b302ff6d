"""Transcripts to a language model, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lhotse import CutSet

from recipes.fit_ngram import fit_ngram
from speechunits import recipe, store
from speechunits.decode.arpa import read_arpa
from speechunits.decode.ngram import NGram
from speechunits.errors import UserError
from speechunits.text.characters import Characters
from tests.recipes.toy import Corpus


def test_a_model_of_the_symbols_of_a_tokenizer(language: tuple[Path, dict[str, Any]], letters: Path) -> None:
    out, mark = language
    lm, symbols = store.restore(out / "ngram", expect=NGram), store.restore(letters, expect=Characters)
    assert (lm.order, lm.vocab, lm.text) == (3, symbols.stream.vocab, symbols.fingerprint)
    assert mark["fingerprint"] == lm.fingerprint and mark["transcripts"] == 10
    assert 1 < mark["perplexity"] < lm.vocab[0] + 1
    assert [len(level) for level in read_arpa(out / "lm.arpa")] == [mark[f"{n}-grams"] for n in (1, 2, 3)]
    assert symbols.fingerprint in (out / "lm.arpa").read_text().splitlines()[0]


def test_a_file_of_others_becomes_the_same_folder(language: tuple[Path, Any], letters: Path, tmp_path: Path) -> None:
    out, mark = language
    again = recipe.run(fit_ngram, [f"out={tmp_path}", f"arpa={out / 'lm.arpa'}", f"tokenizer={letters}"])
    assert again["fingerprint"] == mark["fingerprint"]


def test_words_without_a_tokenizer(corpus: Corpus, tmp_path: Path) -> None:
    mark = recipe.run(fit_ngram, [f"out={tmp_path}", f"cuts={corpus.train}", "order=2", f"valid={corpus.valid}"])
    words = {w for cut in CutSet.from_file(corpus.train) for w in cut.supervisions[0].text.split()}
    assert {word for (word,) in read_arpa(tmp_path / "lm.arpa")[0]} == words | {"<s>", "</s>", "<unk>"}
    assert 1 < mark["perplexity"] < len(words) and not (tmp_path / "ngram").exists()


def test_the_folder_of_a_language_model_is_no_tokenizer(language: tuple[Path, Any], tmp_path: Path) -> None:
    given = [f"out={tmp_path / 'out'}", f"arpa={language[0] / 'lm.arpa'}", f"tokenizer={language[0] / 'ngram'}"]
    with pytest.raises(UserError, match="ngram holds a ngram, not a text tokenizer; give the folder text of fit_text"):
        recipe.run(fit_ngram, given)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["cuts=a.jsonl.gz"], "cuts: give manifests and order=1 or more"),
        (["cuts=a.jsonl.gz", "order=0"], "cuts: give manifests and order=1 or more"),
        ([], "cuts: give manifests"),
        (["cuts=a.jsonl.gz", "order=2", "arpa=lm.arpa"], "cuts: give manifests"),
        (["arpa=lm.arpa"], "tokenizer: give the folder"),
        (["cuts=a.jsonl.gz", "order=2"], "a.jsonl.gz"),
    ],
)
def test_what_is_refused(given: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=says):
        recipe.run(fit_ngram, ["out=X", *given])
    assert {p.name for p in (tmp_path / "X").iterdir()} <= {".lock", "fit.log"}
