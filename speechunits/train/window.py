"""What is known of a window of micro-batches before any of them runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from speechunits.protocols import Batch, Trainable
from speechunits.term import Term


def empty(batch: Batch | None) -> bool:
    """Whether a micro-batch lost all of its audio: None, an empty mapping or one without ids."""
    return not batch or not batch.get("ids", True)


def window_counts(model: Trainable, batches: Sequence[Batch]) -> dict[str, Tensor | float]:
    """Sums of ``model.counts`` over micro-batches; two more entries ride along: ``batches`` and ``audio_seconds``."""
    own: dict[str, Tensor | float] = {"batches": float(len(batches)), "audio_seconds": 0.0}
    for batch in batches:
        if "seconds" in batch:
            own["audio_seconds"] += batch["seconds"].sum()
        elif "audio" in batch:
            own["audio_seconds"] += batch["audio"].lengths.sum().double() * float(batch["audio"].hop)
        for name, count in model.counts(batch).items():
            own[name] = own.get(name, 0.0) + count.double()
    return own


def compare(model: Trainable, terms: Mapping[str, Term], counts: Mapping[str, Tensor]) -> None:
    """Whether every weighted term was counted.

    Raises:
        ValueError: one was not.
    """
    if missing := [name for name, term in terms.items() if term.weight and name not in counts]:
        raise ValueError(f"{type(model).__name__}.counts gives no count for the weighted terms {missing}")
