"""Speakers and styles of a manifest."""

from __future__ import annotations

from pathlib import Path

import pytest
from lhotse import CutSet

from recipes.list_names import list_names
from speechunits import recipe, store
from speechunits.data.cuts import open_cuts
from speechunits.data.fields import LabelField
from speechunits.errors import UserError
from speechunits.text.names import Names
from tests.recipes.toy import Corpus

STYLE = "field={_target_: speechunits.data.fields.LabelField, key: style}"


def styled(corpus: Corpus, folder: Path, *styles: str | None) -> Path:
    cuts = list(CutSet.from_file(corpus.train))[: len(styles)]
    for cut, style in zip(cuts, styles, strict=True):
        cut.supervisions[0].custom = {**(cut.supervisions[0].custom or {}), **({"style": style} if style else {})}
    CutSet.from_cuts(cuts).to_file(folder / "styled.jsonl.gz")
    return folder / "styled.jsonl.gz"


def test_speakers_of_several_manifests(corpus: Corpus, tmp_path: Path) -> None:
    out, cuts = tmp_path / "speakers", f"cuts=[{corpus.train},{corpus.valid}]"
    made = recipe.run(list_names, [f"out={out}", cuts])
    names = store.restore(out / "names", expect=Names)
    assert names.names == ("train-0", "train-1", "valid-0", "valid-1")
    assert (made["names"], made["fingerprint"]) == (4, names.fingerprint)
    assert "4 names from 14 cuts" in (out / "list.log").read_text()


def test_another_label(corpus: Corpus, tmp_path: Path) -> None:
    cuts = styled(corpus, tmp_path, "whisper", "happy", "whisper")
    recipe.run(list_names, [f"out={tmp_path / 'styles'}", f"cuts={cuts}", STYLE])
    assert store.restore(tmp_path / "styles" / "names").names == ("happy", "whisper")
    field = LabelField("style").bind(open_cuts(cuts))
    assert field.collate([field.load(cut) for cut in open_cuts(cuts)]) == ["whisper", "happy", "whisper"]


def test_a_cut_without_the_label_is_named(corpus: Corpus, tmp_path: Path) -> None:
    cuts = styled(corpus, tmp_path, "happy", None)
    with pytest.raises(UserError, match=r"the cut train1 has 0 labels custom.style, not one"):
        recipe.run(list_names, [f"out={tmp_path / 'styles'}", f"cuts={cuts}", STYLE])
    assert not (tmp_path / "styles" / "names").exists()
