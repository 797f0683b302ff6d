"""RanksOutOfStep: processes that should be equal are not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.distributed.tensor import DTensor

from speechunits import ranks
from speechunits.errors import UserError
from speechunits.train.alarms.alarm import Alarm

INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class RanksOutOfStep(Alarm):
    """Every rank's count of updates, place in the data and weights are compared; where they differ, training ends.

    The clock is the number of windows of this process, which collectives keep equal on all ranks whatever else goes wrong. A
    check reads the weights once and gathers a few numbers. Of sharded weights each rank holds another part, which has no
    equal to be compared with: the whole ones beside them are read.

    Args:
        every: windows between two checks.
    """

    name = "ranks_out_of_step"
    advice = (
        "Start again from the newest checkpoint. If it comes again: the same code, data and packages on every machine? "
        "a part that draws its own random numbers or keeps its own statistics? a faulty device?"
    )

    def __init__(self, every: int = 100) -> None:
        super().__init__()
        self.every = every
        self._windows = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._windows += 1
        if not ranks.met() or self._windows % self.every:
            return
        module: Any = pl_module
        data: Any = getattr(trainer, "datamodule", None)
        place = data.state_dict() if hasattr(data, "state_dict") else {}
        own = {"update": module.step, "updates left out": module.rejected}
        own |= {f"data {name}": value for name, value in place.items() if isinstance(value, int)}
        weights = [*module.model.parameters(), *module.model.buffers()]
        own["checksum of the weights"] = checksum(w for w in weights if not isinstance(w, DTensor))
        everyone = ranks.gather_numbers(list(own.values()), module.device)
        columns = dict(zip(own, zip(*everyone, strict=True), strict=True))
        if wrong := differences(columns):
            self.ring(trainer, module, wrong)
            raise UserError(f"the ranks are out of step after update {module.step}: {wrong}. {self.advice}")


@torch.no_grad()
def checksum(tensors: Iterable[Tensor]) -> int:
    """The sum of all bit patterns, modulo 2^64: any single value that differs changes it."""
    sums = [t.detach().contiguous().view(INTEGERS[t.element_size()]).sum(dtype=torch.int64) for t in tensors]
    return int(torch.stack(sums).sum())


def differences(columns: Mapping[str, Sequence[Any]]) -> str:
    """Name -> value of each rank, as "update is 7 on rank 0 and 8 on ranks 1, 2"; only what differs."""
    out = []
    for name, values in columns.items():
        by_value: dict[Any, list[int]] = {}
        for rank, value in enumerate(values):
            by_value.setdefault(value, []).append(rank)
        if len(by_value) > 1:
            parts = [f"{v} on rank{'s' if len(r) > 1 else ''} {', '.join(map(str, r))}" for v, r in by_value.items()]
            out.append(f"{name} is {' and '.join(parts)}")
    return "; ".join(out)
