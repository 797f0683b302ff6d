"""SSLModel: counts before the pass, terms that add up over batches, several objectives from a configuration."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch

from speechunits.config import build, check_build, load
from speechunits.draws import draws
from speechunits.pretraining import SSLModel
from speechunits.protocols import Predicts, Trainable
from speechunits.seq import Seq, pad, unpad
from speechunits.stream import Stream
from speechunits.term import add, loss
from speechunits.views.add_noise import AddNoise

HZ50, HZ100 = Fraction(1, 50), Fraction(1, 100)
STREAMS = {"units": Stream(HZ50, (7,), "a"), "mfcc": Stream(HZ100, (5,), "b"), "books": Stream(HZ50, (4, 3), "c")}
MEL = {"_target_": "speechunits.frontends.log_mel.LogMel", "bands": 20, "hop": "1/50"}
STILL = {"dropout": 0.0, "attention_dropout": 0.0, "layerdrop": 0.0}


def objective(field: str, **more: Any) -> dict[str, Any]:
    head = {"_target_": "speechunits.heads.linear.LinearHead", "temperature": 0.1}
    target = {"_target_": "speechunits.targets.stored.StoredUnits", "field": field}
    place = "speechunits.objectives.masked_prediction.MaskedPrediction"
    return {"_target_": place, "target": target, "head": head, **more}


def make(system: str = "large", frontend: dict[str, Any] | None = None, **objectives: Any) -> SSLModel:
    torch.manual_seed(0)
    over = {"encoder": {"encoder": STILL, "projection": {"dropout": 0.0}, "frontend": frontend or {}}}
    tree = load(f"system/hubert_{system}.yaml", "size/toy.yaml", {"model": {**over, "objectives": objectives}})["model"]
    return build(tree, streams=STREAMS).double()


def items(*lengths: int) -> list[dict[str, Any]]:
    """One batch of one utterance each."""
    out = []
    for i, n in enumerate(lengths):
        labels = (n - 400) // 160 + 1
        out.append(
            {
                "audio": pad([torch.randn(n, dtype=torch.float64)], Fraction(1, 16000)),
                "mfcc": pad([torch.randint(5, (labels,))], HZ100),
                "units": pad([torch.randint(7, (-(-labels // 2),))], HZ50),
                "books": pad([torch.stack([torch.randint(v, (-(-labels // 2),)) for v in (4, 3)], -1)], HZ50),
                "draws": draws([f"cut-{i}"], seed=1),
            }
        )
    return out


def together(parts: list[dict[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {
        k: pad([unpad(p[k])[0] for p in parts], v.hop) for k, v in parts[0].items() if isinstance(v, Seq)
    }
    return out | {"draws": draws([p["draws"].ids[0] for p in parts], seed=1)}


MANY = {
    "mfcc": objective("mfcc", unmasked_weight=0.5),
    "books": objective("books", read="layer:1", weight=0.3),
    "everywhere": objective("units", frames="all"),
}


def test_it_is_what_the_loop_asks_for():
    assert isinstance(make(), Trainable) and isinstance(make(), Predicts)


@pytest.mark.parametrize("frontend", [None, MEL])
def test_counts_are_the_denominators_before_any_pass(frontend: dict[str, Any] | None):
    model, batch = make(frontend=frontend, **MANY), together(items(9000, 4321, 1000))
    counts = model.counts({**batch, "draws": draws(batch["draws"].ids, seed=1)})
    weighted = {name: t.den for name, t in model.terms(batch).items() if t.weight}
    assert set(weighted) == {
        "units/ce", "mfcc/ce", "mfcc/unmasked_ce", "books/ce", "everywhere/ce", "penalty/square",
    }  # fmt: skip
    assert set(counts) == set(weighted) and all(torch.equal(counts[k], d) for k, d in weighted.items())
    assert int(counts["everywhere/ce"]) == 27 + 13 + 2 and int(counts["penalty/square"]) == 42
    assert int(counts["books/ce"]) == 2 * int(counts["units/ce"])


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("frontend", [None, MEL])
def test_a_batch_is_the_sum_of_its_utterances(frontend: dict[str, Any] | None, train: bool):
    model, parts = make(frontend=frontend, **MANY).train(train), items(9000, 4321)
    whole, apart = model.terms(together(parts)), add(model.terms(p) for p in parts)
    assert set(whole) == set(apart)
    for name, term in whole.items():
        assert int(term.den) == int(apart[name].den)
        torch.testing.assert_close(term.num, apart[name].num, rtol=1e-10, atol=1e-10)


def test_the_gradient_of_a_batch_is_that_of_its_utterances():
    model, parts = make(**MANY), items(9000, 4321)
    batch = together(parts)
    whole = torch.autograd.grad(loss(model.terms(batch)), list(model.parameters()))
    counts = model.counts(batch)
    split = [torch.autograd.grad(loss(model.terms(p), counts), list(model.parameters())) for p in parts]
    for a, *b in zip(whole, *split, strict=True):
        torch.testing.assert_close(a, sum(b), rtol=1e-8, atol=1e-10)


def test_group_norm_is_the_documented_exception():
    model, parts = make("base"), items(9000, 4321)
    whole, apart = model.terms(together(parts)), add(model.terms(p) for p in parts)
    assert int(whole["units/ce"].den) == int(apart["units/ce"].den)
    assert abs(float((whole["units/ce"].num - apart["units/ce"].num).detach())) > 1e-4


def test_the_same_seeds_give_the_same_loss_and_others_do_not():
    def value(seed: int, epoch: int) -> float:
        torch.manual_seed(5)
        batch = together(items(9000, 4321)) | {"draws": draws(["a", "b"], seed, epoch)}
        return float(loss(make(**MANY).terms(batch)).detach())

    assert value(1, 0) == value(1, 0)
    assert len({value(1, 0), value(2, 0), value(1, 1)}) == 3


def test_gradients_start_at_hidden_frames_and_reach_everything():
    """The cross-entropy's gradient enters the final layer at hidden frames only, and goes on to every parameter."""
    model, batch = make(), together(items(9000, 4321))
    look = model.encoder(batch["audio"], batch["draws"], "mask:0")
    look.hidden.final.data.retain_grad()
    model.encoder.register_forward_hook(lambda *_: look)
    terms = model.terms(batch)
    terms["units/ce"].num.backward()
    reached = look.hidden.final.data.grad.abs().sum(-1) > 0
    assert torch.equal(reached, look.frames.masked)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_feature_grad_mult_scales_what_reaches_the_frontend():
    batch, grads = together(items(9000, 4321)), {}
    for scale in (1.0, 0.1):
        model = make(frontend={"grad_scale": scale})
        loss(model.terms(batch)).backward()
        grads[scale] = (
            [p.grad for p in model.encoder.frontend.parameters()],
            model.encoder.projection.linear.weight.grad,
        )
    for a, b in zip(grads[1.0][0], grads[0.1][0], strict=True):
        torch.testing.assert_close(b, 0.1 * a, rtol=1e-9, atol=1e-12)
    assert torch.equal(grads[1.0][1], grads[0.1][1])


def noisy(count: int) -> SSLModel:
    view = {"_target_": "speechunits.views.add_noise.AddNoise", "snr": 10.0}
    tree = load("system/hubert_large.yaml", "size/toy.yaml", {"model": {"views": [view] * count}})["model"]
    return build(tree, streams=STREAMS).double()


def test_the_student_hears_the_views_and_only_these():
    batch = together(items(9000, 4321))
    expected = AddNoise(10.0)(batch["audio"], batch["draws"].scoped("view:0"))
    (heard,) = noisy(1).heard(batch)
    assert torch.equal(heard.data, expected.data) and make().heard(batch)[0] is batch["audio"]
    model = make()
    model.views.append(Shorter())
    with pytest.raises(ValueError, match="the view Shorter changed the length"):
        model.heard(batch)


class Shorter(torch.nn.Module):
    def forward(self, audio: Seq, draws: object) -> Seq:
        return Seq(audio.data[:, :-1], audio.lengths.clamp(max=audio.data.size(1) - 1), audio.hop)


@pytest.mark.parametrize(
    ("read", "says"),
    [("layer:99", "'layer:99': the encoder has layers 0 to 2"), ("fnal", "'fnal' cannot be read; use final")],
)
def test_a_place_that_the_encoder_does_not_have_is_refused_before_anything_is_built(read: str, says: str):
    tree = load("system/hubert_base.yaml", "size/toy.yaml", f"model.objectives.units.read={read}")["model"]
    (mistake,) = check_build(tree, at="model", streams=STREAMS)
    assert mistake.startswith("model: SSLModel: objectives.units.read: ") and says in mistake


def test_views_are_hidden_differently_and_counted_together():
    """Two views of the same kind: other noise, other masks; each is made once and shared by counts and terms."""
    model, batch = noisy(2), together(items(9000, 4321))
    single = make().counts({**batch, "draws": draws(batch["draws"].ids, seed=1)})
    a, b = model.heard(batch)
    assert not torch.equal(a.data, b.data) and model.heard(batch)[0] is a
    counts, terms = model.counts(batch), model.terms(batch)
    assert int(terms["units/ce"].den) == int(counts["units/ce"]) > int(single["units/ce"])
    first, second = (model.encoder.frames(batch["audio"], batch["draws"], f"mask:{i}").masked for i in (0, 1))
    assert not torch.equal(first, second) and int(counts["units/ce"]) == int(first.sum() + second.sum())


def test_predicted_units_come_from_unhidden_frames():
    model, batch = make().eval(), together(items(9000, 4321))
    codes = model.predict(batch)["units"]
    head = model.objectives["units"].head
    expected = head(model.encoder(batch["audio"]).hidden.final.data[0])[0].argmax(-1)
    assert torch.equal(codes.data[0, :, 0], expected) and codes.lengths.tolist() == [27, 13]
    assert (codes.data[1, 13:] == -1).all()


def test_an_utterance_too_short_for_a_frame_poisons_nothing():
    model, parts = make(), items(9000, 4321)
    for layer in model.encoder.encoder.layers:
        layer.attention.dropout = 0.1
    batch = together(parts)
    batch["audio"] = Seq(batch["audio"].data, torch.tensor([9000, 399]), Fraction(1, 16000))
    terms = model.train().terms(batch)
    loss(terms).backward()
    assert int(terms["penalty/square"].den) == 27
    assert all(p.grad.isfinite().all() for p in model.parameters())
