"""Text to units trained by the recipe on stored units: its figures, its folder, and what it was made from."""

from __future__ import annotations

from csv import DictReader
from pathlib import Path

import pytest
import torch

from recipes.synthesize import synthesize
from recipes.train import train
from speechunits import recipe, store
from speechunits.config import build, load
from speechunits.data.batch_dataset import BatchDataset, Planned
from speechunits.data.cuts import open_cuts
from speechunits.data.read_audio import read_audio
from speechunits.errors import UserError
from speechunits.tasks.sequence_to_units import SequenceToUnits
from tests.recipes.toy import Corpus
from tests.tasks.alphabet import STREAMS, speaker_table, tree
from tests.tasks.test_synthesis import vocoder


@pytest.mark.slow
@pytest.mark.parametrize("system", ["text_to_units", "text_to_units_parallel"])
def test_a_training_leaves_a_folder_that_writes_units(system: str, units: Path, letters: Path, tmp_path: Path) -> None:
    given = [
        *(f"system/{system}.yaml", f"size/toy_{system}.yaml", "trainer/cpu.yaml", "logger/csv.yaml"),
        *(
            f"out={tmp_path / 'run'}",
            f"data.train={units / 'train.jsonl.gz'}",
            f"data.valid={units / 'valid.jsonl.gz'}",
        ),
        *(
            f"data.fields.text.tokenizer.folder={letters}",
            "data.num_workers=0",
            "data.max_seconds=3",
            "schedule.warmup=1",
        ),
        *("trainer.max_steps=2", "trainer.validate_every=2", "log_every=1"),
    ]
    recipe.run(train, given)
    tokenizer = open_cuts(units / "valid.jsonl.gz").streams["units"].fingerprint
    made_of = f"{tokenizer}+dedup" if system == "text_to_units" else tokenizer
    meta = store.read_meta(tmp_path / "run" / "text_to_units")
    assert meta["derived_from"] == sorted([made_of, store.read_meta(letters)["fingerprint"]])
    with open(tmp_path / "run" / "metrics.csv") as file:
        rows = list(DictReader(file))
    assert any(float(row["valid/written/uer"]) > 0 for row in rows if row.get("valid/written/uer"))

    model = store.restore(tmp_path / "run" / "text_to_units", expect=SequenceToUnits)
    fields = build(load(*given)["data"]["fields"])
    batch = BatchDataset(open_cuts(units / "valid.jsonl.gz"), fields)[Planned(-1, (0, 1))].batch
    found = model.predict(batch)["units"]
    assert found.fingerprint == tokenizer and len(found.lists()) == 2 and float(model.range.sums[0]) > 0


def test_transcripts_of_a_corpus_are_said(corpus: Corpus, letters: Path, tmp_path: Path) -> None:
    tokenizer = store.restore(letters)
    text = {"_target_": "speechunits.store.restore", "folder": str(letters)}
    streams = {"units": STREAMS["frames"]["units"], "text": tokenizer.stream}
    node = tree("frames", conditions=speaker_table(("valid-0", "valid-1")))
    node["input"] |= {"text": text}
    torch.manual_seed(0)
    store.save(build(node, streams=streams), tmp_path / "text_to_units", kind="text_to_units")
    store.save(vocoder(), tmp_path / "vocoder", kind="vocoder")
    models = [f"{name}={tmp_path / name}" for name in ("text_to_units", "vocoder")]
    found = recipe.run(synthesize, [f"out={tmp_path / 'a'}", *models, f"cuts={corpus.valid}"])
    cuts = list(open_cuts(corpus.valid))
    files = {file.stem: file for file in (tmp_path / "a" / "wav").iterdir()}
    assert files.keys() == {cut.id for cut in cuts} and found["transcripts"] == len(cuts)
    assert found["speech"] == pytest.approx(sum(read_audio(f).data.size(1) for f in files.values()) / 16000, abs=1e-3)
    as_one = [f"out={tmp_path / 'b'}", *models, f"cuts={corpus.valid}", "speaker=valid-0"]
    recipe.run(synthesize, as_one)
    same = {
        cut.id: (tmp_path / "b" / "wav" / f"{cut.id}.wav").read_bytes() == files[cut.id].read_bytes() for cut in cuts
    }
    assert same == {cut.id: cut.supervisions[0].speaker == "valid-0" for cut in cuts}
    with pytest.raises(UserError, match=r"the cut \w+: there is no speaker 'eve'"):
        recipe.run(synthesize, [f"out={tmp_path / 'c'}", *models, f"cuts={corpus.valid}", "speaker=eve"])
