"""PitchInput, EnergyInput: what is heard of stored prosody, at which rate, by whose measure; bins; mistakes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm

from speechunits import store
from speechunits.config import build, check_build
from speechunits.errors import UserError
from speechunits.inputs.binned_pitch import BinnedPitch
from speechunits.inputs.pitch_input import PitchInput
from speechunits.nn.prosody_scale import own_scale
from speechunits.nn.speaker_prosody import fit_speaker_prosody
from speechunits.seq import Seq, pad
from speechunits.stream import Stream
from tests.nn.test_prosody_scale import rows

HOP = Fraction(1, 50)
STREAMS = {"prosody": Stream(HOP, (), "fp", (3,)), "features": Stream(HOP, (), "f2", (6,))}
PITCH = {"_target_": "speechunits.inputs.pitch_input.PitchInput", "dim": 4}
ENERGY = {"_target_": "speechunits.inputs.energy_input.EnergyInput", "dim": 4}
BINNED = {**PITCH, "reading": {"_target_": "speechunits.inputs.binned_pitch.BinnedPitch", "bins": 5}}
KINDS = {"linear": PITCH, "binned": BINNED, "energy": ENERGY}
NAMES = ["al", "bo"]


def batch(*frames: int) -> dict[str, Any]:
    return {"prosody": pad([row.float() for row in rows(*frames)], HOP), "speaker": NAMES[: len(frames)]}


def frames_of(batch: dict[str, Any], repeat: int = 1) -> Seq:
    prosody = batch["prosody"]
    data = torch.zeros(len(prosody.data), prosody.data.size(1) * repeat, 2)
    return Seq(data, prosody.lengths * repeat, HOP / repeat)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_padding_and_gradient(kind: str) -> None:
    made, together = build(KINDS[kind], streams=STREAMS), batch(30, 17)
    heard = made(together, frames_of(together))
    assert heard.shape == (2, 30, made.dim) and made.labels == {"prosody": "fp"} and not heard[1, 17:].any()
    torch.testing.assert_close(heard[:1], made(batch(30), frames_of(batch(30))))
    finer = made(together, frames_of(together, 2))
    torch.testing.assert_close(finer[:, ::2], heard)
    torch.testing.assert_close(finer[:, 1::2], heard)
    heard.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())


def test_what_is_heard_has_no_voice() -> None:
    """An octave up and twice as loud, it is the same by the utterance's own measure; by a speaker's it is not."""
    one = batch(40)
    moved = one["prosody"].data + torch.tensor([np.log(2), 0.0, np.log(2)])
    moved[..., 0] *= moved[..., 1]
    other = {**one, "prosody": one["prosody"].with_data(moved)}
    measured = fit_speaker_prosody([(one["speaker"], one["prosody"])], "fp")
    for kind in KINDS.values():
        own = build(kind, streams=STREAMS)
        torch.testing.assert_close(own(one, frames_of(one)), own(other, frames_of(one)), atol=1e-4, rtol=1e-4)
    torch.manual_seed(0)
    by_speaker = PitchInput(4, speakers=measured, streams=STREAMS)
    torch.manual_seed(0)
    by_itself = build(PITCH, streams=STREAMS)
    torch.testing.assert_close(by_speaker(one, frames_of(one)), by_itself(one, frames_of(one)), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(by_speaker(other, frames_of(one)), by_itself(one, frames_of(one)), atol=0.1)
    with pytest.raises(UserError, match="the prosody of di was not measured, only that of al"):
        by_speaker({**one, "speaker": ["di"]}, frames_of(one))


def test_prosody_that_ends_early_is_unvoiced_and_of_mean_loudness() -> None:
    one = batch(10)
    longer = Seq(torch.zeros(1, 12, 2), torch.tensor([12]), HOP)
    pitch, energy = build(BINNED, streams=STREAMS), build(ENERGY, streams=STREAMS)
    torch.testing.assert_close(pitch(one, longer)[0, 10:], pitch.reading.vectors.weight[:1].expand(2, -1))
    torch.testing.assert_close(energy(one, longer)[0, 10:], energy.linear.bias.expand(2, -1))
    with pytest.raises(ValueError, match="not an integer"):
        pitch(one, Seq(longer.data, longer.lengths, Fraction(1, 75)))


def test_bins_are_quantiles_of_a_normal_distribution_or_equal() -> None:
    x = torch.randn(20000)
    even = BinnedPitch(8, dim=2)
    np.testing.assert_allclose(even.edges, norm.ppf(np.arange(1, 8) / 8), rtol=1e-6)
    shares = even.bins(x, torch.ones(20000, dtype=torch.bool)).bincount()[1:] / 20000
    torch.testing.assert_close(shares, torch.full((8,), 1 / 8), atol=0.01, rtol=0)
    equal = BinnedPitch(6, "uniform", dim=2)
    pitch = torch.tensor([-9.0, -2.5, -0.5, 0.5, 2.5, 9.0, 0.5])
    voiced = torch.tensor([True] * 6 + [False])
    assert equal.bins(pitch, voiced).tolist() == [1, 1, 3, 4, 6, 6, 0]
    assert equal(pitch, voiced).shape == (7, 2)
    with pytest.raises(ValueError, match="bins = 1: give two at least"):
        BinnedPitch(1, dim=2)


@pytest.mark.parametrize("kind", KINDS)
def test_mistakes_are_named_before_anything_is_built(kind: str, tmp_path: Path) -> None:
    for field in ("melody", "features"):
        (found,) = check_build({**KINDS[kind], "field": field}, at="x", streams=STREAMS)
        assert f"no field '{field}' of prosody; its vectors are: prosody, features" in found
    store.save(fit_speaker_prosody([(["al"], batch(9)["prosody"])], "other"), tmp_path / "speakers")
    restored = {"_target_": "speechunits.store.restore", "folder": str(tmp_path / "speakers")}
    (found,) = check_build({**KINDS[kind], "speakers": restored}, at="x", streams=STREAMS)
    assert "measured on the prosody other, the data has fp; run fit_prosody on it" in found


def test_a_saved_one_keeps_the_speakers(tmp_path: Path) -> None:
    one = batch(20, 9)
    store.save(fit_speaker_prosody([(one["speaker"], one["prosody"])], "fp"), tmp_path / "speakers")
    restored = {"_target_": "speechunits.store.restore", "folder": str(tmp_path / "speakers")}
    made = build({**BINNED, "speakers": restored}, streams=STREAMS).eval()
    store.save(made, tmp_path / "condition")
    (tmp_path / "speakers").rename(tmp_path / "gone")
    back = store.restore(tmp_path / "condition")
    torch.testing.assert_close(back(one, frames_of(one)), made(one, frames_of(one)))
    scale = back.prosody.scale(one)
    torch.testing.assert_close(scale.mean, own_scale(one["prosody"]).mean)
