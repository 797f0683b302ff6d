"""Trail: what hypotheses have said, kept as a tree."""

from __future__ import annotations

import torch
from torch import Tensor

from speechunits.seq import Seq


class Trail:
    """A tree that only grows: a hypothesis is the number of its last node, -1 before its first symbol.

    Nothing is copied while a search runs, so that a step costs the same at the end as at the beginning.

    Args:
        kinds: of facts about each node; the first is its symbol.
    """

    def __init__(self, kinds: int = 1) -> None:
        self.kinds = kinds
        self.parents: list[Tensor] = []
        self.facts: list[tuple[Tensor, ...]] = []

    def grow(self, parents: Tensor, *facts: Tensor) -> Tensor:
        """A node after each of ``parents`` (B, W), of any of which nobody need make use, and its number.

        Args:
            facts: (B, W) each, ``kinds`` of them: symbol, frame, probability.
        """
        start = len(self.parents) * parents.numel()
        self.parents.append(parents.flatten())
        self.facts.append(tuple(fact.expand_as(parents).flatten() for fact in facts))
        return torch.arange(start, start + parents.numel(), device=parents.device).view_as(parents)

    def read(self, nodes: Tensor) -> tuple[Seq, list[Tensor]]:
        """Numbers of nodes (N,) -> their first fact as a Seq (N, L), and all facts (N, L) from the first symbol to the last.

        Padding is -1 in the Seq and anything in the facts.
        """
        if not self.parents:
            empty = nodes.new_zeros(len(nodes), 0)
            return Seq(empty, nodes.new_zeros(len(nodes)), None), [empty] * self.kinds
        parents, walked = torch.cat(self.parents), []
        while bool((nodes >= 0).any()):
            walked.append(nodes)
            nodes = torch.where(nodes >= 0, parents[nodes.clamp(min=0)], nodes)
        steps = torch.stack(walked, 1) if walked else nodes.new_zeros(len(nodes), 0)
        lengths = (steps >= 0).sum(1)
        turned = (lengths[:, None] - 1 - torch.arange(steps.size(1), device=nodes.device)).clamp(min=0)
        steps = steps.gather(1, turned).clamp(min=0)
        facts = [torch.cat(kind)[steps] for kind in zip(*self.facts, strict=True)]
        ids = Seq(facts[0], lengths, None)
        return ids.with_data(ids.data.masked_fill(~ids.valid, -1)), facts
