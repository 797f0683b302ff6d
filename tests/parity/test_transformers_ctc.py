"""Ours against transformers.HubertForCTC: scores, loss and the gradient of the encoder, with copied random weights."""

from __future__ import annotations

from functools import partial

import torch
from transformers import HubertConfig, HubertForCTC

from speechunits.heads.ctc import CTC
from speechunits.seq import pad
from speechunits.tasks.recogniser import Recogniser
from speechunits.term import loss
from speechunits.text.characters import Characters
from tests.parity.test_transformers_hubert import encoder_weights


def test_toy_float64(make_model, make_batch, normalised, shake):
    config = HubertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, feat_extract_norm="layer",
        conv_dim=[16] * 7, num_conv_pos_embeddings=9, num_conv_pos_embedding_groups=2, do_stable_layer_norm=True,
        vocab_size=6, pad_token_id=5, bos_token_id=None, eos_token_id=None, ctc_loss_reduction="sum",
        ctc_zero_infinity=True, hidden_dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, feat_proj_dropout=0.0,
        final_dropout=0.0, layerdrop=0.0,
    )  # fmt: skip
    theirs = HubertForCTC(config).double().eval()
    shake(theirs)
    encoder = make_model(
        "model.encoder.frontend.norm=layer", "model.encoder.frontend.normalize_audio=true",
        "model.encoder.encoder.norm_first=true",
    ).encoder  # fmt: skip
    ours = Recogniser(encoder, Characters("abcde"), {"ctc": partial(CTC)}).double().eval()
    ours.encoder.load_state_dict(encoder_weights(theirs.hubert), strict=True)
    ours.heads["ctc"].linear.load_state_dict(theirs.lm_head.state_dict())
    batch = make_batch((8000, 6100, 3333), encoder.frontend.frames, torch.float64)
    said = [torch.tensor(x) for x in ([0, 1, 1, 4], [2], [3, 0, 3])]
    batch["text"] = pad(said, None)
    labels = batch["text"].data.masked_fill(batch["text"].data < 0, -100)
    out = theirs(normalised(batch["audio"]), attention_mask=batch["audio"].valid.long(), labels=labels)
    heard = ours.hear(batch)
    want = out.logits.log_softmax(-1)
    torch.testing.assert_close(ours.heads["ctc"].scores(heard).data[heard.valid], want[heard.valid], rtol=0, atol=1e-6)
    term = ours.terms(batch)["ctc/loss"]
    torch.testing.assert_close(term.num, out.loss.double(), rtol=1e-6, atol=1e-6)  # theirs is summed in float32
    assert int(term.den) == 3
    loss({"ctc/loss": term}).backward()
    (out.loss / 3).backward()
    mine = dict(ours.encoder.named_parameters())
    name = "encoder.layers.1.up.weight"
    theirs_up = theirs.hubert.encoder.layers[1].feed_forward.intermediate_dense.weight.grad
    torch.testing.assert_close(mine[name].grad, theirs_up, rtol=1e-4, atol=1e-6)
    assert all(p.grad is None for p in ours.encoder.frontend.parameters())
