"""Overlap-add against numpy, against torch.istft where that has samples, and there and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from speechunits.nn.overlap_add import OverlapAdd


def test_window_is_hann() -> None:
    expected = np.sin(np.pi * np.arange(12) / 12) ** 2
    np.testing.assert_allclose(OverlapAdd(4, 3).window.numpy(), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize(("hop", "overlap"), [(4, 4), (4, 2), (5, 3), (3, 2), (2, 5)])
def test_is_a_weighted_sum_of_frames(hop: int, overlap: int) -> None:
    part, size = OverlapAdd(hop, overlap).double(), hop * overlap
    frames, window = torch.randn(2, 6, size, dtype=torch.float64), part.window.numpy()
    total, weight = np.zeros((2, 6 * hop + size)), np.zeros(6 * hop + size)
    for t in range(6):
        total[:, t * hop : t * hop + size] += window * frames[:, t].numpy()
        weight[t * hop : t * hop + size] += window**2
    cut = (size - hop) // 2
    expected = total[:, cut : cut + 6 * hop] / weight[cut : cut + 6 * hop]
    np.testing.assert_allclose(part(frames).numpy(), expected, rtol=0, atol=1e-12)


def test_is_the_inverse_of_torch() -> None:
    """torch.istft with ``center`` begins in the middle of the first frame: half a hop later."""
    part = OverlapAdd(8, 4).double()
    spectra = torch.randn(2, 7, 17, dtype=torch.complex128)
    expected = torch.istft(spectra.transpose(1, 2), 32, 8, window=part.window)
    found = part(torch.fft.irfft(spectra, 32))
    assert found.shape == (2, 56) and expected.shape == (2, 48)
    torch.testing.assert_close(found[:, 4:52], expected, rtol=0, atol=1e-12)


def test_there_and_back() -> None:
    """The frames of a waveform give it back, its ends too."""
    part = OverlapAdd(8, 4).double()
    wave = torch.randn(3, 72, dtype=torch.float64)
    frames = torch.nn.functional.pad(wave, (12, 12)).unfold(1, 32, 8) * part.window
    assert frames.shape == (3, 9, 32)
    torch.testing.assert_close(part(frames), wave, rtol=0, atol=1e-12)


def test_padding_changes_nothing() -> None:
    part, lengths = OverlapAdd(4, 4).double(), torch.tensor([6, 2, 0])
    frames, valid = torch.randn(3, 6, 16, dtype=torch.float64), torch.arange(6) < lengths[:, None]
    found = part(frames, valid)
    for row, alone, n in zip(found, frames, lengths.tolist(), strict=True):
        assert not row[4 * n :].any()
        if n:
            torch.testing.assert_close(row[: 4 * n], part(alone[None, :n])[0], rtol=0, atol=1e-12)


def test_a_gradient_is_that_of_the_values() -> None:
    part, valid = OverlapAdd(3, 3).double(), torch.tensor([[True, True, True], [True, False, False]])
    frames = torch.randn(2, 3, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: part(x, valid), (frames,))


def test_windows_that_leave_samples_alone_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap 1"):
        OverlapAdd(4, 1)
