"""Sums over the alignments of a transducer against every way through small lattices, written out."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from speechunits.nn import transducer_sum
from speechunits.seq import Seq, pad, unpad


def text(*items: list[int]) -> Seq:
    return pad([torch.tensor(x, dtype=torch.int64) for x in items], None)


def ways(frames: int, symbols: int) -> list[list[tuple[int, int]]]:
    """Every alignment as the places it visits, (0, 0) to (frames - 1, symbols): one step to the next symbol or frame."""
    found = []
    steps = frames - 1 + symbols
    for said in combinations(range(steps), symbols):
        t = u = 0
        visited = [(t, u)]
        for n in range(steps):
            t, u = (t, u + 1) if n in said else (t + 1, u)
            visited.append((t, u))
        found.append(visited)
    return found


def by_hand(scores: np.ndarray, said: list[int], inside: set[tuple[int, int]] | None = None) -> float:
    """Graves 2012, section 2.3: the sum of the probabilities of all alignments, here of those ``inside`` alone."""
    total = 0.0
    for places in ways(len(scores), len(said)):
        if inside is None or inside.issuperset(places):
            steps = [scores[t, u, said[u] if v > u else -1] for (t, u), (_, v) in pairwise(places)]
            total += np.exp(sum(steps) + scores[-1, len(said), -1])
    return -float(np.log(total))


@pytest.mark.parametrize(
    ("frames", "said"), [(1, []), (1, [0, 2, 1]), (4, []), (3, [1, 1]), (5, [2, 0, 1, 1]), (2, [0] * 5)]
)
def test_full_is_the_sum_over_all_alignments(frames: int, said: list[int]) -> None:
    torch.manual_seed(frames)
    logits = torch.randn(1, frames, len(said) + 1, 4, dtype=torch.float64)
    found = transducer_sum.full(logits, text(said), torch.tensor([frames]))
    assert float(found) == pytest.approx(by_hand(logits[0].log_softmax(-1).numpy(), said), rel=1e-12)


FRAMES, SAID = torch.tensor([6, 3, 4, 1]), text([0, 1, 1], [2, 2, 2, 0], [], [1])


def padded(seed: int = 0) -> Tensor:
    """Logits (4, 6, 5, 4) with rubbish where no utterance of the batch has frames or symbols."""
    logits = torch.randn(4, 6, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    for row, (t, u) in enumerate(zip(FRAMES.tolist(), SAID.lengths.tolist(), strict=True)):
        logits[row, t:], logits[row, :, u + 1 :] = 1e3, -1e3
    return logits


def test_a_batch_is_its_utterances() -> None:
    logits = padded().requires_grad_()
    nats = transducer_sum.full(logits, SAID, FRAMES)
    for row, symbols in enumerate(unpad(SAID)):
        one = logits[row : row + 1, : FRAMES[row], : len(symbols) + 1]
        alone = transducer_sum.full(one, pad([symbols], None), FRAMES[row : row + 1])
        torch.testing.assert_close(nats[row : row + 1], alone, rtol=1e-12, atol=1e-12)
    (grad,) = torch.autograd.grad(nats.sum(), logits)
    for row, (t, u) in enumerate(zip(FRAMES.tolist(), SAID.lengths.tolist(), strict=True)):
        assert bool(grad[row, :t, : u + 1].any()) and not grad[row, t:].any() and not grad[row, :, u + 1 :].any()


def test_long_sequences_in_float32() -> None:
    logits = torch.randn(1, 300, 60, 5, dtype=torch.float64)
    said, frames = text([i % 4 for i in range(59)]), torch.tensor([300])
    want = transducer_sum.full(logits, said, frames)
    single = logits.float().requires_grad_()
    found = transducer_sum.full(single, said, frames)
    torch.testing.assert_close(found.double(), want, rtol=1e-5, atol=0)
    (grad,) = torch.autograd.grad(found.sum(), single)
    assert bool(grad.isfinite().all()) and bool(grad.any())


def reference(scores: Tensor, said: list[int]) -> Tensor:
    """Graves 2012, eq. 16-18 for one utterance, (T, U + 1, V + 1) log-probabilities, place after place."""
    ways: dict[tuple[int, int], Tensor] = {}
    for t in range(len(scores)):
        for u in range(len(said) + 1):
            into = [ways[t - 1, u] + scores[t - 1, u, -1]] if t else []
            into += [ways[t, u - 1] + scores[t, u - 1, said[u - 1]]] if u else []
            ways[t, u] = torch.stack(into).logsumexp(0) if into else scores.new_zeros(())
    return -(ways[len(scores) - 1, len(said)] + scores[-1, len(said), -1])


@pytest.mark.parametrize("seed", range(3))
def test_the_reference_and_its_gradient(seed: int) -> None:
    """Found by automatic differentiation there, by ways there and on here."""
    logits = padded(seed).requires_grad_()
    rows = zip(logits.log_softmax(-1), FRAMES.tolist(), unpad(SAID), strict=True)
    want = torch.stack([reference(each[:t, : len(said) + 1], said.tolist()) for each, t, said in rows])
    nats = transducer_sum.full(logits, SAID, FRAMES)
    torch.testing.assert_close(nats, want, rtol=1e-12, atol=1e-12)
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0]).double()
    grads = [torch.autograd.grad((weights * x).sum(), logits)[0] for x in (nats, want)]
    torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-12)


def test_each_frame_ends_once_and_each_symbol_is_said_once() -> None:
    scores = padded().log_softmax(-1)
    _, said, ended = transducer_sum.Alignments.apply(scores[:, :, :-1, 0], scores[..., -1], FRAMES, SAID.lengths)
    for row, (t, u) in enumerate(zip(FRAMES.tolist(), SAID.lengths.tolist(), strict=True)):
        torch.testing.assert_close(ended[row].sum(-1)[:t], torch.ones(t).double())
        torch.testing.assert_close(said[row].sum(0)[:u], torch.ones(u).double())
        assert not ended[row, t:].any() and not said[row, :, u:].any()


def parts() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(3)
    return tuple(torch.randn(4, n, 4, dtype=torch.float64, generator=g) for n in (6, 5))  # type: ignore[return-value]


@pytest.mark.parametrize(("heard_share", "said_share"), [(0.0, 0.0), (0.0, 0.25), (0.3, 0.0), (0.1, 0.25)])
def test_smoothed_is_a_mean_of_three_distributions(heard_share: float, said_share: float) -> None:
    heard, said = parts()
    nats, _ = transducer_sum.smoothed(heard, said, SAID, FRAMES, heard_share, said_share)
    for row, symbols in enumerate(SAID.lengths.tolist()):
        both = (heard[row, :, None] + said[row, None]).log_softmax(-1)
        alone = said[row].log_softmax(-1)
        usual = alone[: symbols + 1].exp().mean(0).log()
        unaided = (heard[row] + usual).log_softmax(-1)
        mix = (1 - heard_share - said_share) * both + said_share * alone + heard_share * unaided[:, None]
        want = by_hand(mix[: FRAMES[row]].numpy(), SAID.data[row, :symbols].tolist())
        assert float(nats[row]) == pytest.approx(want, rel=1e-10)


@pytest.mark.parametrize("width", [2, 3, 5])
def test_bounds_let_an_alignment_through(width: int) -> None:
    """From nothing at the first frame, up by less than the width at each, to all symbols at the last."""
    for seed in range(8):
        g = torch.Generator().manual_seed(seed)
        frames, symbols = torch.tensor([9, 5, 12]), torch.randint(0, 5, (3,), generator=g)
        symbols[0] = 7
        heard, said = (3 * torch.randn(3, n, 4, generator=g) for n in (12, 8))
        items = [torch.randint(3, (n,), generator=g) for n in symbols.tolist()]
        said_text = pad(items, None)
        _, occupied = transducer_sum.smoothed(heard, said, said_text, frames, 0.0, 0.25)
        band = transducer_sum.bounds(occupied, said_text, frames, width)
        assert band.shape == (3, 12, width) and bool((band.diff(dim=2) == 1).all())
        begin = band[..., 0]
        rises = begin.diff(dim=1)
        assert bool((begin[:, 0] == 0).all()) and int(begin.min()) == 0 and int(band.max()) <= 7
        assert bool(((rises >= 0) & (rises < width)).all())
        row = torch.arange(3)
        assert torch.equal(begin[row, frames - 1], (symbols + 1 - width).clamp(min=0))
        alone = [transducer_sum.smoothed(heard[i : i + 1, : frames[i]], said[i : i + 1, : symbols[i] + 1],
                 pad([items[i]], None), frames[i : i + 1], 0.0, 0.25)[1] for i in (0,)]  # fmt: skip
        assert torch.equal(transducer_sum.bounds(alone[0], pad([items[0]], None), frames[:1], width)[0], band[0, :9])


def test_bounds_follow_the_alignment() -> None:
    """Symbols 0 and 1 at frame 2, symbol 2 at frame 5: two numbers of symbols are enough for all but those frames."""
    heard, said = torch.full((1, 7, 4), -20.0), torch.zeros(1, 4, 4)
    heard[..., 3] = 0.0
    heard[0, 2, :2] = heard[0, 5, 2] = 40.0
    for u, symbol in enumerate([0, 1, 2, 3]):
        said[0, u] = torch.full((4,), -30.0)
        said[0, u, symbol] = said[0, u, 3] = 0.0
    _, occupied = transducer_sum.smoothed(heard, said, text([0, 1, 2]), torch.tensor([7]), 0.0, 0.0)
    band = transducer_sum.bounds(occupied, text([0, 1, 2]), torch.tensor([7]), 3)
    inside = band[0, :, 0].tolist()
    for t, (low, high) in enumerate([(0, 0), (0, 0), (0, 2), (2, 2), (2, 2), (2, 3), (3, 3)]):
        assert inside[t] <= low and high <= inside[t] + 2


def test_pruned_is_the_sum_over_alignments_inside() -> None:
    logits = padded(5)
    begin = torch.tensor([[0, 0, 1, 1, 1, 1], [0, 1, 2, 2, 2, 2], [0] * 6, [0] * 6])
    band = begin[..., None] + torch.arange(3)
    inside = logits.gather(2, band[..., None].expand(-1, -1, -1, 4))
    nats = transducer_sum.pruned(inside, SAID, FRAMES, band)
    for row, (t, u) in enumerate(zip(FRAMES.tolist(), SAID.lengths.tolist(), strict=True)):
        places = {(i, j) for i in range(t) for j in band[row, i].tolist()}
        scores = logits[row, :t].log_softmax(-1).numpy()
        assert float(nats[row]) == pytest.approx(by_hand(scores, SAID.data[row, :u].tolist(), places), rel=1e-10)


def test_pruned_by_the_full_width_is_full() -> None:
    logits = padded(6).requires_grad_()
    band = torch.arange(5).expand(4, 6, 5)
    both = transducer_sum.pruned(logits, SAID, FRAMES, band), transducer_sum.full(logits, SAID, FRAMES)
    torch.testing.assert_close(*both, rtol=1e-12, atol=1e-12)
    grads = [torch.autograd.grad(nats.sum(), logits)[0] for nats in both]
    torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-12)
