from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from speechunits.data.cuts import open_cuts
from speechunits.data.fields import UnitsField
from speechunits.data.transforms import Crop
from speechunits.data.unit_writer import UnitWriter

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


def test_segments_have_a_unit_for_every_frame(corpus: Corpus, tmp_path: Path):
    """The 28 units and 8960 samples of a vocoder's segment, from utterances whose last window would pass their end."""
    seconds = [0.5651, 0.579, 0.6, 0.7, 0.7049375, 0.7051, 0.719]
    manifest, out = corpus(seconds), tmp_path / "units.jsonl.gz"
    with UnitWriter(out, Fraction(1, 50), (100,), "fp") as writer:
        for cut in open_cuts(manifest):
            writer.write(cut, np.arange((cut.num_samples - 400) // 320 + 1))
    field, crop, starts = UnitsField().bind(open_cuts(out)), Crop(0.56, margin=0.005), []
    for cut in open_cuts(out):
        for seed in range(40):
            part = crop(cut, np.random.default_rng(seed), field.grid)
            units = field.load(part).tolist()
            assert units == list(range(units[0], units[0] + 28)) and part.load_audio().shape == (1, 8960)
            assert part.start == pytest.approx(units[0] / 50)
            starts.append((cut.id, units[0], cut.custom["units"].shape[0]))
    ends = {(name, count): max(start for other, start, _ in starts if other == name) + 28 for name, _, count in starts}
    assert all(end == count for (_, count), end in ends.items()), "no unit is left out"
    assert Crop(0.5, margin=1.0)(open_cuts(out)[3], np.random.default_rng(0), None).start == 0


def test_plan_counts_what_is_left():
    assert Crop(0.5).seconds(np.array([0.3, 0.5, 2.0])).tolist() == [0.3, 0.5, 0.5]
