"""Soft units: an expectation written out, hard units as the temperature goes to 0, heads that learn, stored and live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits import store
from speechunits.config import build
from speechunits.heads.linear import LinearHead
from speechunits.heads.nearness import Nearness
from speechunits.inputs.feature_input import FeatureInput
from speechunits.inputs.soft_unit_input import SoftUnitInput
from speechunits.inputs.unit_input import UnitInput
from speechunits.quantizers.kmeans import KMeans
from speechunits.stream import Stream
from speechunits.units.features import Features
from speechunits.units.tokenizer import UnitTokenizer, restore_quantizer
from tests.inputs.toy import HOP, MEL, STREAMS, batch, check_input, check_saved

WITH_UNITS = {**STREAMS, "units": Stream(HOP, (7,), "abc")}
FEATURES = {"_target_": "speechunits.inputs.feature_input.FeatureInput"}


def codebook(size: int = 7, dim: int = 6) -> KMeans:
    made: KMeans = build({"_target_": "speechunits.quantizers.kmeans.KMeans", "size": size}, dim=dim)
    made.centroids.normal_(generator=torch.Generator().manual_seed(1))
    return made


def soft(temperature: float) -> SoftUnitInput:
    torch.manual_seed(0)
    features = FeatureInput(streams=STREAMS)
    return SoftUnitInput(4, features, Nearness(codebook(), temperature, dim=6), streams=WITH_UNITS).double()


def test_the_mean_of_all_vectors_by_their_share() -> None:
    made, given = soft(0.8), batch(0.5, 0.2)
    x, c = given["features"].data, made.predictor.quantizer.centroids
    distances = (x[:, :, None] - c).square().sum(-1)  # (B, T, V)
    weights = (-distances / 1.6).exp()
    expected = (weights / weights.sum(-1, keepdim=True)) @ made.embeddings[0].weight
    heard = made(given)
    torch.testing.assert_close(heard.data, expected * given["features"].valid[..., None])
    assert heard.hop == HOP and made.labels == {"features": "fp1"}


def test_hard_units_as_the_temperature_goes_to_0() -> None:
    given = batch(1.3, 0.7)
    far = []
    for temperature in (1.0, 1e-2, 1e-6):
        made = soft(temperature)
        hard = UnitInput(4, streams=WITH_UNITS).double()
        hard.embeddings.load_state_dict(made.embeddings.state_dict())
        codes = codebook().codes(given["features"])
        far.append(float((made(given).data - hard({"units": codes}).data).detach().abs().max()))
    assert far[0] > far[1] > far[2] and far[2] < 1e-12


def test_what_every_input_keeps_to() -> None:
    check_input(soft(0.5))
    learned = SoftUnitInput(4, FeatureInput(streams=STREAMS), LinearHead, streams=WITH_UNITS)
    assert learned.predictor.vocab == (7,)
    check_input(learned)


def test_a_folder_gives_it_back(tmp_path: Path) -> None:
    store.save(codebook(), tmp_path / "codebook")
    nearness = {
        "_target_": "speechunits.heads.nearness.Nearness",
        "quantizer": {"_target_": "speechunits.store.restore", "folder": str(tmp_path / "codebook")},
    }
    tree = {"_target_": "speechunits.inputs.soft_unit_input.SoftUnitInput", "dim": 4, "features": FEATURES}
    check_saved({**tree, "predictor": nearness}, tmp_path / "soft", streams=WITH_UNITS)


def test_live_features_and_the_codebook_of_their_tokenizer(tmp_path: Path) -> None:
    """A frontend in place of a large encoder: frames of live features go to the centroids that were fitted on them."""
    source = build({"_target_": f"{Features.__module__}.Features", "source": MEL})
    tokenizer = UnitTokenizer.join(source, codebook(dim=10))
    tokenizer.quantizer.centroids.mul_(3)
    tokenizer.save(tmp_path / "tokenizer")
    tree: dict[str, Any] = {
        "_target_": "speechunits.inputs.soft_unit_input.SoftUnitInput",
        "dim": 4,
        "features": {"_target_": "speechunits.inputs.audio_input.AudioInput", "frontend": MEL},
        "predictor": {
            "_target_": "speechunits.heads.nearness.Nearness",
            "quantizer": {
                "_target_": "speechunits.units.tokenizer.restore_quantizer",
                "folder": str(tmp_path / "tokenizer"),
            },
            "temperature": 1e-9,
        },
    }
    made = build(tree, streams={})
    audio = batch(0.4)["audio"].to(torch.float32)
    codes = tokenizer.codes(audio).data[..., 0].clone()
    torch.testing.assert_close(made({"audio": audio}).data, made.embeddings[0].weight[codes])
    store.save(made, tmp_path / "soft")
    torch.testing.assert_close(store.restore(tmp_path / "soft")({"audio": audio}).data, made({"audio": audio}).data)
    assert restore_quantizer(str(tmp_path / "tokenizer")).vocab == (7,)


def test_several_codebooks_are_refused() -> None:
    two = {**STREAMS, "units": Stream(HOP, (7, 5), "abc")}
    for streams, found in ((two, 2), (STREAMS, 0)):
        with pytest.raises(
            ValueError, match=f"soft units have one codebook, and there are {found} in the data's field"
        ):
            SoftUnitInput(4, FeatureInput(streams=STREAMS), LinearHead, streams=streams)
