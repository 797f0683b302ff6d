"""Both kinds of subsampling: the published stack, lengths known before, and that neither batch nor pieces show."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

import pytest
import torch
from torch import nn

from speechunits.nn.conv1d_subsampling import Conv1dSubsampling
from speechunits.nn.conv2d_subsampling import Conv2dSubsampling
from speechunits.seq import Seq, pad, unpad

BANDS, HOP = 11, Fraction(1, 100)
KINDS = {
    "conv1d1": (partial(Conv1dSubsampling, 6, (3, 3), (1, 1)), 1),
    "conv1d2": (partial(Conv1dSubsampling, 6), 2),
    "conv1d3": (partial(Conv1dSubsampling, 6, (3, 5), (1, 3)), 3),
    "conv2d": (partial(Conv2dSubsampling, 6), 4),
    "conv2d8": (partial(Conv2dSubsampling, 6, 3), 8),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def make(kind: str) -> tuple[nn.Module, int]:
    part, factor = KINDS[kind]
    bands = 15 if kind == "conv2d8" else BANDS
    return part(dim_in=bands).double(), factor


def frames(part: nn.Module, *lengths: int) -> Seq:
    bands = 15 if part.factor == 8 else BANDS
    x = pad([torch.randn(n, bands, dtype=torch.float64) for n in lengths], HOP)
    return x.with_data(torch.where(x.valid[..., None], x.data, torch.nan))  # whatever the padding holds


@every_kind
def test_is_the_unpadded_stack_of_convolutions(kind: str) -> None:
    part, factor = make(kind)
    stack = nn.Sequential(*[step for conv in part.convs.layers for step in (conv, nn.ReLU())])
    x = frames(part, 41).data
    skipped = -(-part.left_context // factor)  # the first frame that hears no zeros
    heard = x[:, skipped * factor - part.left_context :]
    if isinstance(part, Conv1dSubsampling):
        theirs = part.linear(stack(heard.transpose(1, 2)).transpose(1, 2))
    else:
        theirs = part.linear(stack(heard[:, None]).transpose(1, 2).flatten(2))
    ours = part(Seq(x, torch.tensor([41]), HOP)).data[:, skipped:]
    torch.testing.assert_close(ours[:, : theirs.size(1)], theirs, rtol=0, atol=1e-12)
    assert theirs.size(1) >= 3 and ours.size(1) - theirs.size(1) in (0, 1)  # the last group may lack frames


@every_kind
def test_hop_and_lengths_are_known_before(kind: str) -> None:
    part, factor = make(kind)
    x = frames(part, 17, 16, 1, 9)
    y = part(x)
    assert y.hop == HOP * factor and part.factor == factor and part.right_context == factor - 1
    assert y.data.shape == (4, -(-17 // factor), part.dim) == (4, int(part.frames(x.lengths).max()), 6)
    assert y.lengths.tolist() == part.frames(x.lengths).tolist() == [-(-n // factor) for n in (17, 16, 1, 9)]
    assert part(Seq(x.data, x.lengths, None)).hop is None


@every_kind
def test_batching_changes_no_frame(kind: str) -> None:
    part, _ = make(kind)
    x = frames(part, 33, 1, 10, 18)
    for together, item in zip(unpad(part(x)), unpad(x), strict=True):
        torch.testing.assert_close(together, unpad(part(pad([item], HOP)))[0], rtol=0, atol=1e-12)


@every_kind
def test_hears_as_far_as_it_says(kind: str) -> None:
    part, factor = make(kind)
    x = torch.randn(1, 64, 15 if factor == 8 else BANDS, dtype=torch.float64, requires_grad=True)
    at = 64 // factor // 2
    part(Seq(x, torch.tensor([64]), HOP)).data[:, at].square().sum().backward()
    heard = x.grad.abs().sum(2)[0].nonzero()
    assert heard.min() >= factor * at - part.left_context and heard.max() <= factor * at + part.right_context
    assert heard.max() - heard.min() >= part.left_context  # no more than it needs, but for a dead ReLU


@every_kind
@pytest.mark.parametrize("groups", [1, 2, 5])
def test_pieces_give_the_whole(kind: str, groups: int) -> None:
    part, factor = make(kind)
    x, step = frames(part, 37, 20, 5), groups * factor
    state, pieces = None, []
    for start in range(0, 37, step):
        piece = Seq(x.data[:, start : start + step], (x.lengths - start).clamp(0, step), HOP)
        y, state = part.stream(piece, state)
        assert y.lengths.tolist() == part.frames(piece.lengths).tolist()
        pieces.append(y.data)
    whole = part(x)
    for a, b in zip(unpad(whole), unpad(whole.with_data(torch.cat(pieces, 1))), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@every_kind
def test_every_weight_learns(kind: str) -> None:
    part, _ = make(kind)
    y = part(frames(part, 40, 21))
    y.data[y.valid].square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all() and p.grad.any()) for p in part.parameters())


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="2 kernels and 1 strides"):
        Conv1dSubsampling(6, (3, 3), (2,), dim_in=4)
    with pytest.raises(ValueError, match="stride of 3 would leave frames unheard"):
        Conv1dSubsampling(6, (2,), (3,), dim_in=4)
    with pytest.raises(ValueError, match="6 bands cannot be halved 2 times"):
        Conv2dSubsampling(6, dim_in=6)
