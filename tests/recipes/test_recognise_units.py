"""Recognition from stored units beside recognition from a filterbank: fields, costs, and what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lhotse import CutSet

from recipes.extract_units import extract_units
from recipes.fit_text import fit_text
from recipes.fit_units import fit_units
from recipes.recognise import recognise
from recipes.train import train
from speechunits import recipe, store
from speechunits.config import build, dump, load
from speechunits.data.cuts import open_cuts
from speechunits.errors import UserError
from speechunits.metrics.bitrate import entropy_bitrate
from speechunits.report.results import read_results
from speechunits.tasks.recognition import Recognition, System
from tests.recipes.toy import Corpus, extract_arguments, fit_arguments

UNITS = {"_target_": "speechunits.inputs.unit_input.UnitInput", "dim": 8}
AUDIO = {
    "_target_": "speechunits.inputs.audio_input.AudioInput",
    "frontend": {"_target_": "speechunits.frontends.log_mel.LogMel", "bands": 10, "hop": "1/50"},
}
FIELDS = "speechunits.data.fields."


def system(heard: dict[str, Any], fields: dict[str, Any], text: Path) -> dict[str, Any]:
    """The configuration of a training."""
    positions = {"_target_": "speechunits.nn.positions.ConvPositions", "kernel": 5, "groups": 2}
    encoder = {"depth": 1, "dim": 8, "ffn": 16, "heads": 2, "positions": positions}
    tokenizer = {"_target_": "speechunits.store.restore", "folder": str(text)}
    fields |= {"text": {"_target_": f"{FIELDS}TextField", "tokenizer": tokenizer}}
    fields |= {"transcript": {"_target_": f"{FIELDS}TextField"}}
    return {
        "model": {
            "_target_": "speechunits.tasks.asr.ASR",
            "input": heard,
            "encoder": {"_target_": "speechunits.encoders.transformer.TransformerEncoder", **encoder},
            "text": tokenizer,
            "heads": {"ctc": {"_target_": "speechunits.heads.ctc.CTC"}},
        },
        "data": {
            "_target_": "speechunits.train.datamodule.SpeechDataModule", "fields": fields, "max_seconds": 3, "num_workers": 0,
        },
        "optimizer": {"_target_": "speechunits.train.optim.adamw", "_partial_": True, "lr": 1e-3},
        "measures": {"asr": {"_target_": "speechunits.metrics.wer.WER"}},
    }  # fmt: skip


def trained(folder: Path, tree: dict[str, Any], cuts: Path) -> Path:
    folder.mkdir()
    (folder / "given.yaml").write_text(dump(tree))
    given = [str(folder / "given.yaml"), "conf/trainer/cpu.yaml", f"out={folder / 'run'}", f"data.train={cuts}"]
    recipe.run(train, [*given, "trainer.max_steps=1", "trainer.checkpoint_every=1", "trainer.validate_every=1"])
    return folder / "run" / "asr"


@pytest.fixture(scope="module")
def text(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("text")
    recipe.run(fit_text, ["conf/text/words.yaml", f"out={out}", f"cuts=[{corpus.train},{corpus.valid}]"])
    return out / "text"


@pytest.fixture(scope="module")
def systems(corpus: Corpus, units: Path, text: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("systems")
    audio = system(AUDIO, {"audio": {"_target_": f"{FIELDS}AudioField"}}, text)
    stored = system(UNITS, {"units": {"_target_": f"{FIELDS}UnitsField"}}, text)
    return {
        "audio": trained(out / "audio", audio, corpus.train),
        "units": trained(out / "units", stored, units / "train.jsonl.gz"),
    }


def test_units_and_audio_side_by_side(corpus: Corpus, units: Path, systems: dict[str, Path], tmp_path: Path) -> None:
    """Phones, with the fields that each was trained on; each from its own manifest."""
    given = [f"systems.audio={systems['audio']}", f"systems.units.folder={systems['units']}", "symbols=phones"]
    given += [f"cuts.valid={corpus.valid}", f"systems.units.cuts.valid={units / 'valid.jsonl.gz'}", "resample=speakers"]
    recipe.run(recognise, [f"out={tmp_path / 'all'}", *given])
    rows = {(r["system"], r["metric"]): r["value"] for r in read_results(tmp_path / "all" / "results.json")["rows"]}
    assert {m for _, m in rows} == {
        *("per", "insertions", "deletions", "substitutions", "ser"),
        *("tokens_per_second", "bits_per_second", "rtf", "parameters", "train_seconds"),
    }
    cuts = open_cuts(units / "valid.jsonl.gz")
    codes = torch.cat([torch.tensor(cut.load_units()) for cut in cuts]).flatten().long()
    seconds = float(cuts.seconds.sum())
    assert rows["units", "tokens_per_second"] == pytest.approx(len(codes) / seconds)
    assert rows["units", "bits_per_second"] == pytest.approx(entropy_bitrate(codes, seconds))
    assert ("audio", "bits_per_second") not in rows and 40 < rows["audio", "tokens_per_second"] < 55
    model = store.restore(systems["units"])
    assert rows["units", "parameters"] == sum(p.numel() for p in model.parameters()) / 1e6


def test_merged_units(units: Path, text: Path, tmp_path: Path) -> None:
    """Steps and durations are those of the training; without its run the fields have to be named."""
    fields = load("input/units.yaml")["data"]["fields"]
    folder = trained(tmp_path / "merged", system(UNITS, fields, text), units / "train.jsonl.gz")
    given = [f"systems.a.folder={folder}", f"cuts.valid={units / 'valid.jsonl.gz'}"]
    recipe.run(recognise, [f"out={tmp_path / 'out'}", *given])
    rows = {r["metric"]: r["value"] for r in read_results(tmp_path / "out" / "results.json")["rows"]}
    cuts = open_cuts(units / "valid.jsonl.gz")
    merged = [torch.unique_consecutive(torch.tensor(cut.load_units()).flatten()) for cut in cuts]
    seconds = float(cuts.seconds.sum())
    assert rows["tokens_per_second"] == pytest.approx(sum(map(len, merged)) / seconds)
    assert rows["bits_per_second"] == pytest.approx(entropy_bitrate(torch.cat(merged).long(), seconds))
    folder = folder.rename(tmp_path / "alone")
    given[0] = f"systems.a.folder={folder}"
    with pytest.raises(
        UserError, match=r"here they are of .*; extract them with that one, or name the fields and cuts"
    ):
        recipe.run(recognise, [f"out={tmp_path / 'out2'}", *given])
    (tmp_path / "fields.yaml").write_text(dump({"systems": {"a": {"fields": fields}}}))
    recipe.run(recognise, [f"out={tmp_path / 'out3'}", str(tmp_path / "fields.yaml"), *given])
    again = {r["metric"]: r["value"] for r in read_results(tmp_path / "out3" / "results.json")["rows"]}
    assert {k: again[k] for k in ("wer", "cer", "bits_per_second")} == {
        k: rows[k] for k in ("wer", "cer", "bits_per_second")
    }


def test_a_folder_alone(units: Path, systems: dict[str, Path], tmp_path: Path) -> None:
    """Without its run around it, the units are found by the name that the model gives them."""
    systems["units"].rename(tmp_path / "moved")
    try:
        given = [f"systems.a={tmp_path / 'moved'}", f"cuts.valid={units / 'valid.jsonl.gz'}", "max_seconds=2"]
        recipe.run(recognise, [f"out={tmp_path / 'out'}", *given])
    finally:
        (tmp_path / "moved").rename(systems["units"])
    found = {r["metric"] for r in read_results(tmp_path / "out" / "results.json")["rows"]}
    assert "bits_per_second" in found and "train_seconds" not in found


def test_units_of_another_tokenizer(corpus: Corpus, units: Path, systems: dict[str, Path], tmp_path: Path) -> None:
    recipe.run(fit_units, fit_arguments(corpus, tmp_path / "fit", size=5))
    recipe.run(extract_units, extract_arguments(corpus, tmp_path / "other", tmp_path / "fit" / "tokenizer"))
    fits, strange = (open_cuts(x / "valid.jsonl.gz").streams["units"].fingerprint for x in (units, tmp_path / "other"))
    given = [f"systems.a={systems['units']}", f"cuts.valid={tmp_path / 'other' / 'valid.jsonl.gz'}"]
    with pytest.raises(UserError, match=rf"trained on units of the tokenizer {fits}, and here they are of {strange}"):
        recipe.run(recognise, [f"out={tmp_path / 'out'}", *given])
    with pytest.raises(UserError, match=r"has no stored codes units \(it has none\)"):
        recipe.run(recognise, [f"out={tmp_path / 'out2'}", given[0], f"cuts.valid={corpus.valid}"])
    assert not (tmp_path / "out" / "results.json").exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            ["systems.a.folder=X", "systems.a.feilds={}"],
            "systems.a.feilds: System has no 'feilds'; did you mean 'fields'",
        ),
        (["systems.a=X"], "cuts: there is no split for a; give cuts.test=... or systems.a.cuts"),
        (["systems.a=X", "cuts.test=X", "symbols=letters"], "takes symbols: "),
    ],
)
def test_mistakes(more: list[str], says: str, systems: dict[str, Path], tmp_path: Path) -> None:
    given = [x.replace("=X", f"={systems['units']}") for x in more]
    with pytest.raises(UserError) as found:
        recipe.run(recognise, [f"out={tmp_path / 'out'}", *given])
    assert says in str(found.value)


def test_references_that_cannot_be_written(corpus: Corpus, systems: dict[str, Path], tmp_path: Path) -> None:
    """And one that is empty: both are counted and named, and scored all the same."""
    cuts = list(CutSet.from_file(corpus.valid))
    cuts[0].supervisions[0].text, cuts[1].supervisions[0].text = "a Ω", ""
    CutSet.from_cuts(cuts).to_file(tmp_path / "odd.jsonl.gz")
    recipe.run(
        recognise, [f"out={tmp_path / 'out'}", f"systems.a={systems['audio']}", f"cuts.t={tmp_path / 'odd.jsonl.gz'}"]
    )
    log = (tmp_path / "out" / "recognise.log").read_text()
    assert f"a on t: 1 of 4 references have symbols that it cannot write: {cuts[0].id}" in log
    assert f"a on t: 1 of 4 references are empty: {cuts[1].id}" in log


def test_another_search(units: Path, systems: dict[str, Path], tmp_path: Path) -> None:
    """Of one system; a head that it does not have is named."""
    search = "systems.a.search={_target_: speechunits.decode.greedy.Greedy, head: rnnt}"
    given = [f"systems.a.folder={systems['units']}", search, f"cuts.t={units / 'valid.jsonl.gz'}"]
    given += ["conf/search/greedy.yaml"]  # of all others
    with pytest.raises(UserError, match="no CTC head rnnt among ctc"):
        recipe.run(recognise, [f"out={tmp_path / 'out'}", *given])


def test_n_best(units: Path, systems: dict[str, Path]) -> None:
    """What a search gives beside the first hypothesis is written too."""
    model = store.restore(systems["units"])
    found = build({"_target_": "speechunits.decode.greedy.Greedy"})

    def two(heads: Any, heard: Any) -> Any:
        return [[each[0], each[0]] for each in found(heads, heard)]

    model.search = two
    cuts = open_cuts(units / "valid.jsonl.gz")
    fields = System(str(systems["units"])).batch_fields(model, cuts)
    readings = Recognition(model, cuts, fields).read()
    assert len(readings) == 4 and all([each["text"] for each in r.more["nbest"]] == [r.heard] * 2 for r in readings)
    assert all(0 <= r.more.get("confidence", 0) <= 1 for r in readings)
