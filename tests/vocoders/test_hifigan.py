"""HiFi-GAN's generator: sizes as published, layers and values of a plain one, the contract of generators."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import nn

from speechunits.vocoders.hifigan import HiFiGAN
from tests.vocoders.contract import HOP, check_generator, frames, shaken
from tools.bench.plain_hifigan import PlainHiFiGAN, convolutions, copy_weights

SMALL = {"rates": (4, 2), "kernels": (6, 4), "channels": 8, "block_kernels": (3, 5), "rate": 400}


@pytest.mark.parametrize(
    ("arguments", "millions"),
    [
        ({"channels": 512}, 13.92),
        ({"channels": 128}, 0.92),
        (
            {
                **{"rates": (8, 8, 4), "kernels": (16, 16, 8), "channels": 256, "paired": False},
                **{"block_kernels": (3, 5, 7), "dilations": ((1, 2), (2, 6), (3, 12))},
            },
            1.46,
        ),
    ],
)
def test_has_as_many_parameters_as_published(arguments: dict, millions: float) -> None:
    """V1, V2 and V3 for 80 mels at 22 050 Hz (Kong et al. 2020, table 1; cut after two digits)."""
    published = {"rates": (8, 8, 2, 2), "kernels": (16, 16, 4, 4), "rate": 22050, **arguments}
    with torch.device("meta"):
        made = HiFiGAN(**published, dim=80, hop=Fraction(256, 22050))
    made.fold()
    assert int(sum(p.numel() for p in made.parameters()) / 1e4) == round(millions * 100)


def test_layers_are_those_of_the_unit_vocoder() -> None:
    """hubert100_dw1.0.json of facebookresearch/speech-resynthesis, read as its models.py does."""
    with torch.device("meta"):
        made, plain = HiFiGAN(dim=128, hop=HOP), PlainHiFiGAN(128)
    ours, theirs = convolutions(made), convolutions(plain)
    for a, b in zip(ours, theirs, strict=True):
        assert (type(a).__mro__[1], a.weight.shape, a.stride, a.padding, a.dilation) == (
            *(type(b), b.weight.shape, b.stride, b.padding, b.dilation),
        )
    ups = [tuple(each.weight.shape) for each in ours if isinstance(each, nn.ConvTranspose1d)]
    assert ups == [(512, 256, 11), (256, 128, 8), (128, 64, 8), (64, 32, 4), (32, 16, 4)]
    assert len(ours) == 1 + 5 + 5 * 3 * 6 + 1
    made.fold()
    assert sum(p.numel() for p in made.parameters()) == sum(p.numel() for p in plain.parameters())


def test_values_are_those_of_the_plain_one() -> None:
    made, plain = shaken(HiFiGAN(channels=32, dim=6, hop=HOP)), PlainHiFiGAN(6, channels=32).double()
    x = frames([5, 5], 6)
    with torch.no_grad():
        copy_weights(made, plain)
        expected = plain(x.data.transpose(1, 2))[:, 0]
        assert float(expected.std()) > 0.01
        torch.testing.assert_close(made(x).data, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("paired", [True, False])
def test_keeps_to_the_contract(paired: bool) -> None:
    check_generator(HiFiGAN(**SMALL, dilations=((1, 3), (2, 1)), paired=paired, dim=5, hop=HOP))


def test_begins_as_the_published_code_does() -> None:
    """Torch's uniform weights: a deviation of (3 * fan in) ** -0.5."""
    conv = HiFiGAN(channels=64, dim=16, hop=HOP).enter
    assert float(conv.weight.detach().std()) == pytest.approx((3 * 16 * 7) ** -0.5, rel=0.05)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rates": (4, 4)}, r"rates \[4, 4\] make 16 samples of a frame, but 1/50 s at 400 Hz are 8"),
        ({"rate": 410}, "are 41/5"),
        ({"kernels": (7, 4)}, r"kernels \[7, 4\] with rates \[4, 2\]"),
        ({"kernels": (2, 4)}, r"kernels \[2, 4\]"),
        ({"kernels": (6,)}, r"kernels \[6\]"),
        ({"channels": 6}, "channels 6: to be halved 2 times, give a multiple of 4"),
        ({"dilations": ((1,),)}, "2 block_kernels but 1 dilations"),
        ({"block_kernels": (3, 4)}, "kernel 4: give an odd number"),
    ],
)
def test_what_does_not_fit_is_refused(wrong: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        HiFiGAN(**{**SMALL, "dilations": ((1,), (1,)), **wrong}, dim=5, hop=HOP)
