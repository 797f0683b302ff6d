"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 400.0  # seconds: what takes seconds takes minutes on a machine that is busy with other things


def wait_for(
    true: Callable[[], object], otherwise: str, logs: Callable[[], str] = str, seconds: float = PATIENCE
) -> None:
    """Until ``true()``; an AssertionError that says ``otherwise`` and ``logs()`` when that takes too long."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{otherwise} after {seconds:.0f} s {logs()}"
        time.sleep(0.2)
