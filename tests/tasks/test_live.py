"""Live: streaming is offline for every encoder and head, at every size of blocks; and what cannot stream says so."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor

from speechunits.decode.hypothesis import Hypothesis
from speechunits.decode.words import Word, words
from speechunits.errors import UserError
from speechunits.seq import Seq
from speechunits.tasks.asr import ASR
from speechunits.tasks.live import Live, behind, joined, nothing
from tests.tasks.pairs import ATTENTION, BLOCKS, CTC, RECURRENT, STATELESS, batch, recogniser, sound

GREEDY: dict[str, Any] = {"_target_": "speechunits.decode.greedy.Greedy"}
TRANSDUCER_GREEDY = {"_target_": "speechunits.decode.transducer_greedy.TransducerGreedy", "max_symbols": 2}
JOINT: dict[str, Any] = {"_target_": "speechunits.decode.joint_beam.JointBeam"}
HEADS = {
    "ctc": ({"ctc": CTC}, GREEDY),
    "ctc-beside-attention": ({"attention": ATTENTION, "ctc": CTC}, GREEDY),
    "transducer": ({"transducer": STATELESS}, TRANSDUCER_GREEDY),
    "transducer-recurrent": ({"transducer": RECURRENT}, TRANSDUCER_GREEDY),
}
SIZES = {"10 ms": [160], "100 ms": [1600], "1 s": [16000], "odd": [1, 7, 333, 5001, 12, 9999], "at once": [10**6]}


def stream(model: ASR, samples: Tensor, sizes: list[int]) -> tuple[Hypothesis, list[Word]]:
    """All that is found, and all that is said, of blocks of these sizes in turn."""
    live, at, number, found, said = Live(model), 0, 0, nothing(), []
    while at < len(samples):
        size = sizes[number % len(sizes)]
        new = live.feed(samples[at : at + size])
        at, number = at + size, number + 1
        found = joined(found, live.latest)
        said += new
    said += live.finish()
    found = joined(found, live.latest)
    assert found.score == pytest.approx(live.score, abs=1e-9)
    return found, said


def offline(model: ASR, samples: Tensor) -> tuple[Hypothesis, list[Word]]:
    """The whole at once, by the same model."""
    heard = {"audio": Seq(samples[None], torch.tensor([len(samples)]), Fraction(1, 16000))}
    found = model.predict(heard)["hypotheses"][0][0]
    return found, words(found, model.text.decode, model.edges(heard)[0])  # type: ignore[index]


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("block", BLOCKS)
def test_streaming_is_offline(block: str, kind: str) -> None:
    """Symbols, frames and times are equal, scores to 1e-9, for blocks of every size."""
    heads, search = HEADS[kind]
    model = recogniser(block, heads, search, chunk=4, left=6)
    samples = sound(2.137)
    whole, said = offline(model, samples)
    assert len(whole.ids) > 15 and len(set(whole.ids.tolist())) > 2 and len(said) > 2
    for sizes in SIZES.values():
        found, heard = stream(model, samples, sizes)
        assert found.ids.tolist() == whole.ids.tolist() and found.score == pytest.approx(whole.score, abs=1e-9)
        assert found.spans is not None and whole.spans is not None and torch.equal(found.spans, whole.spans)
        torch.testing.assert_close(found.confidence, whole.confidence)
        assert [(w.text, w.start, w.end) for w in heard] == [(w.text, w.start, w.end) for w in said]
        assert [w.confidence for w in heard] == pytest.approx([w.confidence for w in said], abs=1e-6)


@pytest.mark.parametrize("kind", ["ctc", "transducer"])
@pytest.mark.parametrize("samples", [0, 1, 399, 400, 6000, 6400, 6640])
def test_short_ones(kind: str, samples: int) -> None:
    """Nothing, less than a frame, one frame, about a chunk."""
    model = recogniser("conformer", *HEADS[kind], chunk=4, left=6)
    given = sound(1.0)[:samples]
    found, heard = stream(model, given, [100])
    if samples < 400:
        assert len(found.ids) == 0 and heard == [] and found.score == 0
    else:
        whole, said = offline(model, given)
        assert found.ids.tolist() == whole.ids.tolist() and found.score == pytest.approx(whole.score, abs=1e-9)
        assert [w.text for w in heard] == [w.text for w in said]


def kept(live: Live) -> int:
    """Numbers that are remembered."""
    state = sum(t.numel() for layer in live._state.past for t in layer) + sum(t.numel() for t in live._past or ())
    return state + len(live._samples) + sum(t.numel() for t in (live._open.ids, live._search.best))  # type: ignore[attr-defined]


def test_words_come_early_and_nothing_piles_up() -> None:
    model = recogniser("conformer", *HEADS["ctc"], chunk=4, left=6)
    live, most, words_at = Live(model), [], []
    for block in sound(20.0).split(1600):
        words_at.append(len(live.feed(block)))
        most.append(kept(live))
    assert max(most[100:]) <= max(most[:100]) + 30 and sum(map(bool, words_at)) > 20
    rest = live.finish()
    assert live.partial == "" and len(rest) <= 2
    with pytest.raises(ValueError, match="the utterance is finished"):
        live.feed(sound(0.1))


def test_a_word_that_may_go_on_is_partial() -> None:
    model = recogniser("transformer", *HEADS["ctc"], chunk=4, left=6)
    live = Live(model)
    said: list[Word] = []
    for block in sound(3.0).split(1600):
        said += live.feed(block)
        if live.partial:
            break
    assert live.partial and live.partial not in [w.text for w in said[-1:]]
    assert [w.text for w in live.finish()] == [live.partial] or live.partial == ""


@pytest.mark.parametrize("kind", HEADS)
def test_the_search_of_pieces_is_that_of_the_whole_in_any_batch(kind: str) -> None:
    """Greedy goes on where it was for any cut of the frames, also one in the midst of a run."""
    heads, search = HEADS[kind]
    model = recogniser("transformer", heads, search)
    with torch.no_grad():
        heard = model.hear(batch(2.0))
        whole = model.search(dict(model.heads.items()), heard)[0][0]
        for size in (1, 3, 10):
            running, found = model.search.stream(dict(model.heads.items())), nothing()  # type: ignore[attr-defined]
            pieces = [{n: Seq(p, torch.tensor([p.size(1)]), None) for n, p in zip(heard, cut, strict=True)}
                      for cut in zip(*(x.data.split(size, 1) for x in heard.values()), strict=True)]  # fmt: skip
            for i, piece in enumerate(pieces):
                found = joined(found, running(piece, i == len(pieces) - 1))
            assert found.ids.tolist() == whole.ids.tolist() and found.score == pytest.approx(whole.score, abs=1e-9)
            assert torch.equal(found.spans, whole.spans)  # type: ignore[arg-type]
    assert behind(found, 2).ids.tolist() == whole.ids.tolist()[2:]


def test_what_needs_the_whole_utterance_is_refused() -> None:
    def refused(says: str, **parts: Any) -> None:
        with pytest.raises(UserError, match=says):
            model = recogniser("conformer", *HEADS["ctc"], **{"chunk": 4, "left": 6, **parts.pop("encoder", {})})
            for name, value in parts.items():
                setattr(model.input if name == "frontend" else model, name, value)
            Live(model)

    refused("model.encoder.chunk is null", encoder={"chunk": None})
    refused("model.encoder.left is null: all of the past would be kept", encoder={"left": None})
    refused("model.input: |this Linear looks at the whole utterance", frontend=torch.nn.Linear(1, 1))
    refused("live recognition hears audio, and this model has a Identity", input=torch.nn.Identity())
    with pytest.raises(UserError, match="JointBeam needs the whole utterance; choose Greedy of a CTC head"):
        Live(recogniser("conformer", {"ctc": CTC, "attention": ATTENTION}, JOINT, chunk=4, left=6))
    with pytest.raises(UserError, match="no CTC head among attention"):
        Live(recogniser("conformer", {"attention": ATTENTION}, GREEDY, chunk=4, left=6))
    with pytest.raises(UserError, match="a Identity hears whole utterances"):
        Live(torch.nn.Identity())  # type: ignore[arg-type]
