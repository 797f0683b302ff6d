"""The generator against SpeechT5HifiGan of transformers, the same random weights in both, weight norm in both."""

from __future__ import annotations

import torch
from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

from speechunits.seq import Seq
from speechunits.vocoders.hifigan import HiFiGAN
from tests.vocoders.contract import HOP, shaken


def test_values() -> None:
    rates, kernels, dilations = [5, 4, 4, 2, 2], [11, 8, 8, 4, 4], [[1, 3, 5], [1, 2, 4]]
    config = SpeechT5HifiGanConfig(
        model_in_dim=6,
        upsample_initial_channel=32,
        upsample_rates=rates,
        upsample_kernel_sizes=kernels,
        resblock_kernel_sizes=[3, 7],
        resblock_dilation_sizes=dilations,
        normalize_before=False,
    )
    theirs = SpeechT5HifiGan(config)
    theirs.apply_weight_norm()
    theirs = shaken(theirs).eval()
    ours = HiFiGAN(rates, kernels, 32, (3, 7), dilations, dim=6, hop=HOP).double().eval()
    weights = {k: v for k, v in theirs.state_dict().items() if k not in ("mean", "scale")}
    ours.load_state_dict(dict(zip(ours.state_dict(), weights.values(), strict=True)))
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs(x)
        found = ours(Seq(x, torch.tensor([5, 5]), HOP)).data
    assert float(expected.std()) > 0.01
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
