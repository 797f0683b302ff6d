"""Search through a word graph by k2, for a whole batch at once, on the device of the scores."""

from __future__ import annotations

from typing import Any

import torch

from speechunits.nn.k2 import need
from speechunits.seq import Seq

Arc = tuple[int, int, int, int, float, float]  # from, to, label or 0, word or 0, cost of the graph, of the frame
ACTIVE = (30, 10000)  # states of the graph kept in a frame, at least and at most


def graph(text: str, device: torch.device) -> Any:
    """OpenFst's text of a transducer (label i + 1 is column i of the scores, 0 nothing) as a k2.Fsa without epsilons.

    k2's labels are the columns themselves. ``lm`` keeps apart what the graph says of an arc. Of the ways to say nothing between
    two states k2 keeps the best, so of words that sound alike and lead to the same one it finds one.
    """
    k2 = need()
    made = k2.connect(k2.remove_epsilon(k2.Fsa.from_openfst(text, acceptor=False)))
    labels = made.labels
    made.labels = torch.where(labels > 0, labels - 1, labels)  # -1 marks the last arcs
    made = k2.arc_sort(made)
    made.lm = made.scores.clone()
    return made.to(device)


def search(graph: Any, scores: Seq, beam: float, lattice_beam: float) -> list[tuple[list[Arc], dict[int, float]]]:
    """For each utterance what ``decode.kaldi.search`` gives.

    Args:
        scores: (B, T, C), every length above 0.
    """
    k2 = need()
    segments = torch.tensor([[row, 0, frames] for row, frames in enumerate(scores.lengths.tolist())], dtype=torch.int32)
    dense = k2.DenseFsaVec(scores.data.float(), segments)
    found = k2.intersect_dense_pruned(graph, dense, beam, lattice_beam, *ACTIVE).to("cpu")
    return [_arcs(found[row]) for row in range(len(segments))]


def _arcs(lattice: Any) -> tuple[list[Arc], dict[int, float]]:
    """An arc that says several words, because epsilons were removed, becomes a chain of arcs."""
    places, words = lattice.arcs.values()[:, :3].tolist(), lattice.aux_labels.tolist()
    costs, graph_costs = (-lattice.scores).tolist(), (-lattice.lm).tolist()
    fresh = 1 + max((end for _, end, _ in places), default=0)
    arcs: list[Arc] = []
    finals: dict[int, float] = {}
    for (begin, end, label), said, cost, of_graph in zip(places, words, costs, graph_costs, strict=True):
        first, *more = [word for word in said if word > 0] or [0]
        states = [begin, *range(fresh, fresh + len(more)), end]
        fresh += len(more)
        arcs.append((begin, states[1], label + 1, first, of_graph, cost - of_graph))
        arcs += [(a, b, 0, word, 0.0, 0.0) for a, b, word in zip(states[1:-1], states[2:], more, strict=True)]
        if label == -1:
            finals[end] = 0.0
    return arcs, finals
