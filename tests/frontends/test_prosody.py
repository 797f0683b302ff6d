"""Prosody: its grid is that of units, its energy that of numpy, and no frame hears padding or breaks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from speechunits.frontends.conv import ConvFrontend
from speechunits.frontends.prosody import Prosody
from speechunits.part import ConfigError
from speechunits.seq import Seq, unpad
from tests.frontends.voices import TRACKERS, audio, prosody, voice


def test_frames_are_those_of_units() -> None:
    made, lengths = prosody(), torch.tensor([0, 399, 400, 719, 720, 16000, 16079, 16080])
    assert made.frames(lengths).equal(ConvFrontend().frames(lengths))
    assert made.frames(lengths).tolist()[:5] == [0, 0, 1, 1, 2] and (made.hop, made.dim) == (Fraction(1, 50), 3)


def test_energy_is_that_of_each_frame() -> None:
    x = np.random.default_rng(0).normal(0, 0.1, 5000) * np.linspace(0, 1, 5000)
    found = prosody()(audio(x)).data[0, :, 2]
    wanted = [np.log(np.sqrt(np.mean(x[t : t + 400] ** 2))) for t in range(0, 5000 - 399, 320)]
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-4)


@pytest.mark.parametrize("kind", TRACKERS)
def test_silence_offset_clipping_and_one_frame_are_finite(kind: str) -> None:
    made, t = prosody(kind), np.arange(16000)
    f0 = np.full(16000, 150.0)
    still = made(audio(np.zeros(16000))).data
    assert not still[..., :2].any() and torch.allclose(still[..., 2], torch.tensor(1e-5).log())
    assert made(audio(np.full(16000, 0.5))).data.isfinite().all()
    clipped = made(audio(np.clip(20 * voice(f0), -1, 1))).data[0, 2:-2]
    assert clipped[:, 1].all() and (clipped[:, 0] - np.log(150)).abs().max() < 0.01
    for wrong in (np.sign(np.sin(t)), np.eye(1, 16000, 8000)[0], 1e-6 * np.sin(t / 20), 100 * np.sin(t / 20)):
        assert made(audio(wrong)).data.isfinite().all()
    assert made(audio(voice(f0)[:400])).data.shape == (1, 1, 3)


@pytest.mark.parametrize("kind", TRACKERS)
def test_a_batch_gives_what_its_utterances_give(kind: str) -> None:
    made, random = prosody(kind), np.random.default_rng(0)
    rows = [voice(np.full(n, f)) + random.normal(0, 0.02, n) for n, f in ((16000, 120.0), (9000, 240.0), (400, 90.0))]
    together = made(x := audio(*rows))
    assert together.lengths.tolist() == [49, 27, 1]
    for row, own in zip(rows, unpad(together), strict=True):
        torch.testing.assert_close(own, made(audio(row)).data[0], atol=1e-5, rtol=0)
    assert not together.data[1, 27:].any()
    dirty = x.with_data(torch.where(x.valid, x.data, torch.randn_like(x.data)))
    torch.testing.assert_close(made(dirty).data, together.data, atol=1e-5, rtol=0)


def test_other_hops_and_rates() -> None:
    f0 = np.full(16000, 200.0)
    found = prosody(hop="1/100")(audio(voice(f0)))
    assert found.hop == Fraction(1, 100) and found.lengths.tolist() == [98] and found.data[0, 3:-3, 1].all()
    half = prosody(sample_rate=8000)(Seq(audio(voice(f0)).data[:, ::2], torch.tensor([8000]), Fraction(1, 8000)))
    assert half.lengths.tolist() == [49]
    torch.testing.assert_close(half.data[0, 2:-2, 0].exp(), torch.full((45,), 200.0), atol=0.6, rtol=0)


def test_mistakes_are_named() -> None:
    for more, says in [
        ({"hop": "1/3001"}, "not a whole number of samples at 16000 Hz"),
        ({"pitch": {"_target_": TRACKERS["correlation"], "low": 30.0}}, "low 30, high 500: give a range of Hz"),
        ({"pitch": {"_target_": TRACKERS["correlation"], "voicing": 1.0}}, "voicing 1, silence 0.03: give shares of 1"),
    ]:
        with pytest.raises(ConfigError, match=says):
            prosody(**more)
    with pytest.raises(ValueError, match="takes audio at 16000 Hz, found 8000 Hz"):
        prosody()(Seq(torch.zeros(1, 800), torch.tensor([800]), Fraction(1, 8000)))


def test_without_pyworld_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyworld", None)
    from speechunits.frontends.pitch_world import PitchWorld

    with pytest.raises(ValueError, match=r"pyworld is not installed.*pip install 'speechunits\[prosody\]'"):
        Prosody(PitchWorld)
