"""Words from the scores of a CTC head, by a search through a graph of lexicon and language model."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from speechunits.decode import kaldi
from speechunits.decode.backoff_model import BackoffModel, read_model
from speechunits.decode.find_head import frame_scores
from speechunits.decode.graph import Graph, load_graph, read_meta
from speechunits.decode.hypothesis import Hypothesis
from speechunits.decode.word_lattice import Path, WordLattice
from speechunits.errors import UserError
from speechunits.nn import k2, k2_lattices
from speechunits.seq import Seq, unpad

log = logging.getLogger(__name__)
RANKED = 100  # readings of which another language model chooses the best, at least


class Lattice(nn.Module):
    """Token passing through H L G with a beam (Young, Russell and Thornton 1989; lattices as in Povey et al. 2012, doi
    10.1109/ICASSP.2012.6288848, section 3), and the ``nbest`` readings of different words.

    ``score`` is that of the best path: ``acoustic_scale`` log p(path | frames) + log P(words). The confidence of a word is
    the share of the readings that say it then, each weighted by the exponential of its score. Where no sentence of the
    graph is as short as the utterance, or the beam lost them all, nothing is said, with the score minus infinity, and a
    warning counts such utterances. An utterance without frames says nothing, with the score 0. The engines' lattices differ: of
    words that sound alike and before which the n-grams see the same, k2 keeps the better one.

    Args:
        graph: folder that ``recipes.compile_graph`` made, for the text tokenizer of the model.
        engine: "kaldi" (kaldi-decoder, on the CPU, one utterance after another) or "k2" (a batch at once, on the device of the
            model).
        nbest: readings of each utterance; 1 = the best one alone, without confidence.
        beam: nats by which a partial path may be worse than the best one; k2 keeps 30 to 10000 states in a frame, whatever
            the beam.
        lattice_beam: nats by which a whole path may be.
        acoustic_scale: of the head's log-probabilities against those of the graph.
        rescore: ARPA file of another language model, whose probability of the words takes the place of the graph's; it ranks
            ``nbest`` readings, and never fewer than 100.
        head: name of the CTC head; None = the first one that has scores for each frame.

    Raises:
        UserError: no such folder or file, or what ``engine`` needs is not installed; at the first call, one of them is
            damaged.
        ValueError: a number is out of its range.
    """

    def __init__(
        self,
        graph: str,
        engine: Literal["kaldi", "k2"] = "kaldi",
        nbest: int = 10,
        beam: float = 16.0,
        lattice_beam: float = 8.0,
        acoustic_scale: float = 1.0,
        rescore: str | None = None,
        head: str | None = None,
    ) -> None:
        super().__init__()
        if nbest < 1 or min(beam, lattice_beam, acoustic_scale) <= 0:
            raise ValueError("nbest, beam, lattice_beam and acoustic_scale must be above 0")
        if rescore is not None and not os.path.isfile(rescore):
            raise UserError(f"rescore: {rescore} does not exist; give an ARPA file of words")
        kaldi.need(decoder=engine == "kaldi")
        if engine == "k2":
            k2.need()
        self.folder, self.meta, self.engine, self.nbest = graph, read_meta(graph), engine, nbest
        self.beam, self.lattice_beam, self.acoustic_scale = beam, lattice_beam, acoustic_scale
        self.head, self.rescore = head, rescore
        self._k2_graphs: dict[torch.device, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Of a copy: without the graph, which has no copies and is read again."""
        return {name: value for name, value in vars(self).items() if name != "graph"} | {"_k2_graphs": {}}

    @cached_property
    def graph(self) -> Graph:
        """Read when the first utterance comes."""
        return load_graph(self.folder)

    @cached_property
    def words(self) -> list[str]:
        return self.graph.words

    @cached_property
    def language_model(self) -> BackoffModel | None:
        return None if self.rescore is None else read_model(self.rescore)

    def check_text(self, fingerprint: str) -> None:
        """See that the graph was compiled with the text tokenizer of that fingerprint.

        Raises:
            UserError: it was not.
        """
        if self.meta["tokenizer"] != fingerprint:
            raise UserError(
                f"search: the graph {self.folder} was compiled with the text tokenizer {self.meta['tokenizer']}, and the "
                f"recogniser writes with {fingerprint}; compile it again (recipe compile_graph with the recogniser's)"
            )

    @torch.no_grad()
    def forward(self, heads: Mapping[str, nn.Module], heard: Mapping[str, Seq]) -> list[list[Hypothesis]]:
        """See ``Search``."""
        name, scores = frame_scores(heads, heard, "Lattice", self.head)
        width, labels = scores.data.size(-1), len(self.graph.lexicon.names) + 1
        if width != labels:
            raise UserError(
                f"decode.Lattice: head '{name}' gives {width} scores a frame, and the graph {self.folder} reads {labels}; "
                "compile the graph for this model"
            )
        scores = Seq(scores.data.detach().float(), scores.lengths, scores.hop)
        lattices = self._search(scores)
        rows = unpad(scores.with_data(scores.data.cpu()))
        found = [self._readings(lattice, row) for lattice, row in zip(lattices, rows, strict=True)]
        if lost := sum(len(row) > 0 and not lattice.arcs for lattice, row in zip(lattices, rows, strict=True)):
            log.warning("%d of %d utterances fit no sentence of %s (beam %g)", lost, len(rows), self.folder, self.beam)
        return found

    def _search(self, scores: Seq) -> list[WordLattice]:
        """The lattice of each utterance, without arcs where there is no path or no frame."""
        scaled, out = scores.with_data(scores.data * self.acoustic_scale), [WordLattice([], {})] * len(scores.data)
        some = scores.lengths.nonzero()[:, 0]
        if not len(some):
            return out
        heard = Seq(scaled.data[some], scores.lengths[some], None)
        if self.engine == "k2":
            found = k2_lattices.search(self._k2_graph(heard.data.device), heard, self.beam, self.lattice_beam)
        else:
            rows = unpad(heard.with_data(heard.data.cpu()))
            found = [kaldi.search(self.graph.fst, row, self.beam, self.lattice_beam) for row in rows]
        for row, lattice in zip(some.tolist(), found, strict=True):
            out[row] = WordLattice(*lattice)
        return out

    def _k2_graph(self, device: torch.device) -> Any:
        if device not in self._k2_graphs:
            self._k2_graphs = {device: k2_lattices.graph(self.graph.fst.to_str(), device)}
        return self._k2_graphs[device]

    def _readings(self, lattice: WordLattice, scores: Tensor) -> list[Hypothesis]:
        """The best first; ``scores`` (T, V + 1) of the utterance."""
        number = self.nbest if self.rescore is None else max(self.nbest, RANKED)
        found = [self._reading(path, scores) for path in lattice.best(number)]
        if not found:
            nothing = torch.zeros(0, dtype=torch.int64)
            score = -math.inf if len(scores) else 0.0
            return [Hypothesis(nothing, score, nothing.view(0, 2), nothing.float(), ())]
        found = sorted(found, key=lambda reading: -reading.score)[: self.nbest]
        return found if self.nbest == 1 else with_confidence(found)

    def _reading(self, path: Path, scores: Tensor) -> Hypothesis:
        said = [self.words[word - 1] for word in path.words]
        grammar = path.graph if self.language_model is None else self.language_model.score(said)
        columns = torch.tensor(path.labels) - 1
        acoustic = float(scores.gather(1, columns[:, None]).double().sum())
        symbols, counts = torch.unique_consecutive(columns, return_counts=True)
        ends = counts.cumsum(0)
        spoken = symbols != scores.size(1) - 1
        ids, spans = symbols[spoken], torch.stack([ends - counts, ends], 1)[spoken]
        places = self.graph.lexicon.places(said, ids.tolist())
        words = tuple((word, *place) for word, place in zip(said, places, strict=True))
        return Hypothesis(ids, self.acoustic_scale * acoustic + grammar, spans, None, words)


def with_confidence(readings: Sequence[Hypothesis]) -> list[Hypothesis]:
    """The same, each word with the share of all readings that say it in one of its frames (Wessel et al. 2001, doi
    10.1109/89.906002, section III), and so its symbols and those between it and the word before."""
    shares = torch.tensor([reading.score for reading in readings], dtype=torch.float64).softmax(0).tolist()
    said = [_times(reading) for reading in readings]
    out = []
    for reading, mine in zip(readings, said, strict=True):
        sure = torch.ones(len(reading.ids))
        done = 0
        for (text, begin, end), (_, _, behind) in zip(mine, reading.words or (), strict=True):
            agree = [any(t == text and a < end and begin < b for t, a, b in theirs) for theirs in said]
            sure[done:] = sum(share for share, same in zip(shares, agree, strict=True) if same)
            done = behind
        out.append(replace(reading, confidence=sure))
    return out


def _times(reading: Hypothesis) -> list[tuple[str, int, int]]:
    """Each word with its first frame and the one after its last."""
    spans = [] if reading.spans is None else reading.spans.tolist()
    return [(word, spans[first][0], spans[behind - 1][1]) for word, first, behind in reading.words or ()]
