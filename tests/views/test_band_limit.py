"""Nothing above the cutoff, everything below it, the same for an utterance in any batch."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch

from speechunits.draws import draws
from speechunits.seq import Seq, pad
from speechunits.views.band_limit import BandLimit

HZ16K = Fraction(1, 16000)


def tone(hertz: float, n: int = 8000) -> torch.Tensor:
    return torch.sin(2 * math.pi * hertz * torch.arange(n, dtype=torch.float64) / 16000)


def level(x: torch.Tensor) -> float:
    """dB, away from the ends."""
    return 20 * math.log10(float(x[500:-500].square().mean().sqrt()) + 1e-12)


def test_tones_below_the_cutoff_pass_and_those_above_are_gone():
    band = BandLimit(4000, 4000, share=1.0)
    for hertz in (100, 1000, 3700):
        heard = band(pad([tone(hertz)], HZ16K), draws(["a"])).data[0]
        torch.testing.assert_close(heard[500:-500], tone(hertz)[500:-500], rtol=0, atol=1e-3)  # no delay either
    for hertz in (4300, 6000, 7900):
        assert level(band(pad([tone(hertz)], HZ16K), draws(["a"])).data[0]) < level(tone(hertz)) - 80


def test_the_filter_belongs_to_the_utterance_and_padding_stays_zero():
    noise = torch.randn(2, 6000, generator=torch.Generator().manual_seed(0))
    both, view = Seq(noise, torch.tensor([6000, 4000]), HZ16K), BandLimit(share=1.0)
    both = both.with_data(noise * both.valid)
    heard = view(both, draws(["a", "b"]))
    alone = view(Seq(noise[1:, :4000], torch.tensor([4000]), HZ16K), draws(["b"]))
    torch.testing.assert_close(heard.data[1, :4000], alone.data[0], rtol=0, atol=1e-5)
    assert not heard.data[1, 4000:].any()
    assert not torch.equal(view(both, draws(["a", "b"], seed=1)).data, heard.data)


def test_the_share_of_filtered_utterances_is_the_one_asked_for():
    ids = [f"cut-{i}" for i in range(400)]
    noise = torch.randn(1, 400, generator=torch.Generator().manual_seed(0)).expand(400, -1)
    audio = Seq(noise, torch.full((400,), 400), HZ16K)
    changed = (BandLimit(low=2000, high=6000, share=0.3)(audio, draws(ids)).data - noise).abs().amax(1) > 1e-3
    assert 0.23 < float(changed.float().mean()) < 0.37
    assert not BandLimit(8000, 9000, share=1.0).taps(0.0, 0.5, HZ16K).ne(0).sum() > 1  # above Nyquist: as it was


@pytest.mark.parametrize(("low", "high", "share"), [(0, 4000, 0.5), (5000, 4000, 0.5), (3000, 4000, 1.5)])
def test_impossible_settings_are_refused(low: float, high: float, share: float):
    with pytest.raises(ValueError, match=r"needed, in Hz|no share"):
        BandLimit(low, high, share)
