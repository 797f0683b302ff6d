"""LoaderClock: the seconds that training waited for its loader."""

from __future__ import annotations

import time

from lightning.pytorch.profilers import Profiler


class LoaderClock(Profiler):
    """Lightning announces every wait for the next window to its profiler; this one adds them up in ``waited``."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = 0.0
        self._since = 0.0

    def start(self, action_name: str) -> None:
        if action_name.endswith("train_dataloader_next"):
            self._since = time.perf_counter()

    def stop(self, action_name: str) -> None:
        if action_name.endswith("train_dataloader_next"):
            self.waited += time.perf_counter() - self._since
