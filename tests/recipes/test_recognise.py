"""Transcripts to a text tokenizer, an encoder to a recogniser, a recogniser to error rates; and what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lhotse import CutSet
from safetensors.torch import load_file

from recipes.fit_text import fit_text
from recipes.recognise import recognise
from recipes.train import train
from speechunits import recipe, store
from speechunits.config import build, load
from speechunits.metrics.wer import WER
from speechunits.report.results import read_results
from speechunits.text.characters import Characters
from tests.recipes.toy import Corpus
from tests.tasks.hears import FILTERBANK, hears


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    tree = load("system/hubert_base.yaml", "size/demo.yaml")["model"]["encoder"]
    tree["encoder"] |= {"depth": 2, "dim": 32, "ffn": 64, "heads": 2}
    out = tmp_path_factory.mktemp("encoder") / "encoder"
    store.save(build(tree), out, kind="encoder")
    return out


@pytest.fixture(scope="module")
def text(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("text")
    recipe.run(fit_text, text_arguments(out, f"[{corpus.train},{corpus.valid}]"))
    return out / "text"


def text_arguments(out: Path, cuts: object) -> list[str]:
    return ["conf/text/characters.yaml", f"out={out}", f"cuts={cuts}"]


def arguments(corpus: Corpus, encoder: Path, text: Path, out: Path, *more: str) -> list[str]:
    return [
        "conf/finetune/small.yaml", "conf/trainer/cpu.yaml", "conf/logger/csv.yaml", f"out={out}",
        f"model.encoder.folder={encoder}", f"data.fields.text.tokenizer.folder={text}", f"data.train={corpus.train}",
        f"data.valid={corpus.valid}", "data.max_seconds=3", "trainer.max_steps=4", "trainer.validate_every=2",
        "trainer.checkpoint_every=2", "model.freeze_updates=2", "log_every=1", *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def run(corpus: Corpus, encoder: Path, text: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    out = tmp_path_factory.mktemp("finetune") / "run"
    return out, recipe.run(train, arguments(corpus, encoder, text, out))


def test_the_symbols_of_the_transcripts(text: Path, corpus: Corpus) -> None:
    said = {
        c for path in (corpus.train, corpus.valid) for cut in CutSet.from_file(path) for c in cut.supervisions[0].text
    }
    found = store.restore(text, expect=Characters)
    assert set(found.symbols) == said and store.read_meta(text)["kind"] == "text"
    assert json.loads((text.parent / "_COMPLETE.json").read_text())["symbols"] == len(said)


def test_what_a_fine_tuning_leaves_behind(run: tuple[Path, Any], encoder: Path, text: Path) -> None:
    out, mark = run
    parents = sorted(store.read_meta(folder)["fingerprint"] for folder in (encoder, text))
    for kind in ("recogniser", "encoder"):
        meta = store.read_meta(out / kind)
        assert (meta["kind"], meta["steps"], meta["derived_from"], meta["fingerprint"]) == (
            kind,
            4,
            parents,
            mark[kind],
        )
    before, after = (load_file(folder / "weights.safetensors") for folder in (encoder, out / "encoder"))
    assert before.keys() == after.keys() and any(not torch.equal(before[k], after[k]) for k in before)
    log = (out / "train.log").read_text()
    assert "trains 0.02 of 0.02 M parameters (100.0 %)" in log
    assert mark["valid/ctc/impossible"] == 0 and mark["valid/asr/cer"] > 0


def test_the_scores_are_those_of_the_last_validation(run: tuple[Path, Any], corpus: Corpus, tmp_path: Path) -> None:
    """Other batches, another process, the same text."""
    out, mark = run
    given = [f"out={tmp_path}", f"systems.toy={out / 'recogniser'}", f"cuts.valid={corpus.valid}", "max_seconds=1"]
    recipe.run(recognise, given)
    found = read_results(tmp_path / "results.json")["rows"]
    rows = {row["metric"]: row["value"] for row in found if f"valid/asr/{row['metric']}" in mark}
    assert {k: pytest.approx(mark[f"valid/asr/{k}"], abs=1e-4) for k in rows} == rows
    assert list(rows) == ["wer", "cer", "insertions", "deletions", "substitutions", "ser"]
    assert all(row["low"] <= row["value"] <= row["high"] for row in found if row["metric"] in ("wer", "cer"))
    costs = {row["metric"]: row["value"] for row in found if row["metric"] not in rows}
    assert costs.keys() == {"tokens_per_second", "rtf", "parameters", "train_seconds"}
    assert costs["train_seconds"] == mark["seconds"] and costs["rtf"] > 0 and 0.01 < costs["parameters"] < 0.03
    assert costs["tokens_per_second"] == pytest.approx(50, abs=5)  # frames of the encoder
    lines = [json.loads(line) for line in (tmp_path / "toy-valid.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == sorted(cut.id for cut in CutSet.from_file(corpus.valid))
    again = WER()
    again.update(
        {"text": [line["heard"] for line in lines]},
        {"transcript": [line["said"] for line in lines], "ids": [line["id"] for line in lines]},
    )
    assert again.compute() == pytest.approx(rows)
    aligned = (tmp_path / "toy-valid.alignments.txt").read_text()
    assert all(f"id: ({line['id']})" in aligned for line in lines)
    speakers = (tmp_path / "toy-valid.speakers.md").read_text().splitlines()[2:]
    assert [line.split(" | ")[0] for line in speakers] == ["| valid-0", "| valid-1"]


@pytest.mark.parametrize("way", ["lora", "frozen"])
def test_less_than_everything(corpus: Corpus, encoder: Path, text: Path, tmp_path: Path, way: str) -> None:
    """The encoder's own weights stay; LoRA leaves a plain encoder too, a frozen one is left where it was."""
    out = tmp_path / "run"
    more = [f"conf/tuning/{way}.yaml", "model.freeze_updates=0", *(["model.tuning.rank=2"] if way == "lora" else [])]
    recipe.run(train, arguments(corpus, encoder, text, out, *more))
    before, after = (load_file(f / "weights.safetensors") for f in (encoder, out / "recogniser"))
    for name, weight in before.items():
        there = f"encoder.{name}" if f"encoder.{name}" in after else f"encoder.{name}".replace(
            "qkv.weight", "qkv.parametrizations.weight.original"
        )  # fmt: skip
        assert torch.equal(weight, after[there]), name
    assert (out / "encoder").is_dir() == (way == "lora")
    assert "(100.0 %)" not in (out / "train.log").read_text()


# ------------------------------------------------------------------------------------------------ mistakes


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def call(fn: Callable[..., Any], given: list[str]) -> str:
        monkeypatch.setattr(sys, "argv", [fn.__name__, *given])
        with pytest.raises(SystemExit) as end:
            recipe.main(fn)
        said = capsys.readouterr().err
        assert end.value.code == 2 and said.startswith("error: "), said
        return said

    return call


def left(out: Path) -> set[str]:
    return {p.name for p in out.iterdir()} - {".lock", "train.log", "fit.log"} if out.exists() else set()


def changed(path: Path, folder: Path, text: str | None) -> Path:
    """The manifest with another text in its last cut."""
    cuts = list(CutSet.from_file(path))
    cuts[-1].supervisions[0].text = text
    CutSet.from_cuts(cuts).to_file(folder / "changed.jsonl.gz")
    return folder / "changed.jsonl.gz"


def test_transcripts_that_are_missing(fails: Any, corpus: Corpus, encoder: Path, text: Path, tmp_path: Path) -> None:
    path, out = changed(corpus.train, tmp_path, None), tmp_path / "out"
    assert "has no text" in fails(fit_text, text_arguments(out, path)) and not left(out)
    said = fails(train, arguments(corpus, encoder, text, out, f"data.train={path}"))
    assert "the cut train9 has no text; add it to the manifest" in said and said.count("\n") == 1 and not left(out)


@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_character_without_a_symbol(
    fails: Any, corpus: Corpus, encoder: Path, text: Path, tmp_path: Path, split: str
) -> None:
    path, out = changed(getattr(corpus, split), tmp_path, "a Ω"), tmp_path / "out"
    said = fails(train, arguments(corpus, encoder, text, out, f"data.{split}={path}"))
    assert "'Ω' of 'a Ω' not among the" in said and said.count("\n") == 1 and not left(out)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "meta.json").unlink(), "not an artefact folder (meta.json is missing)"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "weights.safetensors: missing or damaged"),
        (lambda folder: (folder / "config.yaml").unlink(), "config.yaml: changed or damaged"),
        (
            lambda folder: (folder / "weights.safetensors").write_bytes(
                (folder / "weights.safetensors").read_bytes()[:-3] + b"odd"
            ),
            "its checksum does not match",
        ),
        (shutil.rmtree, "not an artefact folder"),
    ],
)
def test_half_an_encoder(
    fails: Any, corpus: Corpus, encoder: Path, text: Path, tmp_path: Path, spoil: Callable[[Path], Any], says: str
) -> None:
    copy, out = tmp_path / "copy", tmp_path / "out"
    shutil.copytree(encoder, copy)
    spoil(copy)
    said = fails(train, arguments(corpus, copy, text, out))
    assert says in said and str(copy) in said and not left(out)


def test_another_tokenizer_than_that_of_the_data(
    fails: Any, corpus: Corpus, encoder: Path, text: Path, tmp_path: Path
) -> None:
    recipe.run(fit_text, text_arguments(tmp_path / "other", corpus.train))
    other = store.restore(text)
    store.save(
        build({"_target_": "speechunits.text.characters.Characters", "symbols": [*other.symbols, "Ω"]}), tmp_path / "o"
    )
    more = ["model.text._target_=speechunits.store.restore", f"model.text.folder={tmp_path / 'o'}"]
    said = fails(train, arguments(corpus, encoder, text, tmp_path / "out", *more))
    assert f"the data has {other.fingerprint}; name one tokenizer in both" in said and said.count("\n") == 1
    assert not left(tmp_path / "out")


def test_what_is_no_recogniser(fails: Any, corpus: Corpus, encoder: Path, tmp_path: Path) -> None:
    given = [f"out={tmp_path / 'out'}", f"systems.a={encoder}", f"cuts.valid={corpus.valid}"]
    assert f"{encoder}: holds a SpeechEncoder, which writes no text; give the recogniser/" in fails(recognise, given)


@pytest.mark.parametrize(("symbols", "metric"), [("words", "wer"), ("phones", "per")])
def test_the_best_constant_is_scored_as_the_systems_are(
    corpus: Corpus, symbols: str, metric: str, tmp_path: Path
) -> None:
    """Chinese by its characters, phones by their rate, and a split without a word has none."""
    store.save(hears(FILTERBANK), tmp_path / "asr", kind="asr")
    for name, texts in (("han", ["今天好", "今天坏"]), ("none", ["", " "])):
        cuts = list(CutSet.from_file(corpus.valid))[:2]
        for cut, text in zip(cuts, texts, strict=True):
            cut.supervisions[0].text = text
        CutSet.from_cuts(cuts).to_file(tmp_path / f"{name}.jsonl.gz")
    given = [f"cuts.{name}={tmp_path / name}.jsonl.gz" for name in ("han", "none")]
    given += [f"out={tmp_path / 'out'}", f"systems.a={tmp_path / 'asr'}", "constant=true", f"symbols={symbols}"]
    recipe.run(recognise, given)
    rows = [row for row in read_results(tmp_path / "out" / "results.json")["rows"] if row["system"] == "constant"]
    wrong = pytest.approx(100 / 6 if symbols == "words" else 100 / 2)
    assert [(row["split"], row["metric"], row["value"]) for row in rows] == [("han", metric, wrong)]
    assert "none: no reference has a word" in (tmp_path / "out" / "recognise.log").read_text()
