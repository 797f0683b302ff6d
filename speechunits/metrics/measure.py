"""Measure: what validation and evaluation ask of a metric, and how the states of several ranks become one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Measure(Protocol):
    """A metric over a whole data set, fed batch by batch.

    The state holds sums (key ``name``) or rows of one utterance (key ``name/utterance id``), so that ``merge`` can add
    the former and count the latter once, however many ranks saw the utterance.
    """

    def update(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        """Take in what a model's ``predict`` returned for one batch."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything seen since ``reset``, on the CPU."""
        ...

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Replace what was seen by ``state``: ``measure.load(merge(states of all ranks))``."""
        ...

    def compute(self) -> dict[str, float]:
        """Named results; nan where the quantity is undefined on this data."""
        ...

    def reset(self) -> None:
        """Forget everything seen."""
        ...


def merge(states: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """One state out of those of several ranks (or shards): sums are added, an utterance's rows count once.

    Raises:
        ValueError: two ranks hold rows of different shape for one utterance: two recordings share an id.
    """
    out: dict[str, Tensor] = {}
    for state in states:
        for key, value in state.items():
            if key not in out:
                out[key] = value
            elif "/" not in key:
                out[key] = out[key] + value
            elif out[key].shape != value.shape:
                raise ValueError(
                    f"{key}: two ranks hold {tuple(out[key].shape)} and {tuple(value.shape)}; "
                    "give every utterance its own id"
                )
    return out
