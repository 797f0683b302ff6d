"""MFCC with derivatives: fairseq's features of the first iteration, for every item of a batch."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import Tensor
from torchaudio.compliance import kaldi
from torchaudio.functional import compute_deltas

from speechunits.frontends.mfcc import MFCC
from speechunits.seq import Seq, pad, unpad


def reference(wave: Tensor) -> Tensor:
    """fairseq, simple_kmeans/dump_mfcc_feature.py."""
    mfcc = kaldi.mfcc(wave[None], sample_frequency=16000, use_energy=False).T
    first = compute_deltas(mfcc)
    return torch.cat([mfcc, first, compute_deltas(first)]).T


def audio(*lengths: int) -> Seq:
    return pad([0.1 * torch.randn(n) for n in lengths], Fraction(1, 16000))


def test_is_torchaudios_mfcc_39_for_every_item():
    x = audio(16000, 9001, 2000, 720, 400)
    out = MFCC()(x)
    assert out.data.shape[-1] == 39 and out.hop == Fraction(1, 100)
    for wave, ours in zip(unpad(x), unpad(out), strict=True):
        theirs = reference(wave)
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)


def test_double_precision_agrees_closer():
    x = audio(16000).to(torch.float64)
    torch.testing.assert_close(MFCC().double()(x).data[0], reference(x.data[0]), rtol=0, atol=1e-4)


def test_padding_is_zero_and_never_enters():
    x = audio(4000, 2000)
    loud = x.with_data(torch.where(x.valid, x.data, torch.full_like(x.data, 9.0)))
    quiet, noisy = MFCC()(x), MFCC()(loud)
    assert torch.equal(quiet.data, noisy.data)
    assert not quiet.data[1, int(quiet.lengths[1]) :].any()


def test_without_deltas_the_first_thirteen():
    x = audio(4000)
    assert torch.equal(MFCC(deltas=False)(x).data, MFCC()(x).data[..., :13])
    assert MFCC(deltas=False).dim == 13


@pytest.mark.parametrize("samples", range(400, 1300, 160))
def test_frames(samples: int):
    assert int(MFCC().frames(torch.tensor([samples]))) == kaldi.mfcc(torch.zeros(1, samples)).size(0)
