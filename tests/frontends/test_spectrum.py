"""What log-mel and MFCC share."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from speechunits.frontends.spectrum import MelSpectrum
from speechunits.seq import Seq


def test_a_tone_is_loudest_in_the_band_of_its_frequency():
    """Mel centres by the HTK formula 1127 ln(1 + f / 700), 20 Hz to 8 kHz."""
    spectrum = MelSpectrum(40, Fraction(1, 100))
    low, high = (1127 * torch.tensor(1 + f / 700).log() for f in (20.0, 8000.0))
    for hertz in (300.0, 1000.0, 3000.0):
        wave = torch.sin(2 * torch.pi * hertz * torch.arange(3200) / 16000)[None]
        energies = spectrum(Seq(wave, torch.tensor([3200]), Fraction(1, 16000))).data[0].mean(0)
        mel = 1127 * torch.tensor(1 + hertz / 700).log()
        band = (mel - low) / (high - low) * 41 - 1  # band b is centred at low + (b + 1) (high - low) / 41
        assert abs(int(energies.argmax()) - float(band)) <= 1.0


def test_lengths_shorter_than_a_window_have_no_frame():
    spectrum = MelSpectrum(20, Fraction(1, 100))
    assert spectrum.frames(torch.tensor([0, 399, 400, 559, 560])).tolist() == [0, 0, 1, 1, 2]


def test_a_hop_between_samples_is_refused():
    with pytest.raises(ValueError, match="1/75 s is not a whole number of samples at 16000 Hz"):
        MelSpectrum(20, Fraction(1, 75))
