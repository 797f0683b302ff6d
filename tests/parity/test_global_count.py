"""The loss over the global masked count: utterances one by one are the batch, whoever shares it and however padded."""

from __future__ import annotations

import pytest
import torch

from speechunits.draws import draws
from speechunits.seq import Seq
from speechunits.term import add, loss

SAMPLES = (8000, 6100, 3333)


def alone(batch: dict, i: int) -> dict:
    out = {"draws": draws(batch["draws"].ids[i : i + 1], seed=batch["draws"].seed)}
    for name in ("audio", "units"):
        seq = batch[name]
        n = seq.lengths[i : i + 1]
        out[name] = Seq(seq.data[i : i + 1, : int(n)], n, seq.hop)
    return out


@pytest.mark.parametrize("system", ["large", "xlarge"])  # base: GroupNorm over time sees padding, as published
def test_batch_equals_accumulation(system, make_model, make_batch, shake):
    model = make_model(system=system).double()  # training mode: large and xlarge have no dropout
    shake(model)
    batch = make_batch(SAMPLES, model.encoder.frontend.frames, torch.float64)
    whole = model.terms(batch)
    loss(whole, model.counts(batch)).backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()

    parts = [alone(batch, i) for i in range(len(SAMPLES))]
    counts = [model.counts(part) for part in parts]
    total = {name: sum(c[name] for c in counts) for name in counts[0]}
    assert total == {name: int(whole[name].den) for name in total}
    assert len({int(c["units/ce"]) for c in counts}) == 3  # unequal, so that a mean of means would show
    terms = []
    for part in parts:
        terms.append(model.terms(part))
        loss(terms[-1], total).backward()
    together = add(terms)
    for name, term in whole.items():
        torch.testing.assert_close(together[name].num, term.num, rtol=1e-6, atol=1e-6)
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.grad, expected[name], rtol=1e-6, atol=1e-8, msg=lambda m, n=name: f"{n}: {m}")
