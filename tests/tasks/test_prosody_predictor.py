"""ProsodyPredictor: terms that add up over batches, a gradient everywhere, what it learns of two speakers, and its folder."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from speechunits import store
from speechunits.config import build, check_build
from speechunits.draws import draws
from speechunits.errors import UserError
from speechunits.nn.speaker_prosody import fit_speaker_prosody
from speechunits.protocols import Finishes, Predicts, Trainable
from speechunits.seq import pad, unpad
from speechunits.stream import Stream
from speechunits.tasks.prosody_conversion import merged
from speechunits.tasks.prosody_predictor import ProsodyPredictor
from speechunits.term import add, loss

HOP = Fraction(1, 50)
STREAMS = {"units": Stream(HOP, (5,), "km"), "prosody": Stream(HOP, (), "fp", (3,))}
NAMES = {"_target_": "speechunits.text.names.Names", "names": ["al", "bo"]}
BLOCK = {"_target_": "speechunits.nn.conformer.ConformerBlock", "ffn": 16, "kernel": 5}
ENCODER = {
    "_target_": "speechunits.encoders.block_encoder.BlockEncoder",
    "depth": 1,
    "dim": 8,
    "heads": 2,
    "block": BLOCK,
}


def tree(**more: Any) -> dict[str, Any]:
    return {
        "_target_": "speechunits.tasks.prosody_predictor.ProsodyPredictor",
        "input": {"_target_": "speechunits.inputs.unit_input.UnitInput", "dim": 8},
        "conditions": {"speaker": {"_target_": "speechunits.inputs.label_table.LabelTable", "names": NAMES, "dim": 4}},
        "durations": {"_target_": "speechunits.heads.duration.DurationPredictor", "hidden": 16, "dropout": 0.0},
        "contours": {"_target_": "speechunits.heads.contours.ContourPredictor", "hidden": 16, "dropout": 0.0},
        **more,
    }


def make(**more: Any) -> ProsodyPredictor:
    torch.manual_seed(0)
    made: ProsodyPredictor = build(tree(**more), streams=STREAMS).double().eval()
    return made


def said(seed: int, speaker: str, runs: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Units of al last 2 + u frames, those of bo twice as long; unit 0 is unvoiced, the others rise with their number."""
    random = np.random.default_rng(seed)
    ids = np.cumsum(random.integers(1, 5, runs)) % 5
    lasting = (2 + ids) * (1 if speaker == "al" else 2)
    units = np.repeat(ids, lasting)
    voiced = (units > 0).astype(float)
    pitch = ((4.6 if speaker == "al" else 5.3) + 0.1 * units) * voiced
    return torch.tensor(units), torch.tensor(np.stack([pitch, voiced, -5 + 0.5 * units], 1))


def batch(*seeds: int) -> dict[str, Any]:
    """Utterances, each the same whatever stands beside it; speakers take turns."""
    speakers = [("al", "bo")[seed % 2] for seed in seeds]
    units, prosody = zip(
        *[said(*each, runs=8 + each[0] % 5) for each in zip(seeds, speakers, strict=True)], strict=True
    )
    ids = [str(seed) for seed in seeds]
    return {
        "units": pad(units, HOP),
        "prosody": pad(prosody, HOP),
        "speaker": speakers,
        "draws": draws(ids),
        "ids": ids,
    }


@pytest.mark.parametrize("more", [{}, {"encoder": ENCODER}], ids=["convolutions", "encoder"])
def test_terms_of_a_batch_are_those_of_its_utterances(more: dict[str, Any]) -> None:
    model, seeds = make(**more), (3, 4, 7)
    assert isinstance(model, Trainable) and isinstance(model, Predicts) and isinstance(model, Finishes)
    together, apart = model.terms(batch(*seeds)), add(model.terms(batch(seed)) for seed in seeds)
    counts = model.counts(batch(*seeds))
    assert counts.keys() == together.keys() == {"duration/loss", "pitch/loss", "voicing/loss", "energy/loss"}
    for name, term in together.items():
        torch.testing.assert_close(term.num, apart[name].num)
        assert term.den == apart[name].den == counts[name]
    runs = [len(row) for row in unpad(merged(batch(*seeds)["units"])[0])]
    assert int(counts["duration/loss"]) == sum(runs) - 2 * len(runs), "the first and the last may be cut"
    loss(together, counts).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_predictions_of_a_batch_are_those_of_its_utterances() -> None:
    model, seeds = make(encoder=ENCODER), (3, 4, 7)
    for kind in ("frames", "runs"):
        given = [batch(*seeds), *(batch(seed) for seed in seeds)]
        if kind == "runs":
            given = [{**each, "units": merged(each["units"])[0]} for each in given]
        together, *apart = (model.predict(each) for each in given)
        for name, seq in together.items():
            for row, own in zip(unpad(seq), apart, strict=True):
                torch.testing.assert_close(row, own[name].data[0])
        frames = together["units"]
        assert frames.hop == together["prosody"].hop == together["durations"].hop == HOP
        assert frames.lengths.equal(together["prosody"].lengths)
        if kind == "runs":
            assert frames.lengths.equal((together["durations"].data * together["durations"].valid).sum(1))
        else:
            assert frames.data.equal(given[0]["units"].data), "units of frames keep their rhythm"


def learned(**more: Any) -> ProsodyPredictor:
    model = build(tree(**more), streams=STREAMS).train()
    optimizer, given = torch.optim.Adam(model.parameters(), 2e-2), batch(*range(16))
    for _ in range(100):
        optimizer.zero_grad()
        loss(model.terms(given)).backward()
        optimizer.step()
    return model.eval()


@pytest.mark.slow
def test_a_speakers_rhythm_and_melody_are_learned_and_given_to_others(tmp_path: Path) -> None:
    """What al says of units that it never said lasts and sounds as al's do, and bo's as bo's."""
    whole = batch(*range(16))
    store.save(fit_speaker_prosody([(whole["speaker"], whole["prosody"])], "fp"), tmp_path / "speakers")
    model = learned(speakers={"_target_": "speechunits.store.restore", "folder": str(tmp_path / "speakers")})
    for speaker in ("al", "bo"):
        units, prosody = (pad([each], HOP) for each in said(99, speaker))
        runs, lasting = merged(units)
        found = model.predict({"units": runs, "speaker": [speaker]})
        off = (found["durations"].data - lasting.data).abs().double().mean()
        assert off < 0.15 * lasting.data.double().mean(), off
        other = {"units": units, "speaker": [speaker]}
        heard = model.predict(other)["prosody"].data[0]
        wanted = prosody.data[0]
        assert ((heard[:, 1] > 0.5) == (wanted[:, 1] > 0.5)).double().mean() > 0.95
        both = (heard[:, 1] > 0.5) & (wanted[:, 1] > 0.5)
        assert (heard[both, 0] - wanted[both, 0]).abs().mean() < 0.05 and (heard - wanted)[:, 2].abs().mean() < 0.3
    with pytest.raises(UserError, match="there is no speaker 'cy'"):
        model.predict({"units": units, "speaker": ["cy"]})


def test_without_measured_speakers_the_target_says_where_its_voice_lies() -> None:
    """The scale is that of the prosody that is given: here a recording of the target, of any length."""
    model, units = make(), batch(3)["units"]
    low, high = (
        model.predict({"units": units, "speaker": ["al"], "prosody": batch(s)["prosody"]})["prosody"] for s in (4, 5)
    )
    voiced = low.data[..., 1] > 0.5
    assert voiced.equal(high.data[..., 1] > 0.5) and voiced.any()
    assert float((high.data - low.data)[..., 0][voiced].mean()) > 0.4


def test_a_saved_one_needs_nothing_but_its_folder(tmp_path: Path) -> None:
    model = build(tree(encoder=ENCODER), streams=STREAMS).eval()
    (kind,) = model.artefacts()
    store.save(model, tmp_path / kind, kind=kind)
    back, given = store.restore(tmp_path / "prosody", expect=ProsodyPredictor), batch(3, 4)
    given["prosody"] = given["prosody"].to(torch.float32)
    for name, seq in model.predict(given).items():
        assert back.predict(given)[name].data.equal(seq.data), name
    assert back.labels == model.labels == {"units": "km", "prosody": "fp"}


def test_units_and_prosody_out_of_step_are_refused() -> None:
    slow = {**STREAMS, "prosody": Stream(Fraction(1, 100), (), "fp", (3,))}
    (found,) = check_build(tree(), at="model", streams=slow)
    assert "input gives a frame every 1/50 s, the prosody of 'prosody' every 1/100 s" in found
    conv = {"_target_": "speechunits.nn.conv1d_subsampling.Conv1dSubsampling", "dim": 8}
    (found,) = check_build(tree(input={**tree()["input"], "subsampling": conv}), at="model", streams=STREAMS)
    assert "input gives a frame every 1/25 s" in found
