"""FeatureWriter and FeaturesField: vectors come back to half precision, crops follow their hop, mistakes are named."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from lhotse.cut import Cut

from speechunits.data.batch_dataset import BatchDataset, Planned
from speechunits.data.cuts import Cuts, open_cuts
from speechunits.data.feature_writer import FeatureWriter
from speechunits.data.fields import AudioField, FeaturesField, UnitsField
from speechunits.data.transforms import Crop, Speed
from speechunits.data.unit_meta import read_meta, write_meta
from speechunits.data.unit_writer import UnitWriter
from speechunits.errors import UserError
from speechunits.stream import Stream

Corpus = Callable[..., Path]
HOP = Fraction(1, 50)


def vectors(cut: Cut, shape: tuple[int, ...] = (3,)) -> np.ndarray:
    """Row t begins with t: any shift shows."""
    n = round(cut.duration * 50)
    out = np.random.default_rng(n).normal(size=(n, *shape))
    out.reshape(n, -1)[:, 0] = np.arange(n)
    return out


def store(manifest: Path, out: Path, shape: tuple[int, ...] = (3,), field: str = "features") -> Cuts:
    with FeatureWriter(out, HOP, shape, "fp", field, ["enc"], read_meta(manifest)) as writer:
        for cut in open_cuts(manifest):
            writer.write(cut, vectors(cut, shape))
    return open_cuts(out)


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_vectors_come_back(corpus: Corpus, tmp_path: Path, shape: tuple[int, ...]) -> None:
    cuts = store(corpus([1.0, 0.5]), tmp_path / "f.jsonl.gz", shape)
    field = FeaturesField().bind(cuts)
    assert field.stream == Stream(HOP, (), "fp", shape) and field.grid == HOP
    batch = field.collate([field.load(c) for c in cuts])
    assert batch.hop == HOP and batch.lengths.tolist() == [50, 25] and batch.data.dtype == torch.float32
    assert batch.data.shape == (2, 50, *shape) and not batch.data[1, 25:].any()
    for row, cut in zip(batch.data, cuts, strict=True):
        expected = vectors(cut, shape)
        np.testing.assert_allclose(row[: len(expected)].numpy(), expected, rtol=2**-11, atol=1e-7)
    assert read_meta(cuts.paths[0]) == {
        "features": {"hop": "1/50", "shape": list(shape), "fingerprint": "fp", "derived_from": ["enc"]}
    }


def test_they_stand_beside_units_that_are_found_from_everywhere(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "units").mkdir()
    with UnitWriter(tmp_path / "units" / "u.jsonl.gz", HOP, [50], "km") as writer:
        for cut in open_cuts(corpus([1.0, 0.5])):
            writer.write(cut, np.arange(round(cut.duration * 50)))
    monkeypatch.chdir(tmp_path)
    store(Path("units") / "u.jsonl.gz", tmp_path / "both.jsonl.gz")
    monkeypatch.chdir("/")
    cuts = open_cuts(tmp_path / "both.jsonl.gz")
    units, features = UnitsField().bind(cuts).load(cuts[0]), FeaturesField().bind(cuts).load(cuts[0])
    assert units.tolist() == features[:, 0].tolist() == list(range(50))
    with pytest.raises(
        UserError, match=r"no stored features units \(it has features\); extract features or correct `key`"
    ):
        FeaturesField("units").bind(cuts)
    with pytest.raises(UserError, match=r"no stored codes features \(it has units\)"):
        UnitsField("features").bind(cuts)


@pytest.mark.parametrize("epoch", range(4))
def test_vectors_of_a_crop_are_those_of_its_samples(corpus: Corpus, tmp_path: Path, epoch: int) -> None:
    cuts = store(corpus([1.0, 0.507]), tmp_path / "f.jsonl.gz")
    fields = {"audio": AudioField(), "features": FeaturesField()}
    batch = BatchDataset(cuts, fields, [Crop(0.33)])[Planned(epoch, (0, 1))].batch
    for i, cut in enumerate(cuts):
        first = int(batch["features"].data[i, 0, 0])
        assert batch["features"].data[i, :16, 0].tolist() == list(range(first, first + 16))
        samples = cut.load_audio()[0][first * 320 : first * 320 + 5280]
        np.testing.assert_array_equal(batch["audio"].data[i, : len(samples)].numpy(), samples)


def test_a_change_of_speed_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    cuts = store(corpus([1.0, 0.5]), tmp_path / "f.jsonl.gz")
    with pytest.raises(
        UserError, match=r"cut a0 was changed after features were stored.*extract features from the changed"
    ):
        FeaturesField().bind(cuts).load(cuts[0].perturb_speed(1.1, affix_id=False))
    with pytest.raises(UserError, match="features"):
        BatchDataset(cuts, {"features": FeaturesField()}, [Speed([0.9, 1.1])])


def test_promises_of_the_manifest_are_checked(corpus: Corpus, tmp_path: Path) -> None:
    plain = corpus([1.0, 0.5])
    cuts = store(plain, tmp_path / "f.jsonl.gz")
    assert FeaturesField(fingerprint="fp").bind(cuts).stream
    with pytest.raises(UserError, match="fingerprint of features is fp, not other"):
        FeaturesField(fingerprint="other").bind(cuts)
    with pytest.raises(UserError, match=r"no stored features features \(it has none\)"):
        FeaturesField().bind(open_cuts(plain))
    field = FeaturesField().bind(cuts)
    with pytest.raises(UserError, match="there are no features of the cut a0; extract features for every cut"):
        field.load(open_cuts(plain)[0])
    about = read_meta(cuts.paths[0])["features"]
    write_meta(cuts.paths[0], {"features": {**about, "shape": [4]}})
    wrong = open_cuts(cuts.paths[0])
    with pytest.raises(UserError, match=r"the shape \(3,\), the manifest says \(4,\); extract the features again"):
        FeaturesField().bind(wrong).load(wrong[0])
    next(tmp_path.glob("f.features.*.bin")).write_bytes(b"")
    with pytest.raises(UserError, match="features of the cut a0 cannot be read"):
        field.load(cuts[0])


def test_vectors_that_cannot_be_stored_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    cut, out = open_cuts(corpus([1.0]))[0], tmp_path / "f.jsonl.gz"
    for array, says in [
        (np.zeros((50, 4)), r"cut a0 have the shape \(4,\), not \(3,\)"),
        (np.full((50, 3), 1e5), "cut a0 have NaN or numbers beyond 65504"),
        (np.full((50, 3), np.nan), "cut a0 have NaN or numbers beyond 65504"),
        (np.zeros((40, 3)), "a0 has 50 frames of 1/50 s, but 40 vectors came"),
    ]:
        with pytest.raises(UserError, match=says), FeatureWriter(out, HOP, (3,), "fp") as writer:
            writer.write(cut, array)
    with pytest.raises(UserError, match="no vectors were written"), FeatureWriter(out, HOP, (3,), "fp"):
        pass
    assert not out.exists() and not list(tmp_path.glob("*.part")) and not list(tmp_path.glob("*.bin"))
