"""The recogniser's encoder, for every kind of block: batches, streams, early stops, skipped blocks, chunks in training."""

from __future__ import annotations

import copy
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from speechunits.encoders.block_encoder import BlockEncoder
from speechunits.heads.ctc import CTC
from speechunits.nn.conformer import ConformerBlock
from speechunits.nn.conv1d_subsampling import Conv1dSubsampling
from speechunits.nn.ebranchformer import EBranchformerBlock
from speechunits.nn.transformer_block import TransformerBlock
from speechunits.seq import Seq, pad, unpad

HOP = Fraction(1, 25)
BLOCKS = {
    "transformer": partial(TransformerBlock, 24, init=0.2),
    "conformer": partial(ConformerBlock, 24, 7),
    "conformer-causal": partial(ConformerBlock, 24, 7, causal=True),
    "ebranchformer": partial(EBranchformerBlock, 24, 20, 7, 5),
    "ebranchformer-causal": partial(EBranchformerBlock, 24, 20, 7, 5, causal=True),
}
every_block = pytest.mark.parametrize("kind", BLOCKS)


def make(kind: str, block: dict | None = None, **arguments) -> BlockEncoder:
    inside = {"dropout": 0.0, "attention_dropout": 0.0, **(block or {})}
    settings = {"depth": 3, "dim": 16, "heads": 2, "dropout": 0.0, **arguments}
    encoder = BlockEncoder(partial(BLOCKS[kind], **inside), **settings).double()
    for name, p in encoder.named_parameters():
        if name.endswith("conv.conv.weight"):  # gates start open, which would hide their convolutions
            torch.nn.init.normal_(p, std=0.5)
    return encoder


def frames(*lengths: int) -> Seq:
    x = pad([torch.randn(n, 16, dtype=torch.float64) for n in lengths], HOP)
    return x.with_data(torch.where(x.valid[..., None], x.data, torch.nan))  # whatever the padding holds


def whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> None:
    for one, other in zip(a, b, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@every_block
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("chunk", [None, 4])
def test_batching_changes_no_layer(kind: str, chunk: int | None, train: bool) -> None:
    encoder, x = make(kind, chunk=chunk, left=5).train(train), frames(23, 9, 1)
    batch = encoder(x)
    assert batch.state is None and all(bool(layer.isfinite().all()) for layer in batch.layers)
    for i, item in enumerate(unpad(x)):
        alone = encoder(pad([item], HOP))
        same([a[i, : len(item)] for a in batch.layers], [b[0] for b in alone.layers])
        same([unpad(batch.final)[i]], unpad(alone.final))


@every_block
@pytest.mark.parametrize("left", [None, 0, 3, 9])
@pytest.mark.parametrize("chunks", [1, 2])
@pytest.mark.parametrize("depth", [None, 2])
def test_a_stream_gives_what_the_whole_gives(kind: str, left: int | None, chunks: int, depth: int | None) -> None:
    """Chunk by chunk or by two, utterances of unequal lengths, one shorter than a chunk: every layer of every frame."""
    encoder, x = make(kind, chunk=4, left=left).eval(), frames(22, 16, 3)
    at_once = encoder(x, depth=depth)
    state, layers, finals = encoder.begin(), [], []
    for start in range(0, 22, 4 * chunks):
        end = min(22, start + 4 * chunks)
        piece = Seq(x.data[:, start:end], (x.lengths - start).clamp(0, end - start), HOP)
        hidden = encoder(piece, state=state, depth=depth)
        state = hidden.state
        layers.append(hidden.layers)
        finals.append(hidden.final.data)
    assert state.frames == 22
    for joined, layer in zip((torch.cat(each, 1) for each in zip(*layers, strict=True)), at_once.layers, strict=True):
        same([joined[x.valid]], [layer[x.valid]])
    same([torch.cat(finals, 1)[x.valid]], [at_once.final.data[x.valid]])


def test_a_stream_of_units_gives_the_scores_of_the_whole() -> None:
    """As a recogniser hears them: subsampled by 3, in chunks of 2 frames, with a CTC head."""
    subsampling = Conv1dSubsampling(16, (3, 5), (1, 3), dim_in=16).double()
    encoder, head, x = make("conformer", chunk=2, left=3).eval(), CTC(dim=16, vocab=(5,)).double(), frames(25, 14)
    at_once = head.scores(encoder(subsampling(x)).final)
    before, state, scores = None, encoder.begin(), []
    for start in range(0, 25, 6):
        piece = Seq(x.data[:, start : start + 6], (x.lengths - start).clamp(0, min(6, 25 - start)), HOP)
        heard, before = subsampling.stream(piece, before)
        hidden = encoder(heard, state=state)
        state = hidden.state
        scores.append(head.scores(hidden.final).data)
    same([torch.cat(scores, 1)[at_once.valid]], [at_once.data[at_once.valid]])
    assert at_once.lengths.tolist() == [9, 5] and at_once.hop == 3 * HOP


@every_block
def test_memory_of_a_stream_is_bounded(kind: str) -> None:
    encoder = make(kind, chunk=4, left=6).eval()
    state, sizes = encoder.begin(), []
    for _ in range(6):
        state = encoder(frames(4), state=state).state
        sizes.append(sum(tensor.numel() for past in state.past for tensor in past))
    assert sizes[0] < sizes[1] == sizes[2] == sizes[5]


def test_only_the_last_piece_may_be_of_another_length() -> None:
    encoder = make("conformer", chunk=4).eval()
    state = encoder(frames(6), state=encoder.begin()).state
    with pytest.raises(ValueError, match="6 frames went before, not a multiple of the 4"):
        encoder(frames(4), state=state)


def test_whole_utterances_and_streams_share_weights() -> None:
    encoder, x = make("conformer").eval(), frames(20)
    with pytest.raises(ValueError, match="chunk is null"):
        encoder.begin()
    assert encoder.left_context is None and encoder.right_context is None
    offline = encoder(x).final.data
    encoder.chunk = 4
    assert encoder.begin().frames == 0 and not torch.allclose(encoder(x).final.data, offline)
    encoder.chunk = 20
    torch.testing.assert_close(encoder(x).final.data, offline)


@every_block
def test_hears_no_further_than_it_says(kind: str) -> None:
    encoder = make(kind, depth=2, chunk=3, left=2).eval()
    x = torch.randn(1, 60, 16, dtype=torch.float64, requires_grad=True)
    for at in (45, 46, 47):
        (grad,) = torch.autograd.grad(encoder(Seq(x, torch.tensor([60]), HOP)).final.data[0, at].square().sum(), x)
        heard = grad[0].abs().sum(-1).nonzero()
        assert at - encoder.left_context <= int(heard.min()) and int(heard.max()) <= at + encoder.right_context
        assert int(heard.max()) == 47


@every_block
@pytest.mark.parametrize("train", [False, True])
def test_mixed_precision_stays_near(kind: str, train: bool) -> None:
    encoder, x = make(kind, chunk=4, left=4).float().train(train), frames(9, 6)
    x = x.to(torch.float32)
    full = encoder(x).final.data
    with torch.autocast("cpu", torch.bfloat16):
        state, mixed = encoder.begin(), []
        for start in (0, 4, 8):
            piece = x.data[:, start : start + 4]
            hidden = encoder(Seq(piece, (x.lengths - start).clamp(0, piece.size(1)), HOP), state=state)
            state = hidden.state
            mixed.append(hidden.final.data.float())
    torch.testing.assert_close(torch.cat(mixed, 1)[x.valid], full[x.valid], rtol=0, atol=0.15)


@every_block
def test_stopping_early_gives_the_layers_of_the_full_run(kind: str) -> None:
    encoder, x = make(kind).eval(), frames(12, 5)
    full = encoder(x)
    assert len(full.layers) == 4 and torch.equal(full.final.data, encoder.norm(full.layers[-1]))
    for depth in (1, 2, 3):
        early = encoder(x, depth=depth)
        assert len(early.layers) == depth + 1
        assert torch.equal(early.final.data, full.layers[depth]) and torch.equal(early.layers[-1], full.layers[depth])


@every_block
def test_every_weight_learns_and_blocks_may_be_sharded(kind: str) -> None:
    encoder, x = make(kind, chunk=4), frames(12, 5)
    assert sum(getattr(m, "shardable", False) for m in encoder.modules()) == 3
    encoder(x).final.data[x.valid].pow(3).sum().backward()
    assert [n for n, p in encoder.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())] == []
    assert [n for n, p in encoder.named_parameters() if not bool(p.grad.any())] == []


@every_block
def test_sharded_blocks_compute_the_same(kind: str, tmp_path: Path) -> None:
    """By FSDP2 in a process group of this process; two of them are in tests/distributed."""
    encoder, x = make(kind, chunk=4), frames(12, 5)
    sharded = copy.deepcopy(encoder)
    dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    try:
        for block in [module for module in sharded.modules() if getattr(module, "shardable", False)]:
            fully_shard(block, mesh=init_device_mesh("cpu", (1,)))
        finals = [each(x).final.data for each in (encoder, sharded)]
        for final in finals:
            final[x.valid].pow(3).sum().backward()
        same([finals[0]], [finals[1].detach()])
        same([p.grad for p in encoder.parameters()], [whole(p.grad) for p in sharded.parameters()])
    finally:
        dist.destroy_process_group()


def test_gradients_are_those_of_differences() -> None:
    encoder = make("ebranchformer", depth=1, dim=4, chunk=2)
    x = torch.randn(1, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: encoder(Seq(x, torch.tensor([4]), HOP)).final.data[:, :4], (x,))


@every_block
def test_layerdrop_skips_whole_blocks_in_training_only(kind: str) -> None:
    encoder, x = make(kind, layerdrop=1.0), frames(9)
    dropped = encoder.train()(x).layers
    assert len(dropped) == 4 and all(torch.equal(layer, dropped[0]) for layer in dropped)
    assert not torch.equal(encoder.eval()(x).layers[1], dropped[0])


def test_layers_to_skip_may_be_drawn_by_a_generator_that_ranks_share() -> None:
    one, other = make("conformer", layerdrop=0.5), make("conformer", layerdrop=0.5)
    x, chosen = frames(9), []
    for encoder in (one, other):
        encoder.skips = torch.Generator().manual_seed(7)
        chosen.append([torch.equal(a, b) for _ in range(10) for a, b in pairwise(encoder(x).layers)])
    assert chosen[0] == chosen[1] and 5 < sum(chosen[0]) < 25


@every_block
def test_recomputed_blocks_have_the_same_gradients(kind: str) -> None:
    noise = {"dropout": 0.3, "attention_dropout": 0.2}
    encoder, x = make(kind, block=noise, dropout=0.1, layerdrop=0.2, chunk=4), frames(12, 5)
    found = []
    for recompute in (False, True):
        encoder.recompute = recompute
        encoder.zero_grad()
        torch.manual_seed(5)
        encoder(x).final.data.square().sum().backward()
        found.append([None if p.grad is None else p.grad.clone() for p in encoder.parameters()])
    assert all(a is b is None or torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_chunks_take_turns_by_update_and_a_resumed_run_goes_on() -> None:
    encoder, x = make("conformer", chunk=5, chunks=[None, 2, 4]), frames(11, 6)
    expected = {chunk: None for chunk in (None, 2, 4, 5)}
    reference = copy.deepcopy(encoder).eval()
    for chunk in expected:
        reference.chunk = chunk
        expected[chunk] = reference(x).final.data
    for step, chunk in enumerate([None, 2, 4, None, 2], 1):
        for _ in range(2):  # micro-batches of one update
            assert torch.equal(encoder.train()(x).final.data, expected[chunk])
        assert torch.equal(encoder.eval()(x).final.data, expected[5])
        encoder.on_step(step, encoder)
    resumed = make("conformer", chunk=5, chunks=[None, 2, 4])
    resumed.load_state_dict(encoder.state_dict())
    assert torch.equal(resumed.train()(x).final.data, expected[4])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"chunk": 0}, "a chunk has a frame at least"),
        ({"chunks": [4, 0]}, "a chunk has a frame at least"),
        ({"left": -1}, "left=-1"),
        ({"heads": 3}, "16 does not divide into 3 heads"),
        ({"dim": 6, "heads": 2}, "heads of 3 features"),
    ],
)
def test_impossible_numbers_are_refused(arguments: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make("conformer", **arguments)
