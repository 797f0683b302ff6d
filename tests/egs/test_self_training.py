"""One iteration of self-training on a corpus of a few tones, and the transcripts that are put away."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet

from recipes.fit_text import fit_text
from recipes.fit_unit_bpe import fit_unit_bpe
from recipes.train import train
from speechunits import recipe, store
from speechunits.data.cuts import open_cuts
from speechunits.data.unit_writer import UnitWriter
from speechunits.errors import UserError
from speechunits.report.results import read_results
from tests.egs.scripts import script
from tests.recipes.toy import Corpus, write_corpus

HERE = "egs/demo"


@pytest.fixture(scope="module")
def exp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``run.sh`` leaves of units: manifests of train, valid and test."""
    folder = tmp_path_factory.mktemp("demo")
    corpus: Corpus = write_corpus(folder / "corpus", train=20)
    random = np.random.default_rng(0)
    for split, source in (("train", corpus.train), ("valid", corpus.valid), ("test", corpus.valid)):
        with UnitWriter(folder / "exp" / "units" / f"{split}.jsonl.gz", Fraction(1, 50), (20,), "abc") as writer:
            for cut in CutSet.from_file(source):
                writer.write(cut, random.integers(20, size=(int(cut.duration * 50), 1)))
    return folder / "exp"


def test_transcripts_are_put_away_and_nothing_else(exp: Path, tmp_path: Path) -> None:
    put_away = script(f"{HERE}/local/put_away.py").put_away
    put_away(exp / "units" / "train.jsonl.gz", tmp_path, 0.25)
    whole, some, rest = (
        open_cuts(path)
        for path in (
            exp / "units" / "train.jsonl.gz",
            tmp_path / "transcribed.jsonl.gz",
            tmp_path / "untranscribed.jsonl.gz",
        )
    )
    assert len(some) == 5 and sorted([*some.ids, *rest.ids]) == sorted(whole.ids)
    assert some.streams == rest.streams == whole.streams != {}
    assert all(said.text and said.alignment for cut in some for said in cut.supervisions)
    for cut in rest:
        (said,) = cut.supervisions
        assert (
            said.text is None
            and not said.alignment
            and said.speaker == whole[whole.row(cut.id)].supervisions[0].speaker
        )
        assert (cut.load_custom("units") == whole[whole.row(cut.id)].load_custom("units")).all()
    before = (tmp_path / "transcribed.jsonl.gz").stat().st_size
    put_away(exp / "units" / "train.jsonl.gz", tmp_path, 0.25)
    assert open_cuts(tmp_path / "transcribed.jsonl.gz").ids == some.ids and before > 0
    with pytest.raises(UserError, match="leaves nothing on one side"):
        put_away(exp / "units" / "train.jsonl.gz", tmp_path / "none", 0.001)


@pytest.mark.slow
def test_an_iteration(shell: Callable, exp: Path) -> None:
    asr, cuts = exp / "asr", exp / "units" / "train.jsonl.gz"
    recipe.run(fit_text, ["conf/text/words.yaml", f"out={asr / 'text'}", f"cuts={cuts}"])
    recipe.run(fit_unit_bpe, ["conf/units/bpe.yaml", f"out={asr / 'subwords'}", f"cuts={cuts}", "subwords.size=30"])
    parts = [f"data.fields.text.tokenizer.folder={asr / 'text' / 'text'}"]
    parts += [f"data.fields.units.steps.subwords.folder={asr / 'subwords' / 'subwords'}"]
    few = ["optimizer.lr=1e-9", "model.encoder.depth=1"]  # random weights say words of every sound
    steps = ["schedule.warmup=1", "schedule.hold=6", "schedule.decay=3", "trainer.max_steps=10"]
    recipe.run(
        train, ["egs/demo/asr/units_bpe.yaml", f"out={asr / 'units_bpe'}", f"data.train={cuts}", *parts, *few, *steps]
    )
    given = ["--exp", exp, "--steps", "10", "--share", "0.3", "--min-confidence", "0.01", "--keep", "0.5"]
    said = shell(f"{HERE}/self_training.sh", *given, *few)
    stages = [line.split()[3] for line in said.stdout.splitlines() if line.startswith("== demo-self-training, stage ")]
    assert stages == ["0:", "1:", "2:", "3:", "4:"]
    out = exp / "self_training"
    rows = read_results(out / "results.json")["rows"]
    assert {(r["system"], r["split"]) for r in rows if r["metric"] == "wer"} == {
        (s, "test") for s in ("first", "second", "all")
    }
    mark = store.read_json(out / "labels" / "_COMPLETE.json")
    assert mark["cuts"] == 14 and 0 < mark["kept"] <= 7
    real, labels = open_cuts(out / "cuts" / "transcribed.jsonl.gz"), open_cuts(out / "labels" / "cuts.jsonl.gz")
    assert not {*real.ids} & {*labels.ids} and len(labels) == mark["kept"]


def test_mistakes_on_the_command_line(shell: Callable, tmp_path: Path) -> None:
    assert "run egs/demo/run.sh to its stage 9" in shell(f"{HERE}/self_training.sh", "--exp", tmp_path, code=2).stderr
    assert "--keep takes a number" in shell(f"{HERE}/self_training.sh", "--keep", code=2).stderr
