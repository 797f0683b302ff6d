"""SpecAugment: against numpy written from the paper and torchaudio's masks; batch-mates and padding change nothing."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchaudio

from speechunits.draws import Draws, draws
from speechunits.encoder import SpeechEncoder
from speechunits.encoders.transformer import TransformerEncoder
from speechunits.frontends.log_mel import LogMel
from speechunits.maskers.spec_augment import SpecAugment
from speechunits.nn.positions import ConvPositions
from speechunits.seq import Seq, pad, unpad

HOP = Fraction(1, 100)
STILL = {"bands": 0, "time_masks": 0}


def spectrogram(*frames: int, dim: int = 12) -> Seq:
    return pad([torch.randn(n, dim, dtype=torch.float64) + 3 for n in frames], HOP)


def reference(x: np.ndarray, d: Draws, masker: SpecAugment) -> np.ndarray:
    """Section 2 of the paper for one utterance (T, D), each interval written out."""
    size, dim = x.shape
    rng = d.generator(0, "mask:warp")
    w = masker.warp
    if w and size - w - 1 > w:
        point = rng.integers(w + 1, size - w)
        there = point + rng.integers(-w, w + 1)
        halves = []
        for part, frames in ((x[:point], there), (x[point:], size - there)):  # pixels are areas: their centres move
            centres = (np.arange(frames) + 0.5) * len(part) / frames - 0.5
            halves.append(np.stack([np.interp(centres, np.arange(len(part)), band) for band in part.T], 1))
        x = np.concatenate(halves)
    out, rng = x.copy(), d.generator(0, "mask:time")
    value = x.mean() if masker.value == "mean" else 0.0
    limit = int(masker.time_share * size)
    for _ in range(
        masker.time_masks if masker.time_rate is None else min(masker.time_masks, int(masker.time_rate * size))
    ):
        t = rng.integers(0, (limit if masker.time_width is None else min(masker.time_width, limit)) + 1)
        t0 = rng.integers(0, max(1, size - t))
        out[t0 : t0 + t] = value
    rng = d.generator(0, "mask:band")
    for _ in range(masker.bands):
        f = rng.integers(0, min(masker.band_width, dim) + 1)
        f0 = rng.integers(0, max(1, dim - f))
        out[:, f0 : f0 + f] = value
    return out


@pytest.mark.parametrize(
    "masker",
    [
        SpecAugment(),
        SpecAugment(warp=10, band_width=4, time_masks=2, time_width=20, time_share=1.0),
        SpecAugment(warp=5, bands=1, band_width=30, time_width=90, time_share=0.2, value="mean"),
        SpecAugment(bands=0, time_masks=20, time_rate=0.04, time_share=0.04, value="mean"),
    ],
)
def test_each_utterance_is_that_of_the_equations_alone_and_in_a_batch(masker: SpecAugment) -> None:
    x, names = spectrogram(140, 97, 11, 1), ["a", "b", "c", "d"]
    seen, masked, aux = masker(x, draws(names, 3, 1))
    assert masked.equal(masker.draw(x.lengths, 140, draws(names, 3, 1))) and not (masked & ~x.valid).any() and aux == {}
    assert not (seen.data * ~x.valid[..., None]).any(), "padding stays zero"
    for row, one, name in zip(unpad(seen), unpad(x), names, strict=True):
        expected = reference(one.numpy(), draws([name], 3, 1), masker)
        np.testing.assert_allclose(row.numpy(), expected, rtol=1e-12, atol=1e-12)
    assert not masker(x, draws(names, 3, 2))[0].data.equal(seen.data), "another epoch, other draws"


def test_a_warp_is_torchs_interpolation_of_both_sides() -> None:
    x = spectrogram(60)
    rng = draws(["a"]).generator(0, "mask:warp")
    point = int(rng.integers(11, 50))
    there = point + int(rng.integers(-10, 11))
    wide = x.data.transpose(1, 2)
    halves = [
        F.interpolate(wide[..., part], size=n, mode="linear", align_corners=False)
        for part, n in ((slice(point), there), (slice(point, None), 60 - there))
    ]
    seen, masked, _ = SpecAugment(**{**STILL, "warp": 10})(x, draws(["a"]))
    torch.testing.assert_close(seen.data, torch.cat(halves, -1).transpose(1, 2))
    assert there != point and not masked.any()


@pytest.mark.parametrize("axis", ["time", "band"])
def test_masks_fall_where_those_of_torchaudio_do(axis: str) -> None:
    """Widths and places over many draws; torchaudio draws widths below its parameter, so it is given one more."""
    many, size, widest = 4000, 40, 15
    choice = (
        {"time_masks": 1, "time_width": widest, "time_share": 1.0}
        if axis == "time"
        else {"bands": 1, "band_width": widest}
    )
    x = Seq(torch.ones(many, size, size), torch.full((many,), size), HOP)
    ours = SpecAugment(**{**STILL, **choice})(x, draws([str(i) for i in range(many)]))[0].data
    theirs = torchaudio.functional.mask_along_axis_iid(x.data, widest + 1, 0.0, axis=1 if axis == "time" else 2)
    hidden = [(each == 0).all(2 if axis == "time" else 1).double() for each in (ours, theirs)]
    torch.testing.assert_close(hidden[0].mean(0), hidden[1].mean(0), atol=0.035, rtol=0)
    widths = [torch.bincount(each.sum(1).long(), minlength=widest + 1) / many for each in hidden]
    torch.testing.assert_close(widths[0], widths[1], atol=0.025, rtol=0)
    assert len(widths[0]) == len(widths[1]) == widest + 1


def test_numbers_and_widths_follow_the_length() -> None:
    masker = SpecAugment(bands=0, time_masks=20, time_rate=0.04, time_share=0.04)
    lengths = torch.tensor([20, 100, 3000])
    masked = [masker.draw(lengths, 3000, draws([f"{i}{j}" for j in range(3)])) for i in range(40)]
    most = torch.stack(masked).sum(2).amax(0)
    assert most[0] == 0 and 4 < most[1] <= 4 * 4 and most[2] > 20 * 30


def test_gradients_reach_what_is_shown_alone() -> None:
    x = spectrogram(30, 20)
    data = x.data.clone().requires_grad_()
    seen, masked, _ = SpecAugment(bands=0, time_share=0.5)(x.with_data(data), draws(["a", "b"]))
    seen.data.sum().backward()
    assert data.grad is not None and masked.any()
    torch.testing.assert_close(data.grad, (~masked[..., None]).double().expand_as(data))


@pytest.mark.parametrize("bad", [{"warp": -1}, {"time_share": 1.5}, {"time_rate": -0.1}, {"band_width": -2}])
def test_numbers_outside_their_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="0 or more, and time_share is between 0 and 1"):
        SpecAugment(**bad)  # type: ignore[arg-type]


def test_it_is_a_masker_of_an_encoder_too() -> None:
    """A system may hide spectrograms so before its encoder: what is masked is known before the pass."""
    layers = TransformerEncoder(1, 20, 8, 2, 0.0, 0.0, positions=partial(ConvPositions, kernel=3, groups=2))
    encoder = SpeechEncoder(LogMel(bands=20, hop="1/50"), layers, masker=SpecAugment(time_share=0.3)).eval()
    audio, drawn = pad([torch.randn(16000), torch.randn(9000)], Fraction(1, 16000)), draws(["a", "b"])
    look = encoder(audio, drawn)
    assert look.frames.masked.equal(encoder.frames(audio, drawn).masked) and look.frames.masked.any()
    assert not look.seen.data[look.frames.masked].any() and not encoder(audio).frames.masked.any()
