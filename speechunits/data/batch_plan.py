"""BatchPlan: which cuts form which batch, a pure function that any rank can evaluate at any place of any epoch."""

from __future__ import annotations

import hashlib

import numpy as np

from speechunits.errors import UserError

WINDOWS_PER_BUCKET = 4  # fewer, and the same utterances would meet in every epoch


class BatchPlan:
    """The batches of training, for all ranks.

    An update is a *window* of ``ranks * accumulate`` batches of like length, so that no rank waits for another and
    4 ranks see exactly what 1 rank sees that accumulates 4 batches. Every rank has the same number of batches in
    every epoch. Cuts are sorted into buckets of like length and equal total time (as lhotse's dynamic bucketing),
    shuffled within them and dealt out; what does not fill a window goes on to the next longer bucket. The cuts left at
    the very end are dealt out evenly as one smaller window; if they are fewer than its batches, cuts of the window
    before are seen a second time, so that nobody is without a batch and nobody hangs.

    The plan depends on (seed, epoch, key, ranks * accumulate), the lengths and the limits, and on nothing else.

    Args:
        seconds: (N,) length of each cut as it will be loaded.
        max_seconds: most seconds of one batch on one rank, padding included.
        key: hash of the manifest.
        buckets: at most; fewer where a bucket would hold less than 4 windows.
        rows: (M,) the cuts to use, numbers into ``seconds``; None uses all.

    Raises:
        UserError: there are no cuts, or one is longer than a whole batch.
    """

    def __init__(
        self,
        seconds: np.ndarray,
        max_seconds: float,
        key: str = "",
        seed: int = 0,
        ranks: int = 1,
        accumulate: int = 1,
        buckets: int = 100,
        rows: np.ndarray | None = None,
    ) -> None:
        self.seconds = np.asarray(seconds, np.float64)
        self.rows = np.arange(len(seconds), dtype=np.int32) if rows is None else np.asarray(rows, np.int32)
        if not len(self.rows):
            raise UserError("no cut is left to train on; widen min_duration and max_duration or look at the manifest")
        if len(self.rows) < len(self.seconds) or (np.diff(self.rows) != 1).any():
            self.seconds = self.seconds[self.rows]
        if (long := int((self.seconds > max_seconds).sum())) > 0:
            raise UserError(
                f"{long} cuts are longer than max_seconds = {max_seconds:g} of a whole batch (the longest: "
                f"{self.seconds.max():.1f} s); add a Crop, set max_duration or raise max_seconds"
            )
        self.ranks, self.accumulate = ranks, accumulate
        self._seed, self._key = seed, key
        self._bucket, self._starts = self._shape(np.sort(self.seconds), max_seconds, buckets)
        self.windows = (len(self._starts) - 1) // (ranks * accumulate)  #: per epoch, the same in each
        digest = hashlib.sha256(f"{max_seconds}\0{buckets}\0{ranks * accumulate}\0{seed}\0{key}\0".encode())
        for start in range(0, len(self.rows), 1 << 20):
            digest.update(self.rows[start : start + (1 << 20)].astype(np.int64).data)
        digest.update(np.ascontiguousarray(self.seconds).data)
        self.name = digest.hexdigest()[:16]  #: plans with the same name are the same

    def _shape(self, sorted_seconds: np.ndarray, max_seconds: float, buckets: int) -> tuple[np.ndarray, np.ndarray]:
        """The bucket of each place in the sorted order, and where each batch starts: both are alike in all epochs."""
        group = self.ranks * self.accumulate
        total = np.cumsum(sorted_seconds)
        count = int(np.clip(total[-1] / (max_seconds * group * WINDOWS_PER_BUCKET), 1, buckets))
        middle = sorted_seconds / 2  # in place from here on: with 20 million cuts each array is 160 MB
        np.subtract(total, middle, out=middle)
        middle *= count
        middle /= total[-1]
        bucket = np.minimum(middle, count - 1, out=middle).astype(np.int16)  # sorted by radix
        place, starts = 0, []
        for end in (np.flatnonzero(np.diff(bucket, append=count)) + 1).tolist():
            size = int(max_seconds / sorted_seconds[end - 1] + 1e-9)
            windows = (end - place) // (group * size)
            starts.append(place + size * np.arange(windows * group))
            place += windows * group * size
        if place < len(total):
            even, odd = divmod(max(len(total) - place, group), group)
            starts.append(place + np.cumsum([0] + [even + (i < odd) for i in range(group - 1)]))
            place += even * group + odd
        return bucket, np.concatenate([*starts, [place]])

    def epoch(self, epoch: int) -> EpochPlan:
        """The batches of one epoch: some tenths of a second for a million cuts, whatever came before."""
        digest = hashlib.sha256(f"{self._seed}\0{epoch}\0{self._key}".encode()).digest()
        random = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
        # Stable sorts or unique keys only: other sorts order ties by what the processor can do. Cuts of one length
        # (a crop makes many) change places from epoch to epoch.
        drawn = self._shuffled(random)
        by_length = drawn[np.argsort(self.seconds[drawn], kind="stable")]
        places = self._shuffled(random)
        places = places[np.argsort(self._bucket[places], kind="stable")]
        group = self.ranks * self.accumulate
        if (short := int(self._starts[-1]) - len(places)) > 0:
            last = int(self._starts[-1 - group])
            places = np.concatenate([places, np.resize(places[last - short : last] if last else places, short)])
        window = np.repeat(np.arange(self.windows), np.diff(self._starts[::group]))
        window *= len(by_length)
        places = window + places
        places.sort()  # by window, and by length within each
        places -= window
        return EpochPlan(self, epoch, self.rows[by_length[places]], self._starts, random.permutation(self.windows))

    def _shuffled(self, random: np.random.Generator) -> np.ndarray:
        """``random.permutation``, the same numbers in half the memory."""
        places = np.arange(len(self.seconds), dtype=np.int32)
        random.shuffle(places)
        return places


class EpochPlan:
    """The batches of one epoch; made by ``BatchPlan.epoch``."""

    def __init__(
        self, plan: BatchPlan, epoch: int, order: np.ndarray, starts: np.ndarray, shuffled: np.ndarray
    ) -> None:
        self.plan, self.epoch = plan, epoch
        self._order, self._starts, self._shuffled = order, starts, shuffled

    def __len__(self) -> int:
        return self.plan.windows

    def batch(self, window: int, micro: int, rank: int) -> np.ndarray:
        """The cuts of micro-batch ``micro`` of update ``window`` on ``rank``: (n,) numbers, shortest first."""
        return self._order[slice(*self._range(window, micro, rank))]

    def spares(self, window: int, micro: int, rank: int, count: int = 8) -> np.ndarray:
        """Up to ``count`` other cuts of like length, to borrow from if no cut of the batch can be read."""
        start, end = self._range(window, micro, rank)
        nearby = np.concatenate([self._order[end : end + count], self._order[max(0, start - count) : start][::-1]])
        return nearby[:count]

    def _range(self, window: int, micro: int, rank: int) -> tuple[int, int]:
        plan = self.plan
        i = (int(self._shuffled[window]) * plan.accumulate + micro) * plan.ranks + rank
        return int(self._starts[i]), int(self._starts[i + 1])


def evaluation_batches(
    seconds: np.ndarray, max_seconds: float, ranks: int = 1, rows: np.ndarray | None = None
) -> list[list[np.ndarray]]:
    """Every cut exactly once over all ranks, longest first: a list of batches for each rank.

    A batch holds at most ``max_seconds`` with padding, or one longer cut. Batches are split until all ranks have the
    same number. Only where too few hold two cuts some ranks have one batch less, which matters only to models that
    communicate inside a forward pass.
    """
    rows = np.arange(len(seconds)) if rows is None else np.asarray(rows)
    order = rows[np.argsort(-np.asarray(seconds)[rows], kind="stable")]
    batches, place = [], 0
    while place < len(order):
        size = max(1, int(max_seconds / seconds[order[place]] + 1e-9))
        batches.append(order[place : place + size])
        place += size
    for _ in range(-len(batches) % ranks):
        i = max(range(len(batches)), key=lambda i: len(batches[i]))
        if len(batches[i]) < 2:
            break
        batches[i : i + 1] = np.array_split(batches[i], 2)
    return [batches[rank::ranks] for rank in range(ranks)]
