"""UnitTokenizer.from_pretrained: an encoder, a layer and a codebook from anywhere, as long as they belong together."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from speechunits import store
from speechunits.errors import UserError
from speechunits.exchange.source import read_model, read_quantizer
from speechunits.units.tokenizer import UnitTokenizer
from tests.exchange.toy import audio, folder, heard, model


@pytest.fixture
def pretrained(tmp_path: Path) -> Path:
    """``model/`` of transformers (24 features, 3 layers), ``km.npy`` of 5 centroids."""
    folder(model("hubert"), tmp_path / "model")
    np.save(tmp_path / "km.npy", np.random.default_rng(0).standard_normal((5, 24)))
    return tmp_path


def test_from_pretrained_is_encoder_layer_and_codebook(pretrained: Path) -> None:
    store.save(read_quantizer(pretrained / "km.npy"), pretrained / "km5")
    made = UnitTokenizer.from_pretrained(pretrained / "model", layer=2, quantizer=f"{pretrained}/km5/")
    seq = audio(9000)
    theirs = transformers.HubertModel.from_pretrained(pretrained / "model").eval()
    with torch.no_grad():
        (x,) = heard(seq, pretrained / "model")
        vectors = theirs(x, output_hidden_states=True).hidden_states[2][0].double().numpy()
    distances = ((vectors[:, None] - np.load(pretrained / "km.npy")[None]) ** 2).sum(-1)
    units = made.encode(seq)
    assert units.lists() == [distances.argmin(1).tolist()] and len(set(units.lists()[0])) > 1
    assert (made.vocab, made.hop) == ((5,), Fraction(1, 50))

    # kept as a folder, it is the same; so it is with our own encoder, and with centroids given as a file
    name = made.save(pretrained / "tokenizer")
    assert UnitTokenizer.load(pretrained / "tokenizer").encode(seq).lists() == units.lists()
    read_model(pretrained / "model").save(pretrained / "ours")
    again = UnitTokenizer.from_pretrained(pretrained / "ours", 2, pretrained / "km.npy")
    assert store.identity(again) == name


def test_a_tokenizers_codebook_serves_its_own_encoder_and_layer_alone(pretrained: Path) -> None:
    made = UnitTokenizer.from_pretrained(pretrained / "model", 2, pretrained / "km.npy")
    name = made.save(pretrained / "tokenizer")
    same = UnitTokenizer.from_pretrained(pretrained / "model", 2, pretrained / "tokenizer")
    assert store.identity(same) == name
    with pytest.raises(UserError, match=r"tokenizer: a codebook of layer:2, but layer:3 of .*model is asked for"):
        UnitTokenizer.from_pretrained(pretrained / "model", 3, pretrained / "tokenizer")
    other = model("hubert")
    with torch.no_grad():
        other.encoder.layer_norm.bias += 0.1
    folder(other, pretrained / "other")
    here = store.identity(read_model(pretrained / "other").encoder)
    with pytest.raises(
        UserError, match=rf"tokenizer: a codebook of the encoder [0-9a-f]{{16}}, but .*other has {here}"
    ):
        UnitTokenizer.from_pretrained(pretrained / "other", 2, pretrained / "tokenizer")


def test_what_does_not_fit_is_refused(pretrained: Path) -> None:
    with pytest.raises(UserError, match=r"model: 'layer:4': the encoder has layers 0 to 3"):
        UnitTokenizer.from_pretrained(pretrained / "model", 4, pretrained / "km.npy")
    np.save(pretrained / "mfcc.npy", np.ones((5, 39)))
    with pytest.raises(UserError, match=r"mfcc\.npy: centroids of 39 features, but layer:2 of .*model has 24"):
        UnitTokenizer.from_pretrained(pretrained / "model", 2, pretrained / "mfcc.npy")
    read_model(pretrained / "model").save(pretrained / "ours")
    with pytest.raises(UserError, match="ours: an encoder of ours, which says heads itself; leave that out"):
        UnitTokenizer.from_pretrained(pretrained / "ours", 2, pretrained / "km.npy", heads=4)
    with pytest.raises(UserError, match="ours: holds a SpeechEncoder, but a KMeans is needed here"):
        UnitTokenizer.from_pretrained(pretrained / "model", 2, pretrained / "ours")
    store.save(read_quantizer(pretrained / "km.npy"), pretrained / "km5")
    with pytest.raises(UserError, match="holds a KMeans, but a SpeechEncoder is needed here"):
        UnitTokenizer.from_pretrained(pretrained / "km5", 2, pretrained / "km.npy")
