"""The most probable path of a CTC head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from speechunits.decode.find_head import find_head, frame_scores
from speechunits.decode.hypothesis import Hypothesis
from speechunits.seq import Seq, unpad


class Greedy:
    """Best path decoding (Graves et al. 2006, section 3.2): the likeliest symbol of each frame, runs merged, no blanks.

    ``score`` is that of the path; the confidence of a symbol is the mean probability of the frames that say it.

    Args:
        head: name of the CTC head; None = the first one that has scores for each frame.
    """

    def __init__(self, head: str | None = None) -> None:
        self.head = head

    @torch.no_grad()
    def __call__(self, heads: Mapping[str, nn.Module], heard: Mapping[str, Seq]) -> list[list[Hypothesis]]:
        """See ``Search``."""
        _, scores = frame_scores(heads, heard, "Greedy", self.head)
        best, path = (unpad(scores.with_data(each.cpu())) for each in scores.data.max(-1))
        blank = scores.data.size(-1) - 1
        return [[merged(*row, blank)] for row in zip(best, path, strict=True)]

    def stream(self, heads: Mapping[str, nn.Module]) -> GreedyStream:
        """The same for an utterance that comes piece by piece (see ``hypothesis.Streams``)."""
        name = find_head(heads, "scores", "Greedy", self.head)
        return GreedyStream(name, heads[name])


class GreedyStream:
    """``Greedy`` of one utterance, piece by piece: a run at the end of a piece is held back until it ends.

    Args:
        name, head: what to read of what was heard, and the head that reads it.
    """

    def __init__(self, name: str, head: nn.Module) -> None:
        self.name, self.head = name, head
        self.best, self.path = torch.empty(0), torch.empty(0, dtype=torch.int64)  # of the run that is held back
        self.frames = 0  # before it

    @torch.no_grad()
    def __call__(self, heard: Mapping[str, Seq], last: bool) -> Hypothesis:
        """See ``hypothesis.RunningSearch``."""
        _, scores = frame_scores({self.name: self.head}, heard, "Greedy", self.name)
        best, path = (each.cpu() for each in scores.data[0].max(-1))
        best, path = torch.cat([self.best.to(best), best]), torch.cat([self.path, path])
        blank = self.head.vocab[0]  # type: ignore[index]
        changes = (path[1:] != path[:-1]).nonzero()
        open_from = int(changes[-1]) + 1 if len(changes) else 0
        cut = len(path) if last or not len(path) or path[-1] == blank else open_from
        found = merged(best[:cut], path[:cut], blank)
        assert found.spans is not None
        found = replace(found, spans=found.spans + self.frames)
        self.best, self.path, self.frames = best[cut:], path[cut:], self.frames + cut
        return found


def merged(best: Tensor, path: Tensor, blank: int) -> Hypothesis:
    """Log-probabilities and symbols (T,) of a path -> its hypothesis."""
    symbols, counts = torch.unique_consecutive(path, return_counts=True)
    edges = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    spans = torch.stack([edges[:-1], edges[1:]], -1)
    said = symbols != blank
    sure = [float(best[a:b].exp().mean()) for a, b in spans[said].tolist()]
    return Hypothesis(symbols[said], float(best.sum()), spans[said], torch.tensor(sure))
