"""FeatureStream: how features reach a fit: one call is one pass over the corpus, in the batches of one global plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from speechunits import ranks
from speechunits.errors import UserError
from speechunits.quantizers.reservoir import in_share
from speechunits.seq import Seq, unpad

Batch = tuple[int, list[str], Seq]
# start -> (index in the global plan, utterance ids, features (B, T, D)) from that index on, in rising order. With W
# ranks each yields only its indices, i % W == rank; a batch holds the same utterances for any W, so the same bits.
FeatureStream = Callable[[int], Iterable[Batch]]


def windows(
    stream: FeatureStream, start: int, width: int, device: torch.device
) -> Iterator[tuple[int, Iterator[Batch]]]:
    """One pass in windows of ``width`` global batch indices, so that all ranks meet at the same places.

    Yields:
        (end, the batches of this rank with index < end, which must be consumed before the next window).
    """
    batches = _checked(stream(start), start)
    head = next(batches, None)

    def until(end: int) -> Iterator[Batch]:
        nonlocal head
        while head is not None and head[0] < end:
            yield head
            head = next(batches, None)

    end = start
    while any(alive for (alive,) in ranks.gather_numbers([int(head is not None)], device)):
        end += width
        yield end, until(end)


def _checked(batches: Iterable[Batch], start: int) -> Iterator[Batch]:
    last = start - 1
    for index, ids, features in batches:
        if index <= last or index % ranks.world() != ranks.rank():
            raise ValueError(
                f"a feature stream gave batch {index} after {last} on rank {ranks.rank()} of {ranks.world()}: "
                "indices must rise from `start` and leave the rank when divided by the number of ranks"
            )
        last = index
        yield index, ids, features


def utterances(batch: Batch, share: float, seed: int) -> list[tuple[str, Tensor]]:
    """The utterances of a batch that the share draws: id and frames (T, D).

    Raises:
        UserError: features are not finite; names the utterance.
    """
    _, ids, features = batch
    out = [(name, x) for name, x in zip(ids, unpad(features), strict=True) if len(x) and in_share(name, share, seed)]
    for name, x in out:
        if not bool(torch.isfinite(x).all()):
            raise UserError(
                f"the features of utterance '{name}' are not finite: mend its audio or take it out of the manifest"
            )
    return out
