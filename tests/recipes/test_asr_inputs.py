"""An ASR trained by the recipe on continuous inputs, swapped by one include; its folder says what it was made from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from recipes.extract_features import extract_features
from recipes.recognise import recognise
from recipes.train import train
from speechunits import recipe, store
from speechunits.config import build, dump, load
from speechunits.data.batch_dataset import BatchDataset, Planned
from speechunits.data.cuts import open_cuts
from speechunits.errors import UserError
from speechunits.nn import k2
from speechunits.tasks.asr import ASR
from speechunits.text.characters import fit_characters
from tests.recipes.toy import Corpus
from tests.test_conf_input import REST


@pytest.fixture(scope="module")
def parts(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Encoder, text tokenizer and stored features."""
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("parts")
    store.save(build(load("system/hubert_large.yaml", "size/toy.yaml")["model"]["encoder"]), out / "encoder")
    said = [said.text for path in (corpus.train, corpus.valid) for cut in open_cuts(path) for said in cut.supervisions]
    store.save(fit_characters(said), out / "text", kind="text")
    source = ["features/layer.yaml", "features.read=layer:2", f"features.source.folder={out / 'encoder'}"]
    cuts = [f"cuts.train={corpus.train}", f"cuts.valid={corpus.valid}"]
    recipe.run(extract_features, [f"out={out / 'features'}", *source, *cuts])
    return out


def arguments(name: str, parts: Path, out: Path) -> list[str]:
    text = {"_target_": "speechunits.store.restore", "folder": str(parts / "text")}
    fields = {"text": {"_target_": "speechunits.data.fields.TextField", "tokenizer": text}}
    tree: dict[str, Any] = {
        "include": [f"input/{name}.yaml", "trainer/cpu.yaml", "optim/adamw.yaml"],
        "model": {**REST["model"], "text": text},
        "data": {
            "_target_": "speechunits.train.datamodule.SpeechDataModule",
            "fields": fields,
            "max_seconds": 3.0,
            "num_workers": 0,
        },
    }
    out.mkdir()
    (out / "asr.yaml").write_text(dump(tree))
    return [
        *(str(out / "asr.yaml"), f"out={out / 'run'}", "trainer.max_steps=2", "trainer.validate_every=2"),
        *(f"data.{split}={parts / 'features' / split}.jsonl.gz" for split in ("train", "valid")),
        *([f"model.input.encoder.folder={parts / 'encoder'}"] if name == "features" else []),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["features", "infused"])
def test_a_training_leaves_a_folder_that_names_its_parents(name: str, parts: Path, tmp_path: Path) -> None:
    recipe.run(train, arguments(name, parts, tmp_path / name))
    meta = store.read_meta(tmp_path / name / "run" / "asr")
    cuts = open_cuts(parts / "features" / "valid.jsonl.gz")
    source = (
        store.read_meta(parts / "encoder")
        if name == "features"
        else {"fingerprint": cuts.streams["features"].fingerprint}
    )
    text = store.read_meta(parts / "text")
    assert meta["derived_from"] == sorted([source["fingerprint"], text["fingerprint"]])
    model = store.restore(tmp_path / name / "run" / "asr", expect=ASR)
    fields = build(load(f"input/{name}.yaml")["data"]["fields"])
    batch = BatchDataset(cuts, fields)[Planned(-1, (0, 1))].batch
    assert len(model.predict(batch)["text"]) == 2


@pytest.mark.slow
def test_an_infused_one_is_scored_without_the_folder_of_its_run(parts: Path, tmp_path: Path) -> None:
    recipe.run(train, arguments("infused", parts, tmp_path / "infused"))
    shutil.copytree(tmp_path / "infused" / "run" / "asr", tmp_path / "asr")
    cuts = parts / "features" / "valid.jsonl.gz"
    for name, folder in (("there", tmp_path / "infused" / "run" / "asr"), ("alone", tmp_path / "asr")):
        recipe.run(recognise, [f"out={tmp_path / name}", f"systems.a={folder}", f"cuts.valid={cuts}"])
    there, alone = ((tmp_path / name / "a-valid.jsonl").read_text() for name in ("there", "alone"))
    assert there == alone and len(there.splitlines()) == 4


@pytest.mark.skipif(k2.installed(), reason="k2 is installed")
def test_a_loss_by_k2_that_is_not_there_is_refused_before_the_run_begins(parts: Path, tmp_path: Path) -> None:
    how = ["heads/transducer.yaml", "model.heads.ctc=null", "model.heads.transducer.loss.by=k2"]
    with pytest.raises(UserError, match="k2 is asked for and not installed"):
        recipe.run(train, [*arguments("fbank", parts, tmp_path / "fbank"), *how])
    run = tmp_path / "fbank" / "run"
    assert {path.name for path in run.iterdir()} <= {".lock", "train.log"}
    assert "trains" not in (run / "train.log").read_text()
