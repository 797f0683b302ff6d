"""FeatureInput: stored vectors as they are, or several layers joined; strangers are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits.config import build, check_build
from speechunits.stream import Stream
from tests.inputs.toy import AUGMENT, CONV1D, CONVOLVED, HOP, MIX, STREAMS, batch, check_input, check_saved

TREE = {"_target_": "speechunits.inputs.feature_input.FeatureInput"}


def make(**more: Any) -> Any:
    return build({**TREE, **more}, streams=STREAMS).double()


def test_vectors_are_as_they_were_stored() -> None:
    made, one = make(), batch(1.0, 0.5)
    assert made(one).data.equal(one["features"].data) and made.lengths(one).tolist() == [50, 25]
    assert made.labels == {"features": "fp1"} and (made.dim, made.hop) == (6, HOP)


def test_layers_are_joined() -> None:
    made, one = make(field="stack", read=MIX), batch(1.0, 0.5)
    torch.testing.assert_close(made(one).data, one["stack"].data.mean(2))
    assert made.labels == {"stack": "fp2"}


@pytest.mark.parametrize(
    "more",
    [
        {"augment": AUGMENT, "subsampling": CONV1D},
        {"field": "stack", "read": MIX, "augment": AUGMENT},
        {"field": "stack", "read": CONVOLVED, "subsampling": CONV1D},
    ],
)
def test_it_keeps_to_the_contract(more: dict[str, Any], tmp_path: Path) -> None:
    check_input(make(**more))
    check_saved({**TREE, **more}, tmp_path / "input", streams=STREAMS)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"field": "units"}, "the data has no field 'units' of vectors; it has: features, stack"),
        ({"field": "stack"}, "the field 'stack' holds 3 layers: give a part for read"),
        ({"read": MIX}, "the field 'features' holds one layer: leave out a part for read"),
    ],
)
def test_what_does_not_fit_is_named_before_anything_is_built(more: dict[str, Any], says: str) -> None:
    streams = {**STREAMS, "units": Stream(HOP, (100,), "km")}
    found = check_build({**TREE, **more}, at="model.input", streams=streams)
    assert len(found) == 1 and says in found[0]
