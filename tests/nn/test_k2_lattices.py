"""k2 against kaldi-decoder on one small graph with epsilons: the same readings at the same scores."""

from __future__ import annotations

import pytest
import torch

from speechunits.decode import kaldi
from speechunits.decode.word_lattice import WordLattice
from speechunits.nn import k2, k2_lattices
from speechunits.seq import pad, unpad

pytestmark = [
    pytest.mark.k2,
    pytest.mark.skipif(not k2.installed(), reason="k2 is not installed: tools/k2.sh"),
]

# State 0 -> 1 by label 1 or 2, back by label 3, or by nothing but the words 1 and 2 in a row; ending in 1 costs 0.3.
ARCS = [(0, 1, 1, 5, 0.1), (0, 1, 2, 0, 0.2), (1, 0, 3, 0, 0.4), (1, 2, 0, 1, 0.25), (2, 0, 0, 2, 0.5)]


def test_lattices_are_those_of_kaldi() -> None:
    pytest.importorskip("kaldi_decoder", reason="kaldi-decoder is not installed: pip install 'speechunits[lattice]'")
    fst = kaldi.transducer(ARCS, {1: 0.3})
    generator = torch.Generator().manual_seed(0)
    scores = pad([torch.randn(n, 3, generator=generator).log_softmax(-1) for n in (5, 2, 7)], None)
    found = k2_lattices.search(k2_lattices.graph(fst.to_str(), torch.device("cpu")), scores, 100.0, 100.0)
    for lattice, row in zip(found, unpad(scores), strict=True):
        ours, theirs = (WordLattice(*each).best(5) for each in (lattice, kaldi.search(fst, row, 100.0, 100.0)))
        assert [(each.labels, each.words) for each in ours] == [(each.labels, each.words) for each in theirs]
        assert [each.graph for each in ours] == pytest.approx([each.graph for each in theirs], abs=1e-4)
