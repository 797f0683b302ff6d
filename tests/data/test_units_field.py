from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from lhotse import CutSet
from lhotse.cut import Cut

from speechunits.data.cuts import Cuts, open_cuts
from speechunits.data.fields import UnitsField
from speechunits.data.transforms import Crop
from speechunits.data.unit_meta import read_meta, write_meta
from speechunits.data.unit_writer import UnitWriter
from speechunits.errors import UserError
from speechunits.stream import Stream

Corpus = Callable[..., Path]
HOP = Fraction(1, 50)


def store(manifest: Path, out: Path, codes: Callable[[Cut], np.ndarray], vocab: Sequence[int] = (100,)) -> Cuts:
    with UnitWriter(out, HOP, vocab, "fp") as writer:
        for cut in open_cuts(manifest):
            writer.write(cut, codes(cut))
    return open_cuts(out)


def count(cut: Cut) -> np.ndarray:
    """Label t is t: any shift shows."""
    return np.arange(round(cut.duration * 50))


def swap(cuts: Cuts, out: Path, **meta: object) -> Cuts:
    """The same manifest with another ``.meta.json``."""
    CutSet.from_cuts(list(cuts)).to_file(out)
    about = read_meta(cuts.paths[0])
    write_meta(out, {"units": {**about["units"], **meta}})
    return open_cuts(out)


def test_labels_come_back(corpus: Corpus, tmp_path: Path):
    cuts = store(corpus([1.0, 0.5]), tmp_path / "u.jsonl.gz", count)
    field = UnitsField().bind(cuts)
    assert field.stream == Stream(HOP, (100,), "fp") and UnitsField().stream is None
    batch = field.collate([field.load(c) for c in cuts])
    assert batch.hop == HOP and batch.lengths.tolist() == [50, 25] and batch.data.dtype == torch.int64
    assert batch.data[1].tolist() == [*range(25), *[-1] * 25]


def test_codebooks(corpus: Corpus, tmp_path: Path):
    both = store(
        corpus([1.0, 0.5]), tmp_path / "u.jsonl.gz", lambda c: np.stack([count(c), count(c) % 3], 1), (70000, 3)
    )
    field = UnitsField().bind(both)
    assert field.load(both[1]).tolist() == [[t, t % 3] for t in range(25)]
    with pytest.raises(UserError, match="1 codebook"):
        field = UnitsField().bind(swap(both, tmp_path / "k1.jsonl.gz", vocab=[70000]))


@pytest.mark.parametrize("extra", [1, 0, -1, -2])
def test_one_surplus_label_is_dropped_and_a_few_may_lack(corpus: Corpus, tmp_path: Path, extra: int):
    cuts = store(corpus([1.0, 0.5]), tmp_path / "u.jsonl.gz", lambda c: np.arange(round(c.duration * 50) + extra))
    assert UnitsField().bind(cuts).load(cuts[1]).tolist() == list(range(25 + min(extra, 0)))


@pytest.mark.parametrize("seed", range(5))
def test_labels_of_a_crop_are_those_of_its_samples(corpus: Corpus, tmp_path: Path, seed: int):
    cuts = store(corpus([1.0, 0.507]), tmp_path / "u.jsonl.gz", count)
    field = UnitsField().bind(cuts)
    crop = Crop(0.33)
    for cut in cuts:
        part = crop(cut, np.random.default_rng(seed), field.grid)
        labels = field.load(part)
        assert len(labels) == 16  # floor(0.33 / 0.02)
        assert labels.tolist() == list(range(int(labels[0]), int(labels[0]) + 16))
        whole, start = cut.load_audio()[0], int(labels[0]) * 320
        np.testing.assert_array_equal(part.load_audio()[0], whole[start : start + 5280])


def test_cut_off_the_grid_is_refused(corpus: Corpus, tmp_path: Path):
    cuts = store(corpus([1.0, 0.5]), tmp_path / "u.jsonl.gz", count)
    field = UnitsField().bind(cuts)
    assert field.load(cuts[0].truncate(offset=0.04)).tolist() == list(range(2, 50))
    with pytest.raises(UserError, match=r"a0.* starts 1.50 labels"):
        field.load(cuts[0].truncate(offset=0.03, preserve_id=True))


def test_changed_speed_is_refused_unless_the_labels_are_of_it(corpus: Corpus, tmp_path: Path):
    plain = corpus([1.0, 0.5])
    cuts = store(plain, tmp_path / "u.jsonl.gz", count)
    field = UnitsField().bind(cuts)
    for changed in (
        cuts[0].perturb_speed(1.1),
        cuts[0].perturb_tempo(0.9),
        cuts[0].perturb_speed(0.99, affix_id=False),
    ):
        with pytest.raises(UserError, match=r"speed or tempo of the cut a0.*extract units from the changed cuts"):
            field.load(changed)
    assert len(field.load(cuts[0].perturb_volume(2.0))) == 50
    CutSet.from_file(plain).perturb_speed(0.9).to_file(tmp_path / "slow.jsonl.gz")
    slow = store(tmp_path / "slow.jsonl.gz", tmp_path / "su.jsonl.gz", lambda c: np.arange(int(c.duration * 50)))
    assert len(UnitsField().bind(slow).load(slow[0])) == 55


def test_labels_of_other_audio_are_refused(corpus: Corpus, tmp_path: Path):
    cuts = store(corpus([1.0, 0.5]), tmp_path / "u.jsonl.gz", count)
    field = UnitsField().bind(cuts)
    long, short = cuts[0], cuts[1]
    long.units, short.units = short.units, long.units
    with pytest.raises(UserError, match="of the cut a0 are 25 labels, but it has 50 frames"):
        field.load(long)
    with pytest.raises(UserError, match="of the cut a1 are 50 labels, but its recording has 25 frames"):
        field.load(short)


def test_promises_of_the_manifest_are_checked(corpus: Corpus, tmp_path: Path):
    cuts = store(corpus([1.0, 0.5]), tmp_path / "u.jsonl.gz", count)
    UnitsField(hop="1/50", vocab=(100,), fingerprint="fp").bind(cuts)
    for asked, message in [
        ({"hop": "1/100"}, "hop of units is 1/50, not 1/100"),
        ({"vocab": (500,)}, r"vocab of units is \(100,\), not \(500,\)"),
        ({"fingerprint": "other"}, "fingerprint of units is fp, not other"),
        ({"key": "km500"}, r"no stored codes km500 \(it has units\)"),
    ]:
        with pytest.raises(UserError, match=rf"u.jsonl.gz.*{message}"):
            UnitsField(**asked).bind(cuts)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="outside the manifest's vocabulary"):
        UnitsField().bind(swap(cuts, tmp_path / "v.jsonl.gz", vocab=[49]))
    with pytest.raises(UserError, match=r"have a hop of 0.02 s, the manifest says 1/100 s"):
        UnitsField().bind(swap(cuts, tmp_path / "h.jsonl.gz", hop="1/100"))
    with pytest.raises(UserError, match="have no hop"):
        UnitsField().bind(swap(cuts, tmp_path / "n.jsonl.gz", hop=None))
    with pytest.raises(UserError, match=r"d.jsonl.gz.meta.json does not describe code fields"):
        swap(cuts, tmp_path / "d.jsonl.gz", vocab="many")
    other = swap(cuts, tmp_path / "f.jsonl.gz", fingerprint="other")
    with pytest.raises(UserError, match=r"the field units of .*f.jsonl.gz .*differs"):
        open_cuts([*cuts.paths, *other.paths])


def test_labels_that_are_missing_or_constant(corpus: Corpus, tmp_path: Path):
    cuts = store(corpus([1.0, 0.5]), tmp_path / "u.jsonl.gz", count)
    field = UnitsField().bind(cuts)
    with pytest.raises(UserError, match="there are no units of the cut a0"):
        field.load(open_cuts(corpus([1.0, 0.5]))[0])
    store(corpus([1.0, 0.5]), tmp_path / "c.jsonl.gz", count)
    packed = next(tmp_path.glob("c.units.*.bin"))
    packed.write_bytes(b"\x07\x00" * (packed.stat().st_size // 2))
    with pytest.raises(UserError, match=r"c.jsonl.gz: all labels of units are 7"):
        UnitsField().bind(open_cuts(tmp_path / "c.jsonl.gz"))
    next(tmp_path.glob("u.units.*.bin")).unlink()
    with pytest.raises(UserError, match="units of the cut a0 cannot be read"):
        field.load(cuts[0])


def test_units_of_another_utterance_are_read_whole(corpus: Corpus, tmp_path: Path):
    """Speech-to-unit translation: the target's units beside the source's audio, of any length."""
    targets = store(corpus([1.0, 0.5], "t"), tmp_path / "t.jsonl.gz", count)
    sources = []
    for source, target in zip(open_cuts(corpus([0.2, 0.3], "s")), targets, strict=True):
        source.target_units = target.units
        sources.append(source)
    CutSet.from_cuts(sources).to_file(tmp_path / "s2u.jsonl.gz")
    write_meta(tmp_path / "s2u.jsonl.gz", {"target_units": read_meta(tmp_path / "t.jsonl.gz")["units"]})
    pairs = open_cuts(tmp_path / "s2u.jsonl.gz")
    field = UnitsField(key="target_units", aligned=False).bind(pairs)
    assert [len(field.load(c)) for c in pairs] == [50, 25] and field.whole and field.grid is None
