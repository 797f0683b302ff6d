"""A recogniser's own text on untranscribed cuts: what is kept, of what it is made, and the same bytes each time."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from lhotse import CutSet

from recipes.pseudo_label import pseudo_label
from speechunits import recipe, store
from speechunits.data.cuts import open_cuts
from speechunits.data.fields.text_field import TextField
from speechunits.data.fields.units_field import UnitsField
from speechunits.data.read_audio import read_audio
from speechunits.data.unit_writer import UnitWriter
from speechunits.errors import UserError
from tests.recipes.toy import Corpus, save
from tests.tasks.hears import FILTERBANK, hears


@pytest.fixture(scope="module")
def labeller(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labeller") / "asr"
    store.save(hears(FILTERBANK), folder, kind="asr")
    return folder


@pytest.fixture(scope="module")
def untranscribed(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cuts with units and a speaker, without text; one too short for a frame, one whose audio is gone."""
    folder, cuts = tmp_path_factory.mktemp("untranscribed"), list(CutSet.from_file(corpus.train))
    cuts[3] = cuts[3].truncate(duration=0.01, preserve_id=True)
    cuts[4].recording.sources[0].source = str(folder / "gone.wav")
    with UnitWriter(folder / "units.jsonl.gz", Fraction(1, 50), (7,), "abc") as writer:
        for cut in cuts:
            writer.write(cut, torch.from_numpy(np.arange(int(cut.duration * 50)) % 7)[:, None])
    made = [cut for cut in CutSet.from_file(folder / "units.jsonl.gz")]
    for cut in made:
        for said in cut.supervisions:
            said.text = None
    save(made, folder / "units.jsonl.gz")
    return folder / "units.jsonl.gz"


def label(out: Path, labeller: Path, cuts: Path, *more: str) -> dict:
    return recipe.run(pseudo_label, [f"out={out}", f"recogniser={labeller}", f"cuts={cuts}", *more])


@pytest.mark.parametrize("max_seconds", [60, 0.05])
def test_cuts_get_the_text_that_the_recogniser_hears(
    labeller: Path, untranscribed: Path, max_seconds: float, tmp_path: Path
) -> None:
    """Also where the one that is too short for a frame is a batch of its own."""
    mark = label(tmp_path / "out", labeller, untranscribed, f"max_seconds={max_seconds}")
    before, after = open_cuts(untranscribed), open_cuts(tmp_path / "out" / "cuts.jsonl.gz")
    bad, short = before.id(4), before.id(3)
    left_out = store.read_json(tmp_path / "out" / "left_out.json")
    assert left_out["cuts"] == {bad: "unreadable", short: "fewer than 1 words"}
    assert (mark["cuts"], mark["kept"], mark["left_out"]) == (10, 8, left_out["reasons"])
    assert list(after.ids) == [name for name in before.ids if name not in (bad, short)]
    assert after.streams == before.streams and after.streams["units"].fingerprint == "abc"
    units, model = UnitsField(), store.restore(labeller)
    for cut in after:
        (said,) = cut.supervisions
        old = before[before.row(cut.id)]
        found = model.predict({"audio": read_audio(old.recording.sources[0].source)})
        assert TextField().text(cut) == found["text"][0]
        assert cut.custom["confidence"] == pytest.approx(float(found["hypotheses"][0][0].confidence.mean()), abs=1e-4)
        assert said.speaker == old.supervisions[0].speaker and (said.start, said.duration) == (0, cut.duration)
        bound = units.bind(after)
        assert torch.equal(bound.load(cut), units.bind(before).load(old))


def test_filters_are_counted_and_runs_alike(labeller: Path, untranscribed: Path, tmp_path: Path) -> None:
    everything = label(tmp_path / "all", labeller, untranscribed)
    sure = sorted(cut.custom["confidence"] for cut in open_cuts(tmp_path / "all" / "cuts.jsonl.gz"))
    how = (f"min_confidence={sure[2]}", "keep=0.5")
    mark = label(tmp_path / "some", labeller, untranscribed, *how, "max_seconds=2")
    assert everything["kept"] == 8 and mark["kept"] == 3 and sum(mark["left_out"].values()) == 7
    kept = sorted(cut.custom["confidence"] for cut in open_cuts(tmp_path / "some" / "cuts.jsonl.gz"))
    assert kept == sure[-3:]
    label(tmp_path / "again", labeller, untranscribed, *how, "max_seconds=30")
    one, other = ((tmp_path / name / "cuts.jsonl.gz").read_bytes() for name in ("some", "again"))
    assert one == other
    reasons = json.loads((tmp_path / "some" / "left_out.json").read_text())["reasons"]
    assert reasons[f"confidence below {sure[2]:g}"] == 2 and reasons["not among the most confident 0.5"] == 3


def test_nothing_is_left_half(labeller: Path, untranscribed: Path, tmp_path: Path) -> None:
    for arguments, says in (
        (["min_confidence=1"], "no cut is left of 10"),
        (["min_words=99"], "no cut is left of 10"),
        (["keep=2"], "keep=2: give the share"),
        (["model.heads=1"], "only model.search can be replaced"),
    ):
        with pytest.raises(UserError, match=says):
            label(tmp_path / "out", labeller, untranscribed, *arguments)
        assert not [p for p in (tmp_path / "out").rglob("*.json*") if p.name != "config.json"]
