from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from speechunits.data.cuts import open_cuts
from speechunits.data.transforms import Crop

Corpus = Callable[..., Path]


def test_short_cuts_stay_and_long_ones_are_cropped_evenly(corpus: Corpus):
    short, long = open_cuts(corpus([0.3, 1.0]))
    crop = Crop(0.5)
    assert crop(short, np.random.default_rng(0), None) is short
    starts = [crop(long, np.random.default_rng(i), Fraction(1, 50)).start for i in range(400)]
    steps = np.bincount(np.round(np.array(starts) * 50).astype(int), minlength=26)
    np.testing.assert_allclose(np.array(starts) * 50, np.round(np.array(starts) * 50), atol=1e-6)
    # 0 to 0.5 s in steps of 20 ms are 26 starts, 15.4 times each; both ends come
    assert len(steps) == 26 and steps.min() > 3 and steps.max() < 32
    cropped = crop(long, np.random.default_rng(0), None)
    assert cropped.id == long.id and cropped.load_audio().shape == (1, 8000)


def test_plan_counts_what_is_left():
    assert Crop(0.5).seconds(np.array([0.3, 0.5, 2.0])).tolist() == [0.3, 0.5, 0.5]
