"""Every encoder with every head and search: batching changes neither what is learnt from nor what is written."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from speechunits.config import build
from speechunits.seq import unpad
from speechunits.term import add
from tests.tasks.pairs import ATTENTION, BLOCKS, CTC, RECURRENT, STATELESS, batch, recogniser

SECONDS = (0.7, 0.031, 1.1)  # one of a single frame
DECODE = "speechunits.decode"
HEADS: dict[str, dict[str, Any]] = {
    "ctc": {"ctc": CTC},
    "attention": {"attention": ATTENTION},
    "joint": {"ctc": CTC, "attention": ATTENTION},
    "transducer": {"transducer": STATELESS},
    "transducer-recurrent": {"transducer": RECURRENT},
}
SEARCHES: dict[str, list[dict[str, Any]]] = {
    "ctc": [{"_target_": f"{DECODE}.greedy.Greedy"}, {"_target_": f"{DECODE}.ctc_beam.CTCBeam", "beam": 3}],
    "attention": [{"_target_": f"{DECODE}.joint_beam.JointBeam", "beam": 2, "ctc_weight": 0.0}],
    "joint": [{"_target_": f"{DECODE}.greedy.Greedy"}, {"_target_": f"{DECODE}.joint_beam.JointBeam", "beam": 2}],
    "transducer": [
        {"_target_": f"{DECODE}.transducer_greedy.TransducerGreedy", "max_symbols": 2},
        {"_target_": f"{DECODE}.transducer_beam.TransducerBeam", "beam": 2, "max_symbols": 2},
    ],
}
SEARCHES["transducer-recurrent"] = SEARCHES["transducer"]
every_pair = [(block, kind) for block in BLOCKS for kind in HEADS]


@pytest.mark.parametrize(("block", "kind"), every_pair)
@pytest.mark.parametrize("chunk", [None, 4])
def test_terms_and_frames_do_not_depend_on_batch_mates(block: str, kind: str, chunk: int | None) -> None:
    model = recogniser(block, HEADS[kind], SEARCHES[kind][0], chunk=chunk, left=None if chunk is None else 6)
    together, apart = batch(*SECONDS), [batch(s) for s in SECONDS]
    with torch.no_grad():
        for name, seq in model.hear(together).items():
            for row, alone in zip(unpad(seq), apart, strict=True):
                torch.testing.assert_close(row, unpad(model.hear(alone)[name])[0], rtol=0, atol=1e-9)
        terms, summed = model.terms(together), add(model.terms(alone) for alone in apart)
    for name, term in terms.items():
        torch.testing.assert_close(term.num, summed[name].num, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(term.den, summed[name].den)
    assert model.counts(together).keys() <= terms.keys()


@pytest.mark.parametrize(("block", "kind"), every_pair)
def test_text_is_the_same_in_batches_of_any_size(block: str, kind: str) -> None:
    model = recogniser(block, HEADS[kind], SEARCHES[kind][0])
    for search in SEARCHES[kind]:
        model.search = build(search)
        found = [[], []]
        for n, size in enumerate((1, len(SECONDS))):
            for start in range(0, len(SECONDS), size):
                found[n] += model.predict(batch(*SECONDS[start : start + size]))["hypotheses"]
        assert sum(len(each[0].ids) for each in found[0]) > 3
        for alone, together in zip(*found, strict=True):
            assert [h.ids.tolist() for h in alone] == [h.ids.tolist() for h in together]
            assert [h.score for h in alone] == pytest.approx([h.score for h in together], abs=1e-9)
            for a, b in zip(alone, together, strict=True):
                assert (a.spans is None) == (b.spans is None)
                if a.spans is not None and b.spans is not None:
                    assert torch.equal(a.spans, b.spans)
                if a.confidence is not None:
                    torch.testing.assert_close(a.confidence, b.confidence)
