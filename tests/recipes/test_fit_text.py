"""Any text tokenizer from the transcripts of a manifest, spelled as the normaliser says."""

from __future__ import annotations

from pathlib import Path

import pytest
from lhotse import CutSet

from recipes.fit_text import fit_text
from speechunits import recipe, store
from speechunits.errors import UserError
from speechunits.text.subwords import Subwords
from speechunits.text.words import Words
from tests.recipes.toy import Corpus


def spoken(corpus: Corpus, folder: Path, *texts: str) -> Path:
    cuts = list(CutSet.from_file(corpus.train))[: len(texts)]
    for cut, text in zip(cuts, texts, strict=True):
        cut.supervisions[0].text, cut.supervisions[0].language = text, "en"
    CutSet.from_cuts(cuts).to_file(folder / "spoken.jsonl.gz")
    return folder / "spoken.jsonl.gz"


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_pieces_of_what_was_said(corpus: Corpus, tmp_path: Path, kind: str) -> None:
    cuts = spoken(corpus, tmp_path, "The cat, the HAT!", "That cat's hat.", " ", "the hat that the cat had")
    given = [f"conf/text/{kind}.yaml", "conf/text/normalisation.yaml", f"out={tmp_path / 'fit'}", f"cuts={cuts}"]
    made = recipe.run(fit_text, [*given, "tokenizer.size=12"])
    text = store.restore(tmp_path / "fit" / "text", expect=Subwords)
    assert (made["symbols"], made["fingerprint"], text.kind) == (12, text.fingerprint, kind)
    assert text.decode(text.encode("that cat's hat")) == "that cat's hat"
    assert "1 of 4 transcripts are empty: train2" in (tmp_path / "fit" / "fit.log").read_text()
    with pytest.raises(UserError, match=r"tokenizer.size=500: there are not so many"):
        recipe.run(fit_text, [*given[:2], f"out={tmp_path / 'more'}", given[3]])


def test_phones(corpus: Corpus, tmp_path: Path) -> None:
    recipe.run(fit_text, ["conf/text/words.yaml", f"out={tmp_path / 'fit'}", f"cuts={corpus.train}"])
    assert set(store.restore(tmp_path / "fit" / "text", expect=Words).symbols) <= set("aeosu") | {"sil"}
