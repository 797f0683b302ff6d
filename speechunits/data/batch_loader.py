"""BatchLoader: a DataLoader over planned batches that keeps count of what cannot be read."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader

from speechunits.data.batch_dataset import BatchDataset, Loaded, Planned
from speechunits.errors import UserError

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class BatchLoader:
    """Iterates over batch dicts, the same ones with any number of workers.

    Args:
        dataset: what loads them.
        planned: the batches in order; iterated anew each time, so that it may change between epochs.
        num_workers: loader processes; 0 loads in this one.
        max_bad: how many different utterances may be unreadable before a UserError. A batch that loses all of its cuts
            holds one borrowed cut. None: no limit; such a batch is left out (unit extraction, which lists ``bad``).

    Attributes:
        bad: cut id -> reason, of all utterances that could not be read so far.
    """

    def __init__(
        self,
        dataset: BatchDataset,
        planned: Iterable[Planned],
        num_workers: int = 0,
        max_bad: int | None = None,
    ) -> None:
        self.dataset, self.planned, self.max_bad = dataset, planned, max_bad
        self.bad: dict[str, str] = {}
        self._loader = DataLoader(
            dataset,
            sampler=planned,
            batch_size=None,
            num_workers=num_workers,
            collate_fn=_as_it_is,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=num_workers > 0,
            worker_init_fn=_begin_worker,
        )

    def __len__(self) -> int:
        return len(self.planned)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (batch for _, batch in self.numbered())

    def numbered(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each batch with its number among the planned ones."""
        for number, loaded in enumerate(self._loader):
            self._count(loaded)
            if loaded.batch["ids"]:
                yield number, loaded.batch

    def _count(self, loaded: Loaded) -> None:
        for cut_id, reason in loaded.bad.items():
            if cut_id not in self.bad:
                self.bad[cut_id] = reason
                log.warning("skipped the unreadable utterance %s (%d so far): %s", cut_id, len(self.bad), reason)
        if loaded.refused is not None:
            raise UserError(loaded.refused)
        if self.max_bad is None:
            return
        cut_id, reason = next(reversed(self.bad.items()), ("", ""))
        if len(self.bad) > self.max_bad:
            raise UserError(
                f"{len(self.bad)} utterances cannot be read, more than max_bad = {self.max_bad} (the last: {cut_id}: "
                f"{reason}); mend the corpus or raise max_bad"
            )
        if not loaded.batch["ids"]:
            raise UserError(
                f"no utterance of a batch can be read, nor any of its spares (the last: {cut_id}: {reason}); "
                "mend the corpus"
            )


def _as_it_is(loaded: Any) -> Any:
    return loaded


def _begin_worker(worker: int) -> None:
    """Let this process end by the one that it loads for, and by no signal of anyone else.

    A scheduler that stops a job signals every process of it, and the one that trains needs its workers until its update
    is done and saved.
    """
    torch.set_num_threads(1)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    threading.Thread(target=_until_told, daemon=True).start()


def _until_told() -> None:
    trains = multiprocessing.parent_process()
    while trains is not None and signal.sigwaitinfo(_SIGNALS).si_pid != trains.pid:
        pass
    os._exit(0)
