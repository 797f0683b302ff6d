"""Term: a loss summand kept as a ratio until the last moment, so that ranks and micro-batches average exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Term:
    """``num / den`` with both summed over everything that makes one update.

    Args:
        num: scalar, a sum over frames (or utterances).
        den: scalar, how many were summed; it never needs a forward pass (lengths and draws decide it).
        weight: factor in the loss; 0 = shown, not trained.
    """

    num: Tensor
    den: Tensor
    weight: float = 1.0

    @property
    def value(self) -> Tensor:
        """The mean; 0 where nothing was counted."""
        return self.num / self.den.clamp(min=1)

    def detach(self) -> Term:
        return Term(self.num.detach(), self.den.detach(), self.weight)


def add(parts: Iterable[Mapping[str, Term]]) -> dict[str, Term]:
    """Sum Terms by name over micro-batches: numerators and denominators apart."""
    out: dict[str, Term] = {}
    for part in parts:
        for name, term in part.items():
            seen = out.get(name)
            out[name] = term if seen is None else Term(seen.num + term.num, seen.den + term.den, term.weight)
    return out


def loss(terms: Mapping[str, Term], counts: Mapping[str, Tensor] | None = None) -> Tensor:
    """Weighted sum of means, scalar. ``counts`` replaces each term's own ``den`` (the whole update's, over all ranks).

    Raises:
        ValueError: no term has a weight: there is nothing to train.
    """
    parts = [
        t.weight * t.num / (counts[name] if counts else t.den).clamp(min=1).to(t.num.dtype)
        for name, t in terms.items()
        if t.weight
    ]
    if not parts:
        raise ValueError(f"none of the terms {sorted(terms)} has a weight: there is nothing to train")
    return torch.stack(parts).sum()
