"""What can be said of sharding without other processes; two of them are in tests/distributed/test_parallelism.py."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from torch.nn.utils import get_total_norm

from speechunits.errors import UserError
from speechunits.train.lockstep import Lockstep, portable
from speechunits.train.optim import adamw
from speechunits.train.sharded import WindowFSDP
from speechunits.train.shards import Shards, on_first
from tests.train.distilled import distilled
from tests.train.tiny import Tiny, batch


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A process group of this process."""
    dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_a_model_without_blocks_is_refused() -> None:
    with pytest.raises(UserError, match=r"Tiny has no block to shard .* give trainer.strategy=ddp"):
        WindowFSDP(2).shard(Tiny())


def test_the_optimizer_moves_sharded_parameters_by_their_pieces(alone: None) -> None:
    plain, shards = nn.Parameter(torch.randn(3, 2)), Shards()
    whole = nn.Parameter(distribute_tensor(torch.randn(5, 2), init_device_mesh("cpu", (1,)), [Shard(0)]))
    assert isinstance(whole, DTensor)
    piece = shards.piece(whole)
    assert shards.piece(plain) is plain and plain not in shards and piece in shards and not isinstance(piece, DTensor)
    optimizer = adamw([("plain", plain), ("sharded", piece)], lr=0.1)
    plain.grad, whole.grad = torch.randn(3, 2), distribute_tensor(torch.randn(5, 2), whole.device_mesh, [Shard(0)])
    grads = [plain.grad, whole.grad.to_local()]
    shards.collect()
    assert whole.grad is None and torch.equal(piece.grad, grads[1])  # type: ignore[arg-type]
    torch.testing.assert_close(shards.norm([plain, piece]), get_total_norm(grads).double())
    before = on_first(whole).clone()
    optimizer.step()
    assert torch.equal(on_first(whole), piece) and not torch.equal(on_first(whole), before), "in the same memory"
    state = shards.whole_state(optimizer)
    assert torch.equal(state["state"][1]["exp_avg"], optimizer.state[piece]["exp_avg"])
    other = adamw([("plain", nn.Parameter(plain.detach().clone())), ("sharded", shards.piece(whole))], lr=0.1)
    other.load_state_dict(shards.own_state(other, state))
    for a, b in zip(other.state.values(), optimizer.state.values(), strict=True):
        assert all(torch.equal(a[name], b[name]) for name in b)


def test_without_shards_nothing_is_done() -> None:
    parameters = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))]
    parameters[0].grad = torch.tensor([3.0, 4.0])
    shards, optimizer = Shards(), torch.optim.SGD(parameters, 0.1, 0.9)
    shards.collect()
    assert float(shards.norm(parameters)) == 5
    optimizer.step()
    state = shards.whole_state(optimizer)
    torch.testing.assert_close(state, optimizer.state_dict())
    assert shards.own_state(optimizer, state) == state


def test_a_silent_pass_leaves_nothing_behind() -> None:
    model = distilled(dropout=0.4).train()
    modes = {name: module.training for name, module in model.named_modules()}
    lockstep, state = Lockstep(model, 3), torch.get_rng_state()
    with lockstep._silent():
        sum(term.num for term in model.terms(batch(0)).values()).backward()  # type: ignore[union-attr]
        assert model.encoder.encoder.training and not model.encoder.training, "layers are skipped as by the others"
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert model.objectives["units"].target.quantizer._gathered is None and model.objectives["units"]._used is None


def test_layers_to_skip_are_drawn_from_run_and_window() -> None:
    model, device = distilled(dropout=0.5), torch.device("cpu")
    lockstep = Lockstep(model, seed=3)

    def drawn(window: int) -> list[bool]:
        passes = list(lockstep.passes([batch(0)], window, device))
        assert [weight for _, weight in passes] == [1.0]
        return (torch.rand(20, generator=lockstep.draws) < 0.5).tolist()

    first = drawn(1)
    torch.rand(3)
    assert drawn(1) == first != drawn(2)
    assert Lockstep(model, seed=4).draws is model.encoder.encoder.skips


def test_a_lent_batch_is_without_what_was_drawn_for_it() -> None:
    mine = batch(0)
    mine["draws"].once("heard", partial(torch.zeros, 3))
    lent = portable(mine)
    assert lent["draws"].memo == {} and lent["draws"].ids == mine["draws"].ids and mine["draws"].memo
    assert torch.equal(lent["audio"].data, mine["audio"].data)
