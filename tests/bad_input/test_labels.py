"""Stored units that do not fit: exit code 2, one sentence, before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lhotse.cut import Cut

from recipes.extract_units import extract_units
from recipes.fit_units import fit_units
from recipes.train import train
from speechunits import recipe
from speechunits.data.unit_meta import meta_path
from tests.bad_input.spoil import left, spoilt
from tests.recipes.toy import Corpus, extract_arguments, fit_arguments, train_arguments


def edit(manifest: Path, **changes: Any) -> None:
    path = meta_path(manifest)
    tree = json.loads(path.read_text())
    tree["fields"]["units"].update(changes)
    path.write_text(json.dumps(tree))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"hop": "3/200"}, "the manifest says 3/200 s"),
        ({"hop": "1/50"}, "the manifest says 1/50 s"),
        ({"vocab": [5]}, "outside the manifest's vocabulary (5,)"),
        ({"vocab": [8, 8]}, "but 2 codebook(s)"),
        ({"vocab": "many"}, "does not describe code fields"),
    ],
)
def test_a_meta_file_that_does_not_fit_the_labels(
    fails: Any, units: Path, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    for split in ("train", "valid"):
        edit(units / f"{split}.jsonl.gz", **changes)
    said = fails(train, train_arguments(units, tmp_path / "out"))
    assert says in said and not left(tmp_path / "out")


def test_labels_whose_hop_is_no_part_of_the_frames(fails: Any, units: Path, tmp_path: Path) -> None:
    """Labels of 10 ms do not fit frames of 25 ms: refused while the model is put together, with its place."""
    odd = ["model.encoder.frontend.hop=1/40"]
    said = fails(train, [*train_arguments(units, tmp_path / "out"), *odd], lines=2)
    assert (
        "model.objectives.units.target: StoredUnits: cannot align a hop of 1/100 s with one of 1/40 s" in said
        and not left(tmp_path / "out")
    )


def test_labels_that_are_asked_for_by_name(fails: Any, units: Path, tmp_path: Path) -> None:
    for key, value, says in (
        ("fingerprint", "0123456789abcdef", "fingerprint of units is"),
        ("vocab", "[500]", "vocab of units is (8,), not (500,)"),
        ("hop", "1/50", "hop of units is 1/100, not 1/50"),
        ("key", "km500", "has no stored codes km500 (it has units)"),
    ):
        said = fails(train, [*train_arguments(units, tmp_path / key), f"data.fields.units.{key}={value}"])
        assert says in said and not left(tmp_path / key)


def test_labels_of_two_tokenizers(fails: Any, units: Path, tmp_path: Path) -> None:
    edit(units / "valid.jsonl.gz", fingerprint="another")
    said = fails(train, train_arguments(units, tmp_path / "out"))
    assert "differs" in said and "extract both with one tokenizer" in said and not left(tmp_path / "out")


def test_a_model_that_reads_what_is_not_there(fails: Any, units: Path, tmp_path: Path) -> None:
    wrong = "model.objectives.units.target.field=letters"
    said = fails(train, [*train_arguments(units, tmp_path / "out"), wrong], lines=2)
    assert "the data has no field 'letters' of stored codes; it has: units" in said and not left(tmp_path / "out")


def test_labels_of_other_audio(fails: Any, units: Path, tmp_path: Path) -> None:
    """Labels of another length: each cut carries those of its neighbour, which is shorter."""

    def swap(cuts: list[Cut]) -> None:
        cuts.sort(key=lambda c: c.duration)
        for cut in cuts[1:]:
            cut.custom["units"] = cuts[0].custom["units"]

    path = spoilt(units / "train.jsonl.gz", swap)
    said = fails(train, [*train_arguments(units, tmp_path / "out"), f"data.train={path}"])
    assert "they belong to other audio" in said and "encoder" not in left(tmp_path / "out")


def test_constant_labels(fails: Any, units: Path, corpus: Corpus, tmp_path: Path) -> None:
    """A codebook of equal centroids: the writer refuses it; written all the same, training does."""
    (codes,) = units.glob("train.units.*.bin")
    codes.write_bytes(bytes(len(codes.read_bytes())))
    said = fails(train, train_arguments(units, tmp_path / "out"))
    assert "all labels of units are [0]" in said and str(units / "train.jsonl.gz") in said
    assert not left(tmp_path / "out")


def test_constant_labels_are_not_written(fails: Any, corpus: Corpus, tmp_path: Path) -> None:
    recipe.run(fit_units, fit_arguments(corpus, tmp_path / "fit", size=1))
    said = fails(extract_units, extract_arguments(corpus, tmp_path / "out", tmp_path / "fit" / "tokenizer"))
    assert "are one and the same code" in said and not left(tmp_path / "out")


def test_labels_that_are_gone(fails: Any, units: Path, tmp_path: Path) -> None:
    (codes,) = units.glob("train.units.*.bin")
    codes.write_bytes(codes.read_bytes()[:100])
    said = fails(train, train_arguments(units, tmp_path / "out"))
    assert f"{codes} was cut off" in said and "extract the units again" in said
    assert "encoder" not in left(tmp_path / "out")
