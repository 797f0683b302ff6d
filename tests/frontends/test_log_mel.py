"""Log-mel frames against Kaldi's filterbank."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torchaudio.compliance import kaldi

from speechunits.frontends.log_mel import LogMel
from speechunits.seq import Seq, pad, unpad

RATE = Fraction(1, 16000)


def audio(*lengths: int) -> Seq:
    return pad([0.1 * torch.randn(n) for n in lengths], RATE)


@pytest.mark.parametrize("scale", [1.0, 2.0**15])
@pytest.mark.parametrize("hop", ["1/100", "1/50"])
def test_is_kaldis_filterbank_for_every_item(scale: float, hop: str):
    x = audio(8000, 5123, 400)
    out = LogMel(normalize="none", scale=scale, hop=hop)(x)
    for item, ours in zip(unpad(x), unpad(out), strict=True):
        shift = float(1000 * Fraction(hop))
        theirs = kaldi.fbank(item[None] * scale, num_mel_bins=80, dither=0.0, frame_shift=shift)
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)


def test_double_precision_agrees_closer():
    x = audio(8000).to(torch.float64)
    theirs = kaldi.fbank(x.data, num_mel_bins=80, dither=0.0)
    ours = LogMel(normalize="none").double()(x).data[0]  # its filters and window are float32 values
    torch.testing.assert_close(ours, theirs, rtol=0, atol=3e-5)


def test_a_constant_offset_changes_nothing():
    x = audio(8000).to(torch.float64)
    frontend = LogMel(normalize="none").double()
    torch.testing.assert_close(frontend(x.with_data(x.data + 0.3)).data, frontend(x).data, rtol=0, atol=1e-9)


def test_normalisation_is_over_the_real_frames_of_each_utterance():
    x = audio(8000, 5123)
    batch = LogMel()(x)
    for item, ours in zip(unpad(x), unpad(batch), strict=True):
        torch.testing.assert_close(ours.mean(0), torch.zeros(80), rtol=0, atol=1e-4)
        torch.testing.assert_close(ours.var(0, unbiased=False), torch.ones(80), rtol=0, atol=1e-3)
        torch.testing.assert_close(ours, LogMel()(pad([item], RATE)).data[0], rtol=0, atol=1e-4)
    assert not batch.data[1, int(batch.lengths[1]) :].any()


def test_normalisation_removes_the_level():
    x = audio(8000).to(torch.float64)
    frontend = LogMel().double()
    torch.testing.assert_close(frontend(x.with_data(x.data * 50)).data, frontend(x).data, rtol=0, atol=1e-6)


def test_stacking_joins_neighbours_and_drops_the_rest():
    x = audio(8000, 5123)
    plain, stacked = LogMel(bands=20)(x), LogMel(bands=20, stack=4)(x)
    assert plain.lengths.tolist() == [48, 30] and stacked.lengths.tolist() == [12, 7]
    assert stacked.data.shape == (2, 12, 80) and stacked.hop == Fraction(1, 25)
    assert torch.equal(stacked.data[0, 3], plain.data[0, 12:16].flatten())
    frontend = LogMel(bands=20, stack=4)
    assert torch.equal(frontend.frames(x.lengths), stacked.lengths) and frontend.dim == 80


def test_other_rates_are_refused():
    with pytest.raises(ValueError, match="takes audio at 16000 Hz, found 24000 Hz"):
        LogMel()(Seq(torch.zeros(1, 999), torch.tensor([999]), Fraction(1, 24000)))


def test_one_variance_for_all_bands_leaves_empty_bands_empty():
    x = audio(8000, 5123).to(torch.float64)
    spectrum = torch.fft.rfft(x.data)
    spectrum[:, 2000:] = 0  # nothing above 4 kHz, as in a recording at 8 kHz
    x = x.with_data(torch.fft.irfft(spectrum, x.data.size(1)) * x.valid)
    out, plain = (LogMel(normalize=how).double()(x) for how in ("mean", "none"))
    for row, raw, n in zip(out.data, plain.data, out.lengths.tolist(), strict=True):
        centred = raw[:n] - raw[:n].mean(0)
        torch.testing.assert_close(row[:n], centred / (centred.square().mean() + 1e-5).sqrt(), rtol=0, atol=1e-9)
