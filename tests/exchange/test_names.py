"""The table of names: there and back, for every kind of model, and what has no place."""

from __future__ import annotations

import pytest
import torch

from speechunits.errors import UserError
from speechunits.exchange.names import dialect, in_model, to_ours, to_transformers
from tests.exchange.toy import KINDS, NAMES, model


@pytest.mark.parametrize(("kind", "norm", "first"), KINDS, ids=NAMES)
def test_there_and_back(kind: str, norm: str, first: bool) -> None:
    theirs = model(kind, norm, first).state_dict()
    ours, left = to_ours(theirs)
    assert left == [] and len(ours) == len(theirs) - 2 * 2 * 3  # q, k and v of weight and bias in three layers
    back = to_transformers(ours)
    assert back.keys() == theirs.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in theirs.items())


def test_the_order_of_q_k_v() -> None:
    theirs = {f"encoder.layers.12.attention.{p}_proj.bias": torch.full((2,), i) for i, p in enumerate("qkv")}
    ours, _ = to_ours({"feature_extractor.conv_layers.0.conv.weight": torch.zeros(1), **theirs})
    assert ours["encoder.layers.12.attention.qkv.bias"].tolist() == [0, 0, 1, 1, 2, 2]


def test_who_speaks() -> None:
    assert dialect(["x", "hubert.feature_extractor.conv_layers.0.conv.weight"])[:2] == ("transformers", "hubert.")
    assert dialect(["feature_extractor.conv_layers.0.0.weight"])[:2] == ("fairseq", "")
    names = ["wav2vec2.feature_extractor.conv_layers.0.conv.weight", "wav2vec2.encoder.transformer.layer_norm.bias"]
    assert dialect(names)[:2] == ("torchaudio", "wav2vec2.")
    assert dialect(["model.weight"]) is None


def test_names_without_a_place() -> None:
    known = {"hubert.feature_extractor.conv_layers.0.conv.weight": torch.zeros(1)}
    ours, left = to_ours({**known, "lm_head.weight": torch.zeros(1), "hubert.adapter.proj.weight": torch.zeros(1)})
    assert list(ours) == ["frontend.blocks.0.conv.weight"]
    assert left == ["lm_head.weight", "hubert.adapter.proj.weight"]
    with pytest.raises(UserError, match=r"'hubert\.encoder\.embed\.weight' belongs to a part of an encoder"):
        to_ours({**known, "hubert.encoder.embed.weight": torch.zeros(1)})
    with pytest.raises(UserError, match="no weights of a HuBERT"):
        to_ours({"weight": torch.zeros(1)})


def test_places_in_a_model() -> None:
    placed = in_model({"encoder.norm.bias": torch.zeros(1), "head.codes.0": torch.zeros(1)}, "km")
    assert list(placed) == ["encoder.encoder.norm.bias", "objectives.km.head.codes.0"]
