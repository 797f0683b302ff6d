"""Reservoir: a bounded uniform sample of all frames that depends neither on their order nor on the ranks."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from speechunits import ranks
from speechunits.errors import UserError

EXCHANGE = 4096  # frames that travel between ranks at once


def _hash(seed: int, purpose: str, utterance: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{purpose}/{utterance}".encode(), digest_size=8).digest(), "little")


def in_share(utterance: str, share: float, seed: int) -> bool:
    """Whether an utterance belongs to the ``share`` (0..1) of all utterances that ``seed`` draws.

    A recipe asks before it encodes (HuBERT's ``--percent 0.1``); the larger share contains the smaller.
    """
    return _hash(seed, "share", utterance) < share * 2**64


def frame_keys(utterance: str, frames: int, seed: int) -> np.ndarray:
    """One 63-bit random key per frame, (T,) int64, a function of seed, utterance and frame index only.

    Source: SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators").
    """
    z = np.arange(1, frames + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(_hash(seed, "frames", utterance))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)


class Reservoir:
    """Keeps the ``capacity`` frames with the smallest keys (bottom-k sampling, Cohen and Kaplan 2007).

    Memory: at most 1.25 * capacity frames while it fills and 2.13 * capacity + 2 * ``EXCHANGE`` in ``merged``, float32,
    and some 40 bytes per frame for keys and their order (per rank in ``merged``), whatever passes by.

    Args:
        capacity: frames kept.
        device: where they are kept.
    """

    def __init__(self, capacity: int, device: torch.device) -> None:
        self.capacity = capacity
        self.device = device
        self.room = capacity + capacity // 8 + 1  # sorting out once per eighth keeps the cost per frame constant
        self.keys = np.empty(self.room, dtype=np.int64)
        self.frames: Tensor | None = None
        self.held = 0
        self.limit = np.iinfo(np.int64).max

    def add(self, keys: np.ndarray, frames: Tensor) -> None:
        """Offer frames (N, D) with their keys (N,)."""
        if self.frames is None:
            self.frames = torch.empty(self.room, frames.size(1), device=self.device)
        wanted = np.flatnonzero(keys < self.limit)
        while len(wanted):
            now, wanted = np.split(wanted, [self.room - self.held])
            end = self.held + len(now)
            self.keys[self.held : end] = keys[now]
            self.frames[self.held : end] = frames[torch.from_numpy(now).to(frames.device)].to(self.device)
            self.held = end
            if self.held == self.room:
                self.compact()

    def compact(self) -> None:
        """Leave only the frames that are sure to be wanted, in the first ``capacity`` places."""
        if self.held <= self.capacity or self.frames is None:
            return
        keep = np.zeros(self.held, dtype=bool)
        keep[np.argpartition(self.keys[: self.held], self.capacity - 1)[: self.capacity]] = True
        free = np.flatnonzero(~keep[: self.capacity])
        late = np.flatnonzero(keep[self.capacity :]) + self.capacity
        self.keys[free] = self.keys[late]
        self.frames[torch.from_numpy(free).to(self.device)] = self.frames[torch.from_numpy(late).to(self.device)]
        self.held = self.capacity
        self.limit = int(self.keys[: self.held].max())

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint needs of this rank: keys (n,) and frames (n, D)."""
        self.compact()
        out = {"keys": torch.from_numpy(self.keys[: self.held])}
        return out if self.frames is None else {**out, "frames": self.frames[: self.held]}

    def merged(self) -> Tensor:
        """The sample over all ranks, (n, D) in the order of the keys, which is random; the same on every rank.

        Raises:
            UserError: two frames share a key, which means that an utterance id came twice.
        """
        self.compact()
        dim = 0 if self.frames is None else self.frames.size(1)
        table = ranks.gather_numbers([self.held, dim], self.device)
        dim = max(d for _, d in table)
        keys = []
        for source, (held, _) in enumerate(table):
            own = self.keys[:held] if source == ranks.rank() else np.empty(held, dtype=np.int64)
            keys.append(ranks.broadcast(torch.from_numpy(own).to(self.device), source).cpu().numpy())
        joined = np.concatenate(keys)
        order = np.argsort(joined)[: self.capacity]
        if (np.diff(joined[order]) == 0).any():
            raise UserError(
                "an utterance id occurs twice in one pass over the features: make the ids of the manifest unique and "
                "let the batch plan visit each utterance once"
            )
        place = np.full(len(joined), -1, dtype=np.int64)
        place[order] = np.arange(len(order))
        out = torch.empty(len(order), dim, device=self.device)
        for source, at in enumerate(np.split(place, np.cumsum([held for held, _ in table])[:-1])):
            rows = np.flatnonzero(at >= 0)
            for part in np.split(rows, range(EXCHANGE, len(rows), EXCHANGE)):
                if source == ranks.rank() and self.frames is not None:
                    some = self.frames[torch.from_numpy(part).to(self.device)]
                else:
                    some = torch.empty(len(part), dim, device=self.device)
                out[torch.from_numpy(at[part]).to(self.device)] = ranks.broadcast(some, source)
        return out
