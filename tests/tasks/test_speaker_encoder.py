"""SpeakerEncoder: unit vectors that no batch-mate changes, of filterbanks, layers or stored features; its folder."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits import store
from speechunits.config import build, check_build
from speechunits.errors import UserError
from speechunits.seq import pad
from speechunits.stream import Stream
from speechunits.tasks.speaker_encoder import SpeakerEncoder
from tests.inputs.toy import encoder_folder
from tests.tasks.voices import batch, speaker_encoder

STATISTICS = {"_target_": "speechunits.heads.statistics_pooling.StatisticsPooling"}
SAID = [(0, 0), (1, 0), (2, 0)]


def test_vectors_have_length_one_whoever_stands_beside() -> None:
    made: SpeakerEncoder = build(speaker_encoder(), streams={}).double().eval()
    together = batch(SAID, [1.0, 0.6, 0.8])
    voices = made.embed(together["audio"].to(torch.float64))
    torch.testing.assert_close(voices.norm(dim=1), torch.ones(3, dtype=torch.float64))
    for i, length in enumerate([1.0, 0.6, 0.8]):
        alone = batch(SAID[i : i + 1], length)["audio"].to(torch.float64)
        torch.testing.assert_close(voices[i : i + 1], made.embed(alone))
    assert torch.equal(made.predict({**together, "audio": together["audio"].to(torch.float64)})["voice"], voices)
    assert not voices.requires_grad


@pytest.mark.parametrize("pooling", [None, STATISTICS])
def test_every_weight_gets_a_gradient(pooling: Any) -> None:
    made: SpeakerEncoder = build(speaker_encoder(pooling=pooling), streams={})
    made(batch(SAID))[:, 0].sum().backward()
    assert [n for n, p in made.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_no_encoder_and_one_of_another_dimension() -> None:
    bare: SpeakerEncoder = build(speaker_encoder(encoder=None, pooling=STATISTICS, dim=9), streams={})
    assert bare.embed(batch(SAID)["audio"]).shape == (3, 9) and bare.linear.in_features == 40
    assert build(speaker_encoder(), streams={}).entry.in_features == 20


def test_the_folder_gives_back_the_same_vectors(tmp_path: Path) -> None:
    made: SpeakerEncoder = build(speaker_encoder(), streams={}).eval()
    store.save(made, tmp_path / "speaker_encoder", kind="speaker_encoder")
    back = store.restore(tmp_path / "speaker_encoder", expect=SpeakerEncoder)
    assert torch.equal(back.embed(batch(SAID)["audio"]), made.embed(batch(SAID)["audio"]))


def test_layers_of_a_frozen_encoder(tmp_path: Path) -> None:
    input = {
        "_target_": "speechunits.inputs.encoder_input.EncoderInput",
        "encoder": {"_target_": "speechunits.store.restore", "folder": str(encoder_folder(tmp_path / "encoder"))},
        "read": {"_target_": "speechunits.heads.weighted_sum.WeightedSum"},
    }
    tree = speaker_encoder(input=input, encoder=None)
    assert check_build(tree, streams={}) == []
    made: SpeakerEncoder = build(tree, streams={}).train()
    made(batch(SAID))[:, 0].sum().backward()
    with_gradient = {n.split(".")[0] for n, p in made.named_parameters() if p.grad is not None}
    assert with_gradient == {"input", "pooling", "linear"}
    assert made.input.joined.weights.grad.any() and all(p.grad is None for p in made.input.encoder.parameters())
    store.save(made.eval(), tmp_path / "speaker_encoder")
    back, audio = store.restore(tmp_path / "speaker_encoder"), batch(SAID)["audio"]
    assert torch.equal(back.embed(audio), made.embed(audio))


def test_stored_features() -> None:
    input = {"_target_": "speechunits.inputs.feature_input.FeatureInput"}
    streams = {"features": Stream(Fraction(1, 50), (), "fp", (4,))}
    made: SpeakerEncoder = build(speaker_encoder(input=input, encoder=None), streams=streams)
    assert made.labels == {"features": "fp"}
    assert made.embed(pad([torch.randn(9, 4), torch.randn(5, 4)], Fraction(1, 50))).shape == (2, 6)


def test_too_short_to_tell() -> None:
    made: SpeakerEncoder = build(speaker_encoder(), streams={})
    with pytest.raises(UserError, match=r"an utterance of 0\.010 s is too short to tell who speaks"):
        made.embed(pad([torch.randn(16000), torch.randn(160)], Fraction(1, 16000)))
