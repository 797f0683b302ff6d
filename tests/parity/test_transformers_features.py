"""The features of an encoder against transformers: a layer, a weighted sum of all, and what would be stored of several."""

from __future__ import annotations

from functools import partial

import torch

from speechunits.heads.weighted_sum import WeightedSum
from speechunits.inputs.encoder_input import EncoderInput
from speechunits.units.layer_features import LayerFeatures
from tests.parity.test_transformers_hubert import PADDED, encoder_weights, toy


def test_toy_float64(make_model, make_batch, normalised, shake):
    theirs = toy("layer", True, "eager").double().eval()
    shake(theirs)
    large = ("norm=layer", "normalize_audio=True")
    ours = make_model(*(f"model.encoder.frontend.{x}" for x in large), "model.encoder.encoder.norm_first=True").encoder
    ours = ours.double().eval()
    ours.load_state_dict(encoder_weights(theirs), strict=True)
    batch = make_batch(PADDED, ours.frontend.frames, torch.float64)
    audio = batch["audio"]
    with torch.no_grad():
        out = theirs(normalised(audio), attention_mask=audio.valid.long(), output_hidden_states=True)
    states = torch.stack(out.hidden_states, 2)
    summed, layer = EncoderInput(ours, partial(WeightedSum)).double(), EncoderInput(ours, "layer:1")
    assert summed.joined is not None
    summed.joined.weights.data = torch.tensor([0.3, -1.0, 2.0]).double()
    shares = torch.tensor([0.3, -1.0, 2.0]).double().softmax(0)
    stored = LayerFeatures(ours, [0, 2])(audio)
    for given, expected in (
        (summed(batch), (states * shares[:, None]).sum(2)),
        (layer(batch), states[:, :, 1]),
        (stored, states[:, :, [0, 2]]),
    ):
        assert given.lengths.equal(summed.lengths(batch))
        torch.testing.assert_close(given.data[given.valid], expected[given.valid], rtol=0, atol=1e-6)
