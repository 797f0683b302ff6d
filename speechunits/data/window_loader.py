"""WindowLoader: training batches, one accumulation window at a time, from any place of any epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from socket import gethostname
from typing import Any

from speechunits.data.batch_dataset import BatchDataset, Planned
from speechunits.data.batch_loader import BatchLoader
from speechunits.data.batch_plan import BatchPlan
from speechunits.data.mixture import Mixed


@dataclass
class Position:
    """The next window to train on. Windows that workers have loaded ahead are not counted."""

    epoch: int = 0
    window: int = 0


class WindowLoader:
    """Iterates over the rest of ``position.epoch``: lists of ``plan.accumulate`` batch dicts, one list per update.

    ``len`` is that of a whole epoch, also when iteration starts in the middle of one (what Lightning expects).
    ``advance`` moves the position past the window handed out last; asking for the next window does so too, but
    checkpoints are written before that.

    Args:
        dataset, num_workers, max_bad: see BatchLoader. plan: see BatchPlan. rank: of this process.
        position: shared with the owner, who saves it.
        mixed: which cuts the numbers of the plan stand for; None: the plan's numbers are those of the cuts.
    """

    def __init__(
        self,
        dataset: BatchDataset,
        plan: BatchPlan,
        position: Position,
        rank: int = 0,
        num_workers: int = 0,
        max_bad: int | None = None,
        mixed: Mixed | None = None,
    ) -> None:
        self.plan, self.position = plan, position
        self.batches = BatchLoader(dataset, _Rest(plan, position, rank, mixed), num_workers, max_bad)
        self._handed: tuple[int, int] | None = None

    def __len__(self) -> int:
        return self.plan.windows

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        epoch, window = self.position.epoch, self.position.window
        collected: list[dict[str, Any]] = []
        for batch in self.batches:
            collected.append(batch)
            if len(collected) == self.plan.accumulate:
                self._handed = (epoch, window)
                yield collected
                self.advance()
                collected, window = [], window + 1

    def advance(self) -> None:
        """The window handed out last has been trained on. Calling it again before the next one changes nothing."""
        if self._handed is not None:
            epoch, window = self._handed
            last = window + 1 == len(self)
            self.position.epoch, self.position.window = (epoch + 1, 0) if last else (epoch, window + 1)


class _Rest:
    """The planned batches of one rank from a position to the end of its epoch."""

    def __init__(self, plan: BatchPlan, position: Position, rank: int, mixed: Mixed | None) -> None:
        self.plan, self.position, self.rank, self.mixed = plan, position, rank, mixed

    def __len__(self) -> int:
        return self.plan.windows * self.plan.accumulate

    def __iter__(self) -> Iterator[Planned]:
        first = self.position.window
        epoch = self.plan.epoch(self.position.epoch)
        mixed = None if self.mixed is None else self.mixed.epoch(epoch.epoch)
        mine = f"rank {self.rank} on {gethostname()}, epoch {epoch.epoch}"
        for window in range(first, len(epoch)):
            for micro in range(self.plan.accumulate):
                batch, spares = (f(window, micro, self.rank) for f in (epoch.batch, epoch.spares))
                visits = None
                if mixed is not None:  # the plan counts places in the mixture
                    visits = tuple(mixed[1][batch].tolist())
                    batch, spares = mixed[0][batch], mixed[0][spares]
                place = f"{mine}, window {window}, batch {micro} of it"
                yield Planned(epoch.epoch, tuple(batch.tolist()), tuple(spares.tolist()), place, visits)
