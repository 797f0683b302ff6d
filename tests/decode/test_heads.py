"""Searches on the heads that are trained: the scores of texts are the losses of these texts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from speechunits.config import build, conf_root, load
from speechunits.decode.ctc_beam import CTCBeam
from speechunits.decode.find_head import frame_scores
from speechunits.decode.joint_beam import JointBeam
from speechunits.decode.transducer_beam import TransducerBeam
from speechunits.decode.transducer_greedy import TransducerGreedy
from speechunits.errors import UserError
from speechunits.heads.attention_decoder import AttentionDecoder
from speechunits.heads.ctc import CTC
from speechunits.heads.recurrent_predictor import RecurrentPredictor
from speechunits.heads.transducer import Transducer
from speechunits.part import ConfigError
from speechunits.seq import Seq, pad
from tests.decode.scored import HOP, Scores

DIM, KINDS = 8, 3


@pytest.fixture(scope="module")
def heads() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    made = {
        "ctc": CTC(dim=DIM, vocab=(KINDS,)),
        "attention": AttentionDecoder(depth=2, ffn=16, heads=2, dim=DIM, vocab=(KINDS,)),
        "transducer": Transducer(RecurrentPredictor(6, vocab=(KINDS,)), dim_joint=12, dim=DIM, vocab=(KINDS,)),
    }
    return {name: head.double().eval() for name, head in made.items()}


def heard(*frames: int) -> Seq:
    rows = [torch.randn(n, DIM, generator=torch.Generator().manual_seed(n)).double() for n in frames]
    return pad(rows, HOP)


def both(heads: dict[str, nn.Module], x: Seq) -> dict[str, Seq]:
    return dict.fromkeys(heads, x)


def ctc_nats(head: nn.Module, x: Seq, text: Seq) -> torch.Tensor:
    scores = head.scores(x).data.transpose(0, 1)
    return F.ctc_loss(scores, text.data.clamp(min=0), x.lengths, text.lengths, KINDS, reduction="none")


def test_ctc(heads: dict[str, nn.Module]) -> None:
    x = heard(6, 4, 5)
    for b, each in enumerate(CTCBeam(beam=300, nbest=10)(heads, both(heads, x))):
        text = pad([h.ids for h in each], None)
        alone = Seq(x.data[b : b + 1].expand(10, -1, -1), x.lengths[b].expand(10), HOP)
        assert [h.score for h in each] == pytest.approx((-ctc_nats(heads["ctc"], alone, text)).tolist(), abs=1e-9)


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_joint(heads: dict[str, nn.Module], weight: float) -> None:
    x = heard(6, 4, 5)
    for b, each in enumerate(JointBeam(beam=6, nbest=4, ctc_weight=weight)(heads, both(heads, x))):
        text = pad([h.ids for h in each], None)
        alone = Seq(x.data[b : b + 1].expand(4, -1, -1), x.lengths[b].expand(4), HOP)
        expected = (1 - weight) * heads["attention"].score(alone, text)
        if weight:
            expected = expected - weight * ctc_nats(heads["ctc"], alone, text)
        assert [h.score for h in each] == pytest.approx(expected.tolist(), abs=1e-9)


def test_transducer(heads: dict[str, nn.Module]) -> None:
    """Six symbols in a frame are nearly any number of them."""
    x = heard(2, 1)
    for b, each in enumerate(TransducerBeam(beam=60, nbest=5, max_symbols=6)(heads, both(heads, x))):
        for h in each:
            alone = Seq(x.data[b : b + 1, : int(x.lengths[b])], x.lengths[b : b + 1], HOP)
            nats = float(heads["transducer"](alone, pad([h.ids], None))["loss"].num.detach())
            assert h.score == pytest.approx(-nats, abs=1e-4)


@pytest.mark.parametrize("search", [TransducerGreedy(), TransducerBeam(beam=3), TransducerBeam(beam=3, max_symbols=2)])
def test_each_frame_goes_through_the_joiner_once(search: Any, heads: dict[str, nn.Module]) -> None:
    frames: list[int] = []
    joiner: Any = heads["transducer"].joiner
    hook = joiner.heard.register_forward_hook(lambda module, given, out: frames.append(out[..., 0].numel()))
    search(heads, both(heads, heard(6, 4)))
    hook.remove()
    assert frames == [12]


APART = {"ngram", "lattice"}  # a language model is no search, and a graph has tests of its own
SEARCHES = sorted({path.stem for path in (conf_root() / "search").glob("*.yaml")} - APART)


@pytest.mark.parametrize("name", SEARCHES)
def test_every_configured_search_finds_the_same_in_every_batch(name: str, heads: dict[str, nn.Module]) -> None:
    search: Any = build(load(f"search/{name}.yaml")["model"]["search"])
    frames = (9, 0, 4, 12, 1)
    together = search(heads, both(heads, heard(*frames)))
    assert len(together) == len(frames) and together[1][0].ids.tolist() == []
    for n, each in zip(frames, together, strict=True):
        alone = search(heads, both(heads, heard(n)))[0]
        assert [h.ids.tolist() for h in each] == [h.ids.tolist() for h in alone]
        assert [h.score for h in each] == pytest.approx([h.score for h in alone], abs=1e-9)
        for h, other in zip(each, alone, strict=True):
            assert h.spans is not None and other.spans is not None and h.spans.equal(other.spans)
            assert h.confidence is not None and bool(((h.confidence >= 0) & (h.confidence <= 1)).all())


READS = [("greedy", "ctc"), ("ctc_beam", "ctc"), ("joint_beam", "ctc"), ("joint_beam", "attention")]
READS += [("transducer_greedy", "transducer"), ("transducer_beam", "transducer")]


@pytest.mark.parametrize(("name", "sick"), READS)
def test_scores_that_are_no_numbers_are_no_text(name: str, sick: str, heads: dict[str, nn.Module]) -> None:
    """One frame of one utterance is enough."""
    search: Any = build(load(f"search/{name}.yaml")["model"]["search"])
    x = heard(9, 4)
    x.data[1, 2] = torch.nan
    given = {head: x if head == sick else heard(9, 4) for head in heads}
    with pytest.raises(UserError, match=rf"decode\.\w+: scores of head '{sick}' are no numbers; look at the model's"):
        search(heads, given)


def test_padding_need_be_no_number() -> None:
    x = Seq(torch.zeros(2, 3, 4), torch.tensor([3, 2]), HOP)
    x.data[1, 2] = torch.nan
    assert frame_scores({"ctc": Scores()}, {"ctc": x}, "CTCBeam")[1] is x


def test_the_searches_are_found() -> None:
    assert set(SEARCHES) == {"greedy", "ctc_beam", "joint_beam", "transducer_greedy", "transducer_beam"}


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *(("ctc_beam", number) for number in ("beam", "nbest", "symbols")),
        *(("joint_beam", number) for number in ("beam", "nbest")),
        *(("transducer_beam", number) for number in ("beam", "nbest", "max_symbols")),
        ("transducer_greedy", "max_symbols"),
    ],
)
def test_numbers_that_make_no_search(name: str, number: str) -> None:
    with pytest.raises(ConfigError, match=f"{number} is 0: give 1 or more"):
        build({**load(f"search/{name}.yaml")["model"]["search"], number: 0})


@pytest.mark.parametrize(
    ("name", "number", "value"),
    [
        *(("ctc_beam", "threshold", value) for value in (-0.1, 1.0, float("nan"))),
        *(("ctc_beam", "blank_threshold", value) for value in (-0.5, 0.0, 1.5)),
        *(("joint_beam", "longest", value) for value in (-1.0, 0.0, float("inf"))),
    ],
)
def test_shares_that_make_no_search(name: str, number: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{number} is {value}: "):
        build({**load(f"search/{name}.yaml")["model"]["search"], number: value})
