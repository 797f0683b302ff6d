"""InfusedInput: two inputs become one, of the first one's frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits.config import build, check_build
from speechunits.stream import Stream
from tests.inputs.toy import AUGMENT, CONV1D, CONV2D, MEL, MIX, STREAMS, batch, check_input, check_saved, encoder_folder

ADDED = {"_target_": "speechunits.inputs.framewise_addition.FramewiseAddition"}
ATTENDED = {"_target_": "speechunits.inputs.cross_attention.CrossAttention", "heads": 2}
AUDIO = {"_target_": "speechunits.inputs.audio_input.AudioInput", "frontend": MEL}
FEATURES = {"_target_": "speechunits.inputs.feature_input.FeatureInput"}


def tree(infusion: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "_target_": "speechunits.inputs.infused_input.InfusedInput",
        "input": {**AUDIO, "augment": AUGMENT, "subsampling": CONV2D},
        "features": {**FEATURES, "augment": AUGMENT},
        "infusion": infusion,
        **more,
    }


@pytest.mark.parametrize("infusion", [ADDED, ATTENDED])
@pytest.mark.parametrize("more", [{}, {"features": {**FEATURES, "subsampling": CONV1D}}])
def test_it_keeps_to_the_contract(infusion: dict[str, Any], more: dict[str, Any], tmp_path: Path) -> None:
    made = build(tree(infusion, **more), streams=STREAMS)
    check_input(made)
    assert made.labels == {"features": "fp1"}
    check_saved(tree(infusion, **more), tmp_path / "input", streams=STREAMS)


def test_features_may_be_computed_as_they_are_needed(tmp_path: Path) -> None:
    restored = {"_target_": "speechunits.store.restore", "folder": str(encoder_folder(tmp_path / "encoder"))}
    live = {"_target_": "speechunits.inputs.encoder_input.EncoderInput", "encoder": restored, "read": MIX}
    made = build(tree(ADDED, features=live), streams={})
    check_input(made)
    assert made.labels == {} and not made.features.encoder.training
    check_saved(tree(ADDED, features=live), tmp_path / "input", streams={})


def test_both_hide_by_draws_of_their_own() -> None:
    same = {**FEATURES, "augment": AUGMENT}
    streams = {**STREAMS, "more": STREAMS["features"]}
    made = build(tree(ADDED, input=same, features={**same, "field": "more"}), streams=streams).double()
    one = batch(2.0)
    one["features"] = one["more"] = one["features"].with_data(torch.ones_like(one["features"].data))
    heard = made(one, one["draws"]).data
    assert set(heard.unique().tolist()) == {0.0, 1.0, 2.0}, "somewhere one of the two is hidden, and not the other"


@pytest.mark.parametrize(("infusion", "wrong"), [(ADDED, True), (ATTENDED, False)])
def test_merged_units_have_no_rate_to_meet(infusion: dict[str, Any], wrong: bool) -> None:
    units = {"_target_": "speechunits.inputs.unit_input.UnitInput", "dim": 4}
    streams = {"units": Stream(None, (5,), "km+dedup")}
    found = check_build(tree(infusion, features=units), at="model.input", streams=streams)
    assert len(found) == wrong and all("features one every None s, in no integer ratio" in each for each in found)


@pytest.mark.parametrize(("infusion", "wrong"), [(ADDED, True), (ATTENDED, False)])
def test_rates_that_do_not_meet_are_named_before_anything_is_built(infusion: dict[str, Any], wrong: bool) -> None:
    thirds = {**CONV1D, "kernels": [3], "strides": [3]}
    found = check_build(tree(infusion, input={**AUDIO, "subsampling": thirds}), at="model.input", streams=STREAMS)
    assert len(found) == wrong
    if wrong:
        assert "a frame every 3/100 s and features one every 1/50 s, in no integer ratio" in found[0]
