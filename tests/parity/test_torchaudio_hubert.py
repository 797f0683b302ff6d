"""Ours against torchaudio.models.hubert_pretrain_*: features, layers, logits, loss, penalty and gradients.

torchaudio computes the cosine and the penalty in float32 whatever the model's type (``.float()``), so what passes
through them agrees to 1e-5; everything before them to 1e-6 and better.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from speechunits.config import build, load
from speechunits.exchange.names import in_model, to_ours
from speechunits.objectives.passes import Passes
from speechunits.stream import Stream
from speechunits.term import loss

VOCAB = 7
EQUAL, PADDED = (8000, 8000, 8000), (8000, 6100, 3333)


def renamed(theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    ours, left = to_ours(theirs)
    assert left == []
    return in_model(ours)


class GivenMask(nn.Module):
    """In the place of torchaudio's MaskGenerator: hides what it is told to."""

    def __init__(self, mask_embedding: nn.Parameter) -> None:
        super().__init__()
        self.mask_embedding, self.masked = mask_embedding, torch.empty(0)

    def forward(self, x: Tensor, padding_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        return torch.where(self.masked[..., None], self.mask_embedding, x), self.masked


def reference(norm: str, norm_first: bool, grad_scale: float | None) -> nn.Module:
    blocks = [(16, k, s) for k, s in zip((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), strict=True)]
    model = torchaudio.models.hubert_pretrain_model(
        f"{norm}_norm", blocks, False, 32, 0.0, 9, 2, 2, 2, 0.0, 64, 0.0, 0.0, norm_first, 0.0,
        0.8, "static", 0.0, 10, False, 1, 0.0, "static", 0.0, 10, False, 1, False, False, VOCAB, 8, grad_scale,
    )  # fmt: skip
    model.mask_generator = GivenMask(model.mask_generator.mask_embedding)
    return model


@pytest.mark.parametrize("samples", [EQUAL, PADDED], ids=["equal", "padded"])
@pytest.mark.parametrize("norm_first", [False, True], ids=["norm-last", "norm-first"])
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_toy_float64(norm, norm_first, samples, make_model, make_batch, normalised, shake):
    """Group norm as in base; layer norm as in large, whose waveforms are normalised: torchaudio leaves that to its user."""
    large = norm == "layer"
    theirs = reference(norm, norm_first, 0.1).double().eval()
    shake(theirs)
    ours = make_model(
        f"model.encoder.frontend.norm={norm}",
        f"model.encoder.frontend.normalize_audio={large}",
        f"model.encoder.encoder.norm_first={norm_first}",
        "model.objectives.units.unmasked_weight=0.5",
    ).double().eval()  # fmt: skip
    ours.load_state_dict(renamed(theirs.state_dict()), strict=True)
    batch = make_batch(samples, ours.encoder.frontend.frames, torch.float64)
    audio, codes = batch["audio"], batch["units"].data
    heard = normalised(audio) if large else audio.data

    # The clean pass: frontend, and every layer (torchaudio leaves the last layer without its final norm here).
    look = ours.encoder(audio)
    valid = look.frames.valid
    features, lengths = theirs.wav2vec2.feature_extractor(heard, audio.lengths)
    assert lengths.equal(look.clean.lengths)
    torch.testing.assert_close(look.clean.data, features, rtol=0, atol=1e-6)
    layers, _ = theirs.wav2vec2.extract_features(heard, audio.lengths)
    assert len(layers) == len(look.hidden.layers) - 1 == 2
    for mine, other in zip(look.hidden.layers[1:], layers, strict=True):
        torch.testing.assert_close(mine[valid], other[valid], rtol=0, atol=1e-6)
    final, _ = theirs.wav2vec2(heard, audio.lengths)
    torch.testing.assert_close(look.read("final").data[valid], final[valid], rtol=0, atol=1e-6)

    # The masked pass: logits and losses on the frames that our masker drew.
    look = ours.encoder(audio, batch["draws"], "mask:0")
    masked, unmasked = look.frames.pick("masked"), look.frames.pick("unmasked")
    assert 0 < masked.sum() < valid.sum()
    theirs.mask_generator.masked = look.frames.masked
    logit_m, logit_u, penalty = theirs(heard, codes.clamp(min=0), audio.lengths)
    for keep, logits in ((masked, logit_m), (unmasked, logit_u)):
        (scores,) = ours.objectives["units"].head(look.read("final").data[keep])
        positive = scores.gather(1, codes[keep][:, None])
        torch.testing.assert_close(positive, logits[:, :1], rtol=0, atol=1e-5)
        # Their column of the right class among the others is -inf: it already stands in front.
        others = scores.scatter(1, codes[keep][:, None], float("-inf"))
        torch.testing.assert_close(others, logits[:, 1:], rtol=0, atol=1e-5)
    terms = ours.terms(batch)
    zeros = codes.new_zeros
    ce_m = F.cross_entropy(logit_m, zeros(len(logit_m)), reduction="sum")
    ce_u = F.cross_entropy(logit_u, zeros(len(logit_u)), reduction="sum")
    assert int(terms["units/ce"].den) == len(logit_m) and int(terms["units/unmasked_ce"].den) == len(logit_u)
    close = {"rtol": 1e-5, "atol": 1e-5, "check_dtype": False}
    torch.testing.assert_close(terms["units/ce"].num, ce_m, **close)
    torch.testing.assert_close(terms["units/unmasked_ce"].num, ce_u, **close)
    if samples == PADDED:  # torchaudio averages over padding too
        assert not torch.allclose(terms["penalty/square"].value.double(), penalty.double(), rtol=1e-3)
        penalty = features[valid].square().mean()
    torch.testing.assert_close(terms["penalty/square"].value, penalty, **close)

    # Gradients of the whole loss, through the scaled frontend (feature_grad_mult 0.1).
    if samples == EQUAL:
        loss(terms).backward()
        (ce_m / len(logit_m) + 0.5 * ce_u / len(logit_u) + 10 * penalty).backward()
        expected = renamed({name: p.grad for name, p in theirs.named_parameters()})
        for name, p in ours.named_parameters():
            assert p.grad is not None, name
            torch.testing.assert_close(
                p.grad, expected[name], rtol=1e-5, atol=1e-6, msg=lambda m, n=name: f"gradient of {n}: {m}"
            )


def test_our_loss_is_the_equation_in_float64(make_model, make_batch, shake):
    """Eq. 3 of the paper, -log softmax(cos(A o_t, e_c) / 0.1) summed over masked frames, written out in numpy."""
    import numpy as np

    ours = make_model().double().eval()
    shake(ours)
    batch = make_batch(PADDED, ours.encoder.frontend.frames, torch.float64)
    look = ours.encoder(batch["audio"], batch["draws"], "mask:0")
    head, masked = ours.objectives["units"].head, look.frames.pick("masked").numpy()
    o = look.read("final").data.detach().numpy()[masked] @ head.projection.weight.detach().numpy().T
    o += head.projection.bias.detach().numpy()
    e, z = head.codes[0].detach().numpy(), batch["units"].data.numpy()[masked]
    total = 0.0
    for frame, code in zip(o, z, strict=True):
        scores = e @ frame / np.linalg.norm(e, axis=1) / np.linalg.norm(frame) / 0.1
        total += np.log(np.exp(scores).sum()) - scores[code]
    terms = ours.objectives["units"](Passes([look]), batch)
    assert float(terms["ce"].num.detach()) == pytest.approx(total, rel=1e-6)
    assert float(terms["ce"].value.detach()) == pytest.approx(total / masked.sum(), rel=1e-6)


@pytest.mark.slow
def test_base_float32(make_model, make_batch):
    theirs = torchaudio.models.hubert_pretrain_base(num_classes=500).eval()
    theirs.mask_generator = GivenMask(theirs.mask_generator.mask_embedding)
    ours = make_model(toy=False, vocab=500).eval()
    ours.load_state_dict(renamed(theirs.state_dict()), strict=True)
    batch = make_batch((32000,), ours.encoder.frontend.frames, torch.float32, vocab=500)
    audio = batch["audio"]
    with torch.no_grad():
        look = ours.encoder(audio, batch["draws"], "mask:0")
        theirs.mask_generator.masked = look.frames.masked
        features, _ = theirs.wav2vec2.feature_extractor(audio.data, None)
        torch.testing.assert_close(look.clean.data, features, rtol=0, atol=1e-4)
        layers, _ = theirs.wav2vec2.extract_features(audio.data)
        for mine, other in zip(ours.encoder(audio).hidden.layers[1:], layers, strict=True):
            torch.testing.assert_close(mine, other, rtol=0, atol=1e-4)
        logit_m, _, penalty = theirs(audio.data, batch["units"].data, audio.lengths)
        terms = ours.terms(batch)
    expected = F.cross_entropy(logit_m, torch.zeros(len(logit_m), dtype=torch.int64))
    torch.testing.assert_close(terms["units/ce"].value, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(terms["penalty/square"].value, penalty, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("system", "count"), [("base", 94_696_576), ("large", 316_606_336), ("xlarge", 964_317_568)])
def test_full_sizes_have_the_reference_parameters(system, count):
    """Name by name and shape by shape: 95 M, 317 M and 964 M, as the paper's table I rounds them.

    fairseq's models have four label embeddings more, for special symbols that never occur: 4 * head features.
    """
    with torch.device("meta"):
        ours = build(
            load(f"system/hubert_{system}.yaml")["model"], streams={"units": Stream(Fraction(1, 50), (500,), "")}
        )
    with FakeTensorMode():  # the meta device cannot run torchaudio's initialisation
        theirs = getattr(torchaudio.models, f"hubert_pretrain_{system}")(
            **({"num_classes": 500} if system == "base" else {})
        )
        expected = {name: tuple(p.shape) for name, p in renamed(dict(theirs.named_parameters())).items()}
    assert {name: tuple(p.shape) for name, p in ours.named_parameters()} == expected
    assert sum(p.numel() for p in ours.parameters()) == count
