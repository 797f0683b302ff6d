"""Lockstep: where blocks are sharded, every rank passes through the same blocks equally often."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from lightning.fabric.utilities.apply_func import move_data_to_device
from torch import nn

from speechunits import ranks
from speechunits.draws import Draws
from speechunits.protocols import Batch


class Lockstep:
    """A sharded block is gathered from all ranks in each forward and backward pass, and waits for those that do not come.

    So a rank with fewer micro-batches than another makes *silent* passes: of a batch that it has, else of one that another
    rank lends it, in evaluation mode and with weight 0. They draw no random number, leave nothing behind in codebooks and
    figures, and add zeros to gradients. And layers that training skips are skipped by all ranks at once: modules with a
    ``layerdrop`` draw from one generator, seeded for each window, so that a resumed run draws the same again.

    Args:
        model: with its sharded blocks.
        seed: of the run, the same on all ranks.
    """

    def __init__(self, model: nn.Module, seed: int) -> None:
        self.model, self.seed = model, seed
        self.draws = torch.Generator()
        self.skipping: list[Any] = [module for module in model.modules() if hasattr(module, "layerdrop")]
        for module in self.skipping:
            module.skips = self.draws

    def passes(self, batches: Sequence[Batch], window: int, device: torch.device) -> Iterator[tuple[Batch, float]]:
        """The micro-batches of this rank with weight 1, then silent ones with weight 0; equally many on every rank.

        Args:
            window: number of the window in this run.
        """
        self.draws.manual_seed((self.seed * 2**32 + window) % 2**63)
        counts = [count for (count,) in ranks.gather_numbers([len(batches)], device)]
        most = max(counts)
        spare = batches[0] if batches else None
        if min(counts) == 0 and most:
            lent = ranks.lend(portable(spare) if counts[ranks.rank()] == most else None, counts.index(most))
            spare = spare or move_data_to_device(lent, device)
        for batch in batches:
            yield batch, 1.0
        for _ in range(most - len(batches)):
            assert spare is not None
            with self._silent():
                yield spare, 0.0

    @contextlib.contextmanager
    def _silent(self) -> Iterator[None]:
        """Evaluation mode, but for the skipping of layers; and back to what each module was in."""
        before = {module: module.training for module in self.model.modules()}
        self.model.eval()
        for module in self.skipping:
            module.training = before[module]
        try:
            yield
        finally:
            for module, training in before.items():
                module.training = training


def portable(batch: Batch | None) -> Batch:
    """A copy for another process: on the CPU, without what was drawn here."""
    assert batch is not None
    fresh = {name: replace(v, memo={}) if isinstance(v, Draws) else v for name, v in batch.items()}
    return move_data_to_device(fresh, torch.device("cpu"))  # type: ignore[no-any-return]
