"""LoaderStarvation: the device waits for data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from speechunits.train.alarms.alarm import Alarm


class LoaderStarvation(Alarm):
    """The share of time spent waiting for the loader, over a stretch of training; what happened before is forgotten then.

    The first row of figures does not count: loader workers start then.

    Args:
        share: more than this is starvation.
        seconds: of one stretch, at least.
    """

    name = "loader_starvation"
    advice = (
        "Try: more data.num_workers (their number changes nothing but speed), audio on a local disk, no resampling on the fly, "
        "longer batches (data.max_seconds)"
    )

    def __init__(self, share: float = 0.3, seconds: float = 60.0) -> None:
        super().__init__()
        self.share, self.seconds = share, seconds
        self._waited = self._elapsed = 0.0

    def look(self, figures: Mapping[str, float], module: Any) -> str | None:
        if module.rows == 1:
            return None
        self._waited += figures["train/loader_wait"] * module.elapsed
        self._elapsed += module.elapsed
        if self._elapsed < self.seconds:
            return None
        waited, elapsed = self._waited, self._elapsed
        self._waited = self._elapsed = 0.0
        if waited <= self.share * elapsed:
            return None
        return f"{waited / elapsed:.0%} of the last {elapsed:.0f} s went into waiting for the loader"
