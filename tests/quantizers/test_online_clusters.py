"""Codebooks against the paper's equations in numpy; what moves them and what must not."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from speechunits.quantizers.online_clusters import OnlineClusters
from speechunits.seq import Seq

V, D, K = 6, 5, 3


def frames(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, K, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def clusters(**arguments: float) -> OnlineClusters:
    torch.manual_seed(0)
    return OnlineClusters(V, dim=D, codebooks=K, **arguments).double()  # type: ignore[arg-type]


def update(book: OnlineClusters, *parts: torch.Tensor, step: int = 1) -> None:
    for part in parts:
        book.gather(part, book.nearest(part))
    book.on_step(step, nn.Identity())


def test_ten_updates_are_the_papers_equations() -> None:
    book = clusters()
    s, n = book.sums.numpy().copy(), book.counts.numpy().copy()
    for step in range(10):
        x = frames(7, step)  # fewer frames than codes: some codes go unchosen
        update(book, x, step=step + 1)
        for k in range(K):
            e = s[k] / n[k][:, None]  # equation 3
            chosen = [int(np.argmin([np.sum((z - c) ** 2) for c in e])) for z in x[:, k].numpy()]
            for v in range(V):
                mine = [z for z, c in zip(x[:, k].numpy(), chosen, strict=True) if c == v]
                if mine:  # equations 4 and 5
                    s[k, v] = 0.9 * s[k, v] + 0.1 * np.sum(mine, axis=0)
                    n[k, v] = 0.9 * n[k, v] + 0.1 * len(mine)
        np.testing.assert_allclose(book.sums.numpy(), s, rtol=0, atol=1e-6)
        np.testing.assert_allclose(book.counts.numpy(), n, rtol=0, atol=1e-6)
    assert (n == 1).any() and (n > 1).any()


def test_codebooks_begin_normalised_over_their_codes() -> None:
    book = clusters()
    torch.testing.assert_close(book.sums.mean(1), torch.zeros(K, D, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(book.sums.square().mean(1), torch.ones(K, D, dtype=torch.float64), rtol=0, atol=1e-3)
    assert torch.equal(book.codes, book.sums)


def test_micro_batches_choose_by_the_codebook_of_the_last_update() -> None:
    whole, parts = clusters(), clusters()
    x = frames(40, 1)
    update(whole, x)
    update(parts, x[:13], x[13:30], x[30:])
    torch.testing.assert_close(parts.sums, whole.sums, rtol=0, atol=1e-12)
    assert torch.equal(parts.counts, whole.counts)


def test_what_was_gathered_for_a_rejected_update_is_forgotten() -> None:
    book, clean = clusters(), clusters()
    book.gather(frames(9, 1), book.nearest(frames(9, 1)))
    book.forget()
    update(book, frames(9, 2))
    update(clean, frames(9, 2))
    assert torch.equal(book.sums, clean.sums) and torch.equal(book.counts, clean.counts)


def test_nothing_gathered_changes_nothing() -> None:
    book, before = clusters(), clusters()
    book.on_step(1, nn.Identity())
    assert torch.equal(book.sums, before.sums) and torch.equal(book.counts, before.counts)


def test_autocast_leaves_the_codebooks_in_float32() -> None:
    book, exact = clusters().float(), clusters().float()
    x = frames(30, 3).float()
    with torch.autocast("cpu", torch.bfloat16):
        update(book, x)
    update(exact, x)
    assert book.sums.dtype == book.counts.dtype == torch.float32
    assert torch.equal(book.sums, exact.sums)


def test_padding_has_no_code_and_batches_change_none() -> None:
    book = clusters()
    x = torch.stack([frames(8, 4), frames(8, 5)])
    codes = book(Seq(x, torch.tensor([8, 5]), Fraction(1, 50)))
    assert codes.data.shape == (2, 8, K) and (codes.data[1, 5:] == -1).all() and (codes.data[1, :5] >= 0).all()
    alone = book(Seq(x[1:, :5], torch.tensor([5]), Fraction(1, 50)))
    assert torch.equal(alone.data[0], codes.data[1, :5])


def test_dead_codes_come_back_beside_the_most_popular_one_where_asked() -> None:
    dead, alive = clusters(), clusters(revive_after=5)
    x = frames(4, 6) * 0.01  # all choose codes near the middle
    for step in range(40):
        update(dead, x, step=step)
        update(alive, x, step=step)
    used = [len(torch.unique(book.nearest(frames(500, 7) * 0.01)[:, 0])) for book in (dead, alive)]
    assert used[0] < used[1]
    assert used[1] == V and int(dead.idle.max()) == 40 and int(alive.idle.max()) < 5
    assert dead.counts[dead.idle == 40].eq(1).all()


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="at least two codes"):
        OnlineClusters(1, dim=3)
    with pytest.raises(ValueError, match="decay=1"):
        OnlineClusters(4, decay=1.0, dim=3)
