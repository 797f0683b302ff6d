"""conf/heads: each is accepted in a recogniser, counts what it sums, and takes a step that moves all of its heads."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from speechunits.config import build, check, check_build, conf_root, load
from speechunits.stream import Stream
from speechunits.tasks.asr import ASR
from speechunits.term import loss
from tests.tasks.test_asr import STREAMS, batch, tree

FILES = sorted(path.stem for path in (conf_root() / "heads").glob("*.yaml"))
# Smaller in width alone: depth, weights, places and sums are those of the file.
SMALL = {
    "joint": ["model.heads.attention.ffn=16", "model.heads.attention.heads=2"],
    "transducer": ["model.heads.transducer.predictor.dim=8", "model.heads.transducer.dim_joint=8"],
}


def recogniser(*heads: str, more: tuple[str, ...] = ()) -> dict[str, Any]:
    """The toy ASR of the tests, twelve layers deep, with these heads in place of its own."""
    own = {k: v for k, v in tree("units").items() if k not in ("heads", "places")}
    own["encoder"] = {**own["encoder"], "depth": 12}
    small = [each for name in heads for each in SMALL.get(name, [])]
    return {**own, **load(*(f"heads/{name}.yaml" for name in heads), *small, *more)["model"]}


def made(node: dict[str, Any], streams: dict[str, Stream] = STREAMS) -> ASR:
    assert check({"model": node}) == [] and check_build(node, at="model", streams=streams) == []
    torch.manual_seed(0)
    model: ASR = build(node, streams=streams)
    return model


def test_they_are_found() -> None:
    assert set(FILES) == {"ctc", "intermediate_ctc", "joint", "transducer"}


@pytest.mark.parametrize("name", FILES)
def test_one_step(name: str) -> None:
    model = made(recogniser(name)).train()
    given = batch(40, 25, 31)
    terms, counts = model.terms(given), model.counts(given)
    assert {n: int(den) for n, den in counts.items()} == {n: int(t.den) for n, t in terms.items() if t.weight}
    total = loss(terms, counts)
    total.backward()
    assert torch.isfinite(total)
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    before = {n: p.detach().clone() for n, p in model.heads.named_parameters()}
    torch.optim.SGD(model.parameters(), 1.0).step()
    still = [n for n, p in model.heads.named_parameters() if p.equal(before[n])]
    assert still == []


def test_weights_of_joint_training_are_those_of_nats_per_utterance() -> None:
    model = made(recogniser("joint")).eval()
    terms = model.terms(batch(40, 25))
    assert int(terms["ctc/loss"].den) == int(terms["attention/loss"].den) == 2
    torch.testing.assert_close(
        loss(terms), 0.3 * terms["ctc/loss"].num / 2 + 0.7 * terms["attention/loss"].num / 2, rtol=1e-6, atol=0
    )


def test_ctc_in_the_middle_reads_its_layer_and_reaches_no_higher() -> None:
    """Its loss is that of a head on the sixth layer, and it sends a gradient to the first six alone."""
    model = made(recogniser("intermediate_ctc")).double().eval()
    given = batch(40, 25)
    terms = model.terms(given)
    hidden = model.encoder(model.input(given))
    middle = model.heads["middle"](hidden.final.with_data(hidden.layers[6]), given["text"])
    torch.testing.assert_close(terms["middle/loss"].num, middle["loss"].num)
    assert (terms["ctc/loss"].weight, terms["middle/loss"].weight) == (0.7, 0.3)
    terms["middle/loss"].num.backward()
    reached = [
        any(p.grad is not None and bool(p.grad.any()) for p in layer.parameters()) for layer in model.encoder.layers
    ]
    assert reached == [True] * 6 + [False] * 6


def test_the_middle_is_added_to_joint_training() -> None:
    model = made(recogniser("joint", "intermediate_ctc", more=("model.places.middle=layer:4",)))
    assert list(model.heads) == ["ctc", "attention", "middle"]
    assert model.places == {"ctc": "final", "attention": "final", "middle": "layer:4"}
