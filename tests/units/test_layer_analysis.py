"""LayerAnalysis: its figures are those of the plain functions on frames and segments cut by hand."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
import torch
from lhotse import CutSet
from torch import Tensor
from torch.nn.functional import one_hot

from speechunits.data.cuts import Cuts, open_cuts
from speechunits.errors import UserError
from speechunits.metrics.effective_rank import effective_rank
from speechunits.metrics.linear_cka import linear_cka
from speechunits.metrics.pwcca import fit_pwcca
from speechunits.units.layer_analysis import LayerAnalysis
from tests.recipes.toy import PHONES, Corpus

HOP = Fraction(1, 50)


def vectors(cuts: Cuts, dim: int, seed: int, hop: Fraction = HOP) -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return {cut.id: torch.randn(int((cut.duration - 0.025) / hop) + 1, dim, generator=draws) for cut in cuts}


def means(cuts: Cuts, of: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Mean vectors of the phones but silence, cut by the clock alone, in another order than that of the hash."""
    x, y = [], []
    for cut in cuts:
        for item in cut.supervisions[0].alignment["phone"]:
            centres = torch.arange(len(of[cut.id])) / 50 + 0.0125
            inside = (centres >= item.start) & (centres < item.start + item.duration)
            if item.symbol != "sil" and inside.any():
                x.append(of[cut.id][inside].mean(0))
                y.append(PHONES.index(item.symbol) - 1)
    return torch.stack(x), one_hot(torch.tensor(y), len(PHONES) - 1)


@pytest.fixture(scope="module")
def cuts(corpus: Corpus) -> tuple[Cuts, Cuts]:
    return open_cuts(corpus.train), open_cuts(corpus.valid)


def test_cca_is_that_of_segments_cut_by_hand(cuts: tuple[Cuts, Cuts]) -> None:
    train, valid = cuts
    seen = {"layer:1": vectors(train, 5, 0), "layer:2": vectors(train, 3, 1)}
    new = {"layer:1": vectors(valid, 5, 2), "layer:2": vectors(valid, 3, 3)}
    analysis = LayerAnalysis()
    analysis.learn(seen, train, HOP, ["sil"])
    found = analysis.measure("net", new, valid, HOP, ["sil"])
    for name in seen:
        want = fit_pwcca(*means(train, seen[name]))(*means(valid, new[name]))
        assert found[name]["cca_phone"] == pytest.approx(want, abs=1e-6)
        frames = torch.cat(list(new[name].values())).double()
        assert found[name]["effective_rank"] == pytest.approx(effective_rank(frames - frames.mean(0)), rel=1e-9)
        assert "cca_word" not in found[name], "the corpus has no words"
    reverse = {name: dict(reversed(of.items())) for name, of in new.items()}
    assert analysis.measure("again", reverse, valid, HOP, ["sil"]) == found, "the order of utterances changes nothing"


def test_words_are_found_where_they_are_aligned(cuts: tuple[Cuts, Cuts], tmp_path: Path) -> None:
    """Words that are the phones once more have the figure of the phones."""
    both = []
    for name, of in zip(("train", "valid"), cuts, strict=True):
        said = list(of)
        for cut in said:
            (speech,) = cut.supervisions
            speech.alignment = {**speech.alignment, "word": speech.alignment["phone"]}
        CutSet.from_cuts(said).to_file(tmp_path / f"{name}.jsonl.gz")
        both.append(open_cuts(tmp_path / f"{name}.jsonl.gz"))
    train, valid = both
    analysis = LayerAnalysis()
    analysis.learn({"layer:1": vectors(train, 5, 0)}, train, HOP)
    found = analysis.measure("net", {"layer:1": vectors(valid, 5, 2)}, valid, HOP)["layer:1"]
    assert found["cca_word"] == found["cca_phone"] and set(found) == {"cca_phone", "cca_word", "effective_rank"}


def test_limits_are_kept_and_do_not_depend_on_the_order(cuts: tuple[Cuts, Cuts]) -> None:
    train, valid = cuts
    small = LayerAnalysis(frames=40, segments=12, types=2)
    of = vectors(valid, 4, 0)
    small.learn({"a": vectors(train, 4, 1)}, train, HOP, ["sil"])
    first = small.measure("one", {"a": of}, valid, HOP, ["sil"])
    assert small.measure("two", {"a": dict(reversed(of.items()))}, valid, HOP, ["sil"]) == first
    whole = LayerAnalysis()
    whole.learn({"a": vectors(train, 4, 1)}, train, HOP, ["sil"])
    assert whole.measure("one", {"a": of}, valid, HOP, ["sil"])["a"] != first["a"]


def test_cka_of_all_places_of_all_systems_on_common_frames(cuts: tuple[Cuts, Cuts]) -> None:
    _, valid = cuts
    fine, coarse = vectors(valid, 4, 0), vectors(valid, 6, 1, Fraction(1, 25))
    longer = {key: torch.cat([x @ torch.eye(4)[[2, 0, 3, 1]] * 2, x[:1]]) for key, x in fine.items()}
    analysis = LayerAnalysis()
    for system, of, hop in (("a", fine, HOP), ("b", longer, HOP), ("c", coarse, Fraction(1, 25))):
        analysis.measure(system, {"layer:1": of}, valid, hop)
    found = {(one[0], other[0]): value for one, other, value in analysis.similarity()}
    assert set(found) == {("a", "b"), ("a", "c"), ("b", "c")}
    assert found["a", "b"] == pytest.approx(1, abs=1e-12), "the same space in other axes, a frame longer"
    keys = sorted(fine)
    length = {key: min(len(fine[key][::2]), len(coarse[key])) for key in keys}
    x = torch.cat([fine[key][::2][: length[key]] for key in keys])
    y = torch.cat([coarse[key][: length[key]] for key in keys])
    assert found["a", "c"] == pytest.approx(float(linear_cka([x, y])[0, 1]), abs=1e-12)
    analysis.measure("odd", {"layer:1": vectors(valid, 4, 2, Fraction(3, 100))}, valid, Fraction(3, 100))
    with pytest.raises(UserError, match=r"systems\.odd: its hop"):
        list(analysis.similarity())


def test_nothing_measured_is_nothing_to_compare() -> None:
    assert list(LayerAnalysis().similarity()) == []
