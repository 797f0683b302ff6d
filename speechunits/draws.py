"""Draws: every random decision about an utterance, seeded by (seed, epoch, cut id, purpose) and by nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Draws:
    """The randomness of one batch. Rank, worker, batch index and batch-mates never enter it.

    Args:
        ids: B cut ids.
        seed: the run's seed.
        epoch: epoch of the batch plan; validation uses -1, so that its masks are the same each time.
        scope: begins every purpose, so that two parts with one purpose (two noisy views) draw apart.
        memo: what was drawn already, so that counting before a forward pass and the pass itself draw once.
    """

    ids: tuple[str, ...]
    seed: int = 0
    epoch: int = 0
    scope: str = ""
    memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def generator(self, index: int, purpose: str) -> np.random.Generator:
        """A fresh generator for utterance ``index`` of this batch and one ``purpose`` ("mask", "crop", "noise")."""
        key = f"{self.seed}\0{self.epoch}\0{self.ids[index]}\0{self.scope}{purpose}".encode()
        return np.random.Generator(
            np.random.PCG64(int.from_bytes(hashlib.blake2b(key, digest_size=16).digest(), "little"))
        )

    def generators(self, purpose: str) -> list[np.random.Generator]:
        return [self.generator(i, purpose) for i in range(len(self.ids))]

    def scoped(self, name: str) -> Draws:
        """The same utterances, seed and epoch for a part called ``name``."""
        return replace(self, scope=f"{self.scope}{name}/", memo={})

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """``make()`` the first time ``key`` is asked for in this batch, the same result afterwards."""
        if key not in self.memo:
            self.memo[key] = make()
        return self.memo[key]

    def to(self, *args: Any, **kwargs: Any) -> Draws:
        """Nothing to move: draws are made on the CPU."""
        return self


def draws(ids: Sequence[str], seed: int = 0, epoch: int = 0) -> Draws:
    return Draws(tuple(ids), seed, epoch)
