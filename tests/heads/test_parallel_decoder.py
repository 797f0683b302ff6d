"""ParallelDecoder: terms by hand, the same in every batch, gradients, what has no path."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch

from speechunits.config import build
from speechunits.heads.parallel_decoder import ParallelDecoder
from speechunits.seq import Seq, pad, unpad
from speechunits.term import add, loss

V = 4
BLOCK = {
    "_target_": "speechunits.nn.transformer_block.TransformerBlock",
    "ffn": 16,
    "dropout": 0.0,
    "attention_dropout": 0.0,
}
DECODER = {
    "_target_": "speechunits.encoders.block_encoder.BlockEncoder",
    **{"block": BLOCK, "depth": 1, "dim": 12, "heads": 2, "dropout": 0.0},
}
DURATIONS = {"_target_": "speechunits.heads.duration.DurationPredictor", "hidden": 8, "dropout": 0.0}


def make(**more: Any) -> ParallelDecoder:
    torch.manual_seed(0)
    node = {
        "_target_": "speechunits.heads.parallel_decoder.ParallelDecoder",
        "decoder": DECODER,
        "durations": DURATIONS,
    }
    made: ParallelDecoder = build({**node, **more}, dim=6, vocab=(V,)).double()
    return made


def pairs(*sizes: tuple[int, int]) -> tuple[Seq, Seq]:
    """Symbols' vectors and units, (symbols, units) many, each the same whatever stands beside it."""
    rows = []
    for sizes_ in sizes:
        g = torch.Generator().manual_seed(sum(sizes_))
        x = torch.randn(sizes_[0], 6, generator=g, dtype=torch.float64)
        rows.append((x, torch.randint(V, (sizes_[1],), generator=g)))
    x, units = zip(*rows, strict=True)
    return pad(x, None), pad(units, None)


def test_the_sum_over_paths_by_hand() -> None:
    made = make(prior=0.0)
    x, units = pairs((3, 6))
    said = made.says(x.data[0]).log_softmax(-1).detach()  # (3, V)
    total = 0.0
    for a, b in itertools.combinations(range(1, 6), 2):
        owner = [0] * a + [1] * (b - a) + [2] * (6 - b)
        total += math.exp(sum(float(said[j, u]) for j, u in zip(owner, units.data[0], strict=True)))
    terms = made(x, units)
    assert float(terms["alignment"].num) == pytest.approx(-math.log(total)) and int(terms["alignment"].den) == 6


def test_units_are_read_at_their_frames_and_durations_are_those_of_the_path() -> None:
    made = make()
    x, units = pairs((3, 6))
    _, durations = made.align(x, units)
    log_probs = made.log_probs(x, durations).data[0]
    terms = made(x, units)
    assert float(terms["loss"].num) == pytest.approx(-sum(float(log_probs[t, u]) for t, u in enumerate(units.data[0])))
    wanted = (durations[0].double() + 1).log()
    assert float(terms["duration"].num) == pytest.approx(float((made.durations(x)[0] - wanted).square().sum()))


def test_terms_of_a_batch_are_those_of_its_utterances() -> None:
    made, sizes = make(), [(3, 6), (4, 4), (5, 3), (2, 9), (1, 1)]
    together, apart = made(*pairs(*sizes)), add(made(*pairs(size)) for size in sizes)
    x, units = pairs(*sizes)
    counts = made.counts(x.lengths, units)
    assert {name: int(count) for name, count in counts.items()} == {"loss": 20, "alignment": 20, "duration": 10}
    for name, term in together.items():
        torch.testing.assert_close(term.num, apart[name].num)
        torch.testing.assert_close(term.den, apart[name].den)
        assert name not in counts or counts[name] == term.den
    assert int(together["impossible"].num) == 1  # three units for five symbols
    loss(together, counts).backward()
    assert [name for name, p in made.named_parameters() if p.grad is None or not bool(p.grad.any())] == []


def test_an_utterance_is_written_as_alone() -> None:
    made, sizes = make().eval(), [(3, 6), (5, 3), (2, 9)]
    x, _ = pairs(*sizes)
    with torch.no_grad():
        made.durations.linear.bias.fill_(1.5)  # about three frames a symbol
        together = made.write(x)
        slow = made.write(x, speed=0.25)
        for row, size in zip(unpad(together), sizes, strict=True):
            torch.testing.assert_close(row, made.write(pairs(size)[0]).data[0])
    assert bool((together.lengths >= x.lengths).all()) and bool((slow.lengths > 2 * together.lengths).all())


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match="these have 2 codebooks"):
        make_of(2)
    with pytest.raises(ValueError, match="prior is -1"):
        make(prior=-1.0)


def make_of(codebooks: int) -> Any:
    node = {
        "_target_": "speechunits.heads.parallel_decoder.ParallelDecoder",
        "decoder": DECODER,
        "durations": DURATIONS,
    }
    return build(node, dim=6, vocab=(V,) * codebooks)
