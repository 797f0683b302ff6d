"""From stored units to subwords, and from a fragment of configuration to a recogniser that reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lhotse import CutSet

from recipes.fit_text import fit_text
from recipes.fit_unit_bpe import fit_unit_bpe
from recipes.train import train
from speechunits import store
from speechunits.config import build, dump, load
from speechunits.data.batch_dataset import BatchDataset, Planned
from speechunits.data.cuts import open_cuts
from speechunits.data.unit_meta import read_meta, write_meta
from speechunits.errors import UserError
from speechunits.recipe import exit_codes, run
from speechunits.seq import unpad
from speechunits.tasks.asr import ASR
from speechunits.units.unit_bpe import UnitBPE

SIZE = 12  # of 8 units


def arguments(units: Path, out: Path, *more: str) -> list[str]:
    return ["units/bpe.yaml", f"out={out}", f"cuts={units / 'train.jsonl.gz'}", f"subwords.size={SIZE}", *more]


@pytest.fixture(scope="module")
def subwords(units: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bpe")
    run(fit_unit_bpe, arguments(units, out))
    return out / "subwords"


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_subwords_are_fitted_and_their_rates_told(units: Path, tmp_path: Path, kind: str) -> None:
    mark = run(fit_unit_bpe, [f"units/{kind}.yaml", *arguments(units, tmp_path / "a")[1:]])
    made = store.restore(tmp_path / "a" / "subwords", expect=UnitBPE)
    stream = open_cuts(units / "train.jsonl.gz").streams["units"]
    assert (made.kind, made.size, made.units, made.source) == (kind, SIZE, 8, f"{stream.fingerprint}+dedup")
    assert mark["fingerprint"] == made.fingerprint and mark["utterances"] == 10
    merged, joined = mark["units"], mark["subwords"]
    assert 0 < joined["tokens_per_second"] < merged["tokens_per_second"] < 100
    again = run(fit_unit_bpe, [f"units/{kind}.yaml", *arguments(units, tmp_path / "b")[1:]])
    assert again["fingerprint"] == mark["fingerprint"]
    half = run(fit_unit_bpe, [f"units/{kind}.yaml", *arguments(units, tmp_path / "c", "share=0.5")[1:]])
    assert half["utterances"] == 5


def test_an_utterance_without_units_has_no_rate(units: Path, tmp_path: Path) -> None:
    cuts = list(open_cuts(units / "train.jsonl.gz"))
    cuts[3] = cuts[3].truncate(duration=0.005, preserve_id=True)
    CutSet.from_cuts(cuts).to_file(tmp_path / "train.jsonl.gz")
    write_meta(tmp_path / "train.jsonl.gz", read_meta(units / "train.jsonl.gz"))
    mark = run(fit_unit_bpe, arguments(tmp_path, tmp_path / "out"))
    assert mark["utterances"] == 10 and 0 < mark["subwords"]["tokens_per_second"] < mark["units"]["tokens_per_second"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("subwords.size=4000", "size=4000: the data allow at most"),
        ("subwords.size=7", "size=7: fewer subwords than the 8 units"),
        ("share=0", "share=0: of the cuts, above 0 and at most 1"),
        ("share=2", "share=2: of the cuts, above 0 and at most 1"),
        ("units.units.key=codes", "no stored codes codes"),
        ("units={_target_: speechunits.data.fields.UnitsField}", "units: must build"),
    ],
)
def test_what_the_user_can_mend(
    units: Path, tmp_path: Path, more: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, exit_codes():
        run(fit_unit_bpe, arguments(units, tmp_path / "out", more))
    said = capsys.readouterr().err
    assert ended.value.code == 2 and says in said and said.count("\n") == 1
    assert not (tmp_path / "out" / "subwords").exists()


@pytest.fixture(scope="module")
def said(units: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same cuts and units, with transcripts of one letter: as long as subwords allow."""
    out = tmp_path_factory.mktemp("said")
    for name in ("train.jsonl.gz", "valid.jsonl.gz"):
        cuts = list(open_cuts(units / name))
        for cut in cuts:
            cut.supervisions[0].text = cut.supervisions[0].text.split()[1][0]
        CutSet.from_cuts(cuts).to_file(out / name)
        write_meta(out / name, read_meta(units / name))
    return out


def recogniser(said: Path, text: Path, fragment: str, *more: str) -> dict[str, Any]:
    """A recogniser with the fragment's input, and nothing else that says what it reads."""
    small = {"_target_": "speechunits.nn.positions.ConvPositions", "kernel": 5, "groups": 2}
    tree = {
        "model": {
            "_target_": "speechunits.tasks.asr.ASR",
            "encoder": {
                "_target_": "speechunits.encoders.transformer.TransformerEncoder",
                **{"depth": 1, "dim": 8, "ffn": 16, "heads": 2, "positions": small, "layerdrop": 0.0},
            },
            "text": "${data.fields.text.tokenizer}",
            "heads": {"ctc": {"_target_": "speechunits.heads.ctc.CTC"}},
        },
        "data": {
            "_target_": "speechunits.train.datamodule.SpeechDataModule",
            **{"train": str(said / "train.jsonl.gz"), "valid": str(said / "valid.jsonl.gz")},
            **{"max_seconds": 4.0, "num_workers": 0},
            "fields": {
                "audio": {"_target_": "speechunits.data.fields.AudioField"},
                "text": {
                    "_target_": "speechunits.data.fields.TextField",
                    "tokenizer": {"_target_": "speechunits.store.restore", "folder": str(text)},
                },
            },
        },
    }
    return load(tree, f"input/{fragment}.yaml", "model.input.dim=8", *more)


@pytest.fixture(scope="module")
def text(said: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("text")
    run(fit_text, ["text/characters.yaml", f"out={out}", f"cuts=[{said}/train.jsonl.gz,{said}/valid.jsonl.gz]"])
    return out / "text"


CALLER = {
    "units": [],
    "units_bpe": ["data.fields.units.steps.subwords.folder={subwords}"],
    "units_multi": ["data.fields.units.units.fields={{one: {{_target_: speechunits.data.fields.UnitsField}}}}"],
}


@pytest.mark.parametrize("fragment", CALLER)
def test_one_line_swaps_the_input(said: Path, text: Path, subwords: Path, fragment: str) -> None:
    """Parts that learn get gradients, edges end where the audio does, and the audio is not read."""
    tree = recogniser(said, text, fragment, *(line.format(subwords=subwords) for line in CALLER[fragment]))
    data = build(tree["data"], at="data")
    model: ASR = build(tree["model"], at="model", streams=data.streams)
    assert "audio" not in data.fields and model.labels["units"] == data.streams["units"].fingerprint
    dataset = BatchDataset(open_cuts(said / "train.jsonl.gz"), data.fields)
    batch = dataset[Planned(0, (0, 1, 2))].batch
    counts, terms = model.train().counts(batch), model.terms(batch)
    assert counts["ctc/loss"] == terms["ctc/loss"].den == 3
    terms["ctc/loss"].num.backward()
    assert all(p.grad is not None for p in model.parameters())
    edges, hop = model.input.edges(batch), dataset.cuts.streams["units"].hop
    assert edges is not None and hop is not None
    whole = [int(frames.sum()) * float(hop) for frames in unpad(batch["durations"])]
    assert edges[:, -1].tolist() == pytest.approx(whole) and bool((edges.diff() >= 0).all())
    assert len(model.eval().predict(batch)["text"]) == 3


def test_subwords_of_other_units_are_refused(said: Path, text: Path, subwords: Path) -> None:
    more = [f"data.fields.units.steps.subwords.folder={subwords}", "data.fields.units.steps.dedup=null"]
    data = build(recogniser(said, text, "units_bpe", *more)["data"], at="data")
    with pytest.raises(
        UserError, match=r"train.jsonl.gz: step subwords: the subwords \w+ were fitted on 8 units \w+\+dedup"
    ):
        _ = data.streams


@pytest.mark.slow
def test_loader_workers_do_not_change_a_training_that_draws(
    said: Path, text: Path, subwords: Path, tmp_path: Path
) -> None:
    more = [f"data.fields.units.steps.subwords.folder={subwords}", "data.fields.units.steps.subwords.changes.alpha=0.5"]
    tree = recogniser(said, text, "units_bpe", *more)
    optimizer = {"_target_": "speechunits.train.optim.adamw", "_partial_": True, "lr": 1e-3}
    steps = {"accelerator": "cpu", "max_steps": 6, "checkpoint_every": 3, "validate_every": 3}
    trainer = {"_target_": "speechunits.train.trainer.build_trainer", **steps}
    (tmp_path / "asr.yaml").write_text(dump({**tree, "optimizer": optimizer, "trainer": trainer, "log_every": 1}))
    made = {}
    for workers in (0, 2):
        out = tmp_path / str(workers)
        run(train, [str(tmp_path / "asr.yaml"), f"out={out}", f"data.num_workers={workers}"])
        made[workers] = store.read_meta(out / "asr")
        assert made[workers]["steps"] == 6
    assert made[0]["fingerprint"] == made[2]["fingerprint"]
    name = f"+dedup+{store.read_meta(subwords)['fingerprint']}"
    assert any(parent.endswith(name) for parent in made[0]["derived_from"])
    assert store.restore(tmp_path / "0" / "asr", expect=ASR).labels["units"].endswith(name)
