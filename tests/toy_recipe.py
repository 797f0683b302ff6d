"""A recipe that doubles a size, and what the tests of recipes ask of its folder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speechunits import recipe

calls: list[dict[str, Any]] = []
fault: list[Callable[[], None]] = []


def toy(out: str, size: int, rate: float = 0.5, parts: dict[str, Any] | None = None) -> dict[str, Any]:
    """A recipe: its signature is the schema."""
    calls.append({"size": size, "rate": rate, "parts": parts})
    recipe.log_to(f"{out}/toy.log")
    logging.getLogger("speechunits.toy").info("size %d", size)
    if fault:
        fault[0]()
    Path(out, "made.txt").write_text(str(size))
    return {"double": 2 * size, "seconds": -1.0}


def files(out: Path) -> set[str]:
    return {p.name for p in out.iterdir()}


def raises(error: Exception) -> Callable[[], None]:
    def do() -> None:
        raise error

    return do
