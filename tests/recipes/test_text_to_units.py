"""Text to units trained by the recipe on stored units: its figures, its folder, and what it was made from."""

from __future__ import annotations

from csv import DictReader
from pathlib import Path

import pytest

from recipes.train import train
from speechunits import recipe, store
from speechunits.config import build, load
from speechunits.data.batch_dataset import BatchDataset, Planned
from speechunits.data.cuts import open_cuts
from speechunits.tasks.sequence_to_units import SequenceToUnits


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
