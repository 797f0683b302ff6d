"""UnitBPE: nothing is lost, the best and the drawn spellings are those of the papers, and a folder that needs no pickle."""

from __future__ import annotations

import itertools
import math
import pickle
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from speechunits import store
from speechunits.config import build
from speechunits.errors import UserError
from speechunits.part import ConfigError
from speechunits.seq import pad, unpad
from speechunits.stream import Stream
from speechunits.units.dedup import Dedup
from speechunits.units.unit_bpe import MOST, UnitBPE, fit_subwords, read, write
from speechunits.units.units import Units

HOP = Fraction(1, 50)
STREAM = Stream(None, (12,), "km12+dedup")
KINDS = ("bpe", "unigram")


def corpus(units: int = 10, words: int = 8, rows: int = 60) -> list[Tensor]:
    """Utterances of a few words of units, so that there is something to join."""
    random = np.random.default_rng(0)
    lexicon = [random.integers(units, size=random.integers(2, 6)) for _ in range(words)]
    return [
        torch.from_numpy(np.concatenate([lexicon[i] for i in random.integers(words, size=12)])) for _ in range(rows)
    ]


def fitted(kind: str, size: int = 30, **more: object) -> UnitBPE:
    return fit_subwords(corpus(), size, kind, stream=STREAM, **more)  # type: ignore[arg-type]


def sampling(model: UnitBPE, alpha: float | None) -> UnitBPE:
    model.alpha = alpha
    return model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alpha", [None, 0.3])
def test_decoded_is_what_was_encoded(kind: str, alpha: float | None) -> None:
    """Also units that the data never had, none at all, and spellings that are drawn."""
    model, random = sampling(fitted(kind), alpha), np.random.default_rng(0)
    strange = [torch.tensor([11, 11, 10, 0]), torch.zeros(0, dtype=torch.int64), torch.arange(12)]
    for row in [*corpus(), *strange]:
        ids = model.encode(row, random)
        assert ids.dtype == torch.int64 and bool(((ids >= 0) & (ids < model.size)).all())
        assert model.decode(ids).equal(row)
    assert sum(len(model.encode(row)) for row in corpus()) < 0.7 * sum(map(len, corpus()))


def test_every_unit_has_a_character_of_its_own() -> None:
    text = write(torch.arange(MOST))
    assert len(set(text)) == MOST and read(text).tolist() == list(range(MOST)) and text.encode().decode() == text
    assert not set(" \t\u2047\u2581\u2585") & set(text), "these mean something to sentencepiece"


def test_a_unigram_model_may_choose_among_all_that_is_common() -> None:
    """With all units in one block of characters sentencepiece 0.2.3 would see a few strings from the ends of utterances."""
    random = np.random.default_rng(0)
    rows = [torch.from_numpy(random.integers(12, size=100)) for _ in range(20)]
    pairs = {pair for row in rows for pair in itertools.pairwise(row.tolist())}
    with pytest.raises(UserError) as found:
        fit_subwords(rows, 5000, "unigram", stream=STREAM)
    assert int(str(found.value).split("at most ")[1].split()[0]) > 12 + 0.9 * len(pairs) > 100


def test_merges_are_those_of_the_paper() -> None:
    """Sennrich et al. 2016, algorithm 1: always the commonest pair of neighbours. Counts here are never equal."""
    rows = [torch.tensor(row) for row in [[0, 1, 2] * 9 + [3], [0, 1] * 5 + [4], [1, 2, 3] * 3 + [5], [4, 5] * 2]]
    model = fit_subwords(rows, 6 + 3, stream=Stream(None, (6,), "x"))
    split, merges = [[(int(u),) for u in row] for row in rows], []
    for _ in range(3):
        pairs = Counter(pair for row in split for pair in itertools.pairwise(row))
        (best, most), (_, second) = pairs.most_common(2)
        assert most > second
        merges.append(best[0] + best[1])
        split = [joined(row, best) for row in split]
    assert [tuple(model.decode(torch.tensor([i])).tolist()) for i in range(3)] == merges
    assert [[tuple(model.decode(i[None]).tolist()) for i in model.encode(row)] for row in rows] == split


def joined(row: list[tuple[int, ...]], pair: tuple[tuple[int, ...], tuple[int, ...]]) -> list[tuple[int, ...]]:
    out: list[tuple[int, ...]] = []
    for unit in row:
        if out and (out[-1], unit) == pair:
            out[-1] = out[-1] + unit
        else:
            out.append(unit)
    return out


def spellings(model: UnitBPE, row: Tensor) -> dict[tuple[int, ...], float]:
    """Every way to write ``row`` in subwords -> the sum of their log-probabilities."""
    known = {tuple(model.decode(torch.tensor([i])).tolist()): i for i in range(model.size)}
    out = {}
    for cuts in itertools.product([False, True], repeat=len(row) - 1):
        ends = [i + 1 for i, cut in enumerate(cuts) if cut]
        pieces = [tuple(row[a:b].tolist()) for a, b in itertools.pairwise([0, *ends, len(row)])]
        if all(piece in known for piece in pieces):
            ids = tuple(known[piece] for piece in pieces)
            out[ids] = sum(model._model.get_score(i + 1) for i in ids)
    return out


def test_the_best_unigram_spelling_is_the_likeliest_of_all() -> None:
    """Kudo 2018, equation 4, over all spellings."""
    model = fitted("unigram")
    for row in corpus()[:5]:
        scores = spellings(model, row[:9])
        assert len(scores) > 1
        assert scores[tuple(model.encode(row[:9]).tolist())] == pytest.approx(max(scores.values()), abs=1e-4)


def test_unigram_spellings_are_drawn_by_their_probabilities() -> None:
    """Kudo 2018, equation 7: P(x)^alpha, normalised over all spellings."""
    model, random = sampling(fitted("unigram"), 0.4), np.random.default_rng(0)
    row = max((r[:6] for r in corpus()), key=lambda r: len(spellings(model, r)))
    scores = spellings(model, row)
    total = sum(math.exp(0.4 * s) for s in scores.values())
    drawn = Counter(tuple(model.encode(row, random).tolist()) for _ in range(4000))
    assert set(drawn) <= set(scores) and len(scores) >= 4
    for ids, score in scores.items():
        share = math.exp(0.4 * score) / total
        assert drawn[ids] / 4000 == pytest.approx(share, abs=4 * (share * (1 - share) / 4000) ** 0.5 + 1e-3)


def test_bpe_dropout_leaves_merges_out() -> None:
    """Provilkov et al. 2020, section 3: one possible merge is left out with probability alpha; 1 leaves single units."""
    model, random = fitted("bpe"), np.random.default_rng(0)
    pair = next(u for u in model._spelled if len(u) == 2)
    sampling(model, 0.3)
    split = sum(len(model.encode(pair, random)) == 2 for _ in range(3000)) / 3000
    assert split == pytest.approx(0.3, abs=4 * (0.21 / 3000) ** 0.5)
    row = corpus()[0]
    assert len(sampling(model, 1.0).encode(row, random)) == len(row)
    assert sampling(model, 0.0).encode(row, random).equal(model.encode(row))


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_alone_decides_what_is_drawn(kind: str) -> None:
    model, rows = sampling(fitted(kind), 0.3), corpus()[:4]
    once = [model.encode(row, np.random.default_rng(i)) for i, row in enumerate(rows)]
    model.encode(rows[0], np.random.default_rng(9))
    again = [model.encode(row, np.random.default_rng(i)) for i, row in reversed(list(enumerate(rows)))][::-1]
    assert all(a.equal(b) for a, b in zip(once, again, strict=True))
    assert len({tuple(model.encode(rows[0], np.random.default_rng(i)).tolist()) for i in range(20)}) > 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_gives_it_back(kind: str, tmp_path: Path) -> None:
    model, row = fitted(kind), corpus()[0]
    assert store.save(model, tmp_path / "bpe", kind="subwords") == model.fingerprint == fitted(kind).fingerprint
    back = store.restore(tmp_path / "bpe", expect=UnitBPE, changes={"alpha": 0.1})
    assert (back.alpha, back.fingerprint) == (0.1, model.fingerprint) and back.encode(row).equal(model.encode(row))
    assert pickle.loads(pickle.dumps(back)).encode(row).equal(model.encode(row))  # a spawned loader worker
    assert {p.name for p in (tmp_path / "bpe").iterdir()} == {"config.yaml", "weights.safetensors", "meta.json"}
    with pytest.raises(UserError, match="give 0 to 1 to BPE"):
        store.restore(tmp_path / "bpe", changes={"alpha": -1.0})


@pytest.mark.parametrize("kind", KINDS)
def test_durations_add_up(kind: str) -> None:
    model = fitted(kind)
    rows = [row.repeat_interleave(torch.randint(1, 4, (len(row),))) for row in corpus()[:3]]
    units = Dedup()(Units(pad([row[:, None] for row in rows], HOP), (12,), "km12"))
    made = model(units)
    assert made.vocab == (model.size,) and made.ids.hop is None and made.durations is not None
    assert made.durations.hop == HOP and [int(d.sum()) for d in unpad(made.durations)] == [len(row) for row in rows]
    for ids, merged, alone in zip(unpad(made.ids), unpad(units.ids), rows, strict=True):
        assert model.decode(ids[:, 0]).equal(merged[:, 0])
        assert ids.equal(model(Dedup()(Units(pad([alone[:, None]], HOP), (12,), "km12"))).ids.data[0])
    frames = model(Units(pad([row[:, None] for row in rows], HOP), (12,), "km12"))  # not merged: one frame each
    assert frames.durations is not None and [int(d.sum()) for d in unpad(frames.durations)] == list(map(len, rows))
    with pytest.raises(ValueError, match=r"vocabulary \(12,\), not \(13,\)"):
        model(Units(pad([rows[0][:, None]], HOP), (13,), "km13"))


def test_strangers_are_refused() -> None:
    model = fitted("bpe")
    assert model.over(STREAM) == Stream(None, (30,), f"km12+dedup+{model.fingerprint}")
    with pytest.raises(UserError, match=r"fitted on 12 units km12\+dedup, and these are km12; fit subwords on these"):
        model.over(Stream(HOP, (12,), "km12"))
    with pytest.raises(ValueError, match="units run from 0 to 12, outside 0 to 11"):
        model.encode(torch.tensor([0, 12]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("size", "vocab", "says"),
    [
        (5000, (12,), r"size=5000: the data allow at most \d+ subwords; give fewer, or more data"),
        (11, (12,), "size=11: fewer subwords than the 12 units"),
        (200_000, (MOST + 1,), f"{MOST + 1} units, and there are characters for {MOST}"),
        (30, (12, 12), "2 codebooks, and subwords join units of one"),
    ],
)
def test_what_cannot_be_fitted_is_said_in_a_sentence(kind: str, size: int, vocab: tuple[int, ...], says: str) -> None:
    with pytest.raises(UserError, match=says):
        fit_subwords(corpus(), size, kind, stream=Stream(None, vocab, "x"))  # type: ignore[arg-type]


def test_the_largest_size_that_is_named_can_be_fitted() -> None:
    with pytest.raises(UserError) as found:
        fitted("bpe", 5000)
    most = int(str(found.value).split("at most ")[1].split()[0])
    assert fitted("bpe", most).size == most


def test_what_is_wrong_with_a_row_is_not_lost() -> None:
    def rows() -> object:
        yield torch.tensor([1, 2])
        raise UserError("the cut c1 has no units")

    with pytest.raises(UserError, match="the cut c1 has no units"):
        fit_subwords(rows(), 30, stream=STREAM)  # type: ignore[arg-type]


def test_subwords_are_no_longer_than_asked_for() -> None:
    assert max(map(len, fitted("bpe", 28, longest=3)._spelled)) == 3


def test_arguments_are_checked() -> None:
    node = {"_target_": "speechunits.units.unit_bpe.UnitBPE", "size": 3, "units": 2, "source": "x", "proto_size": 1}
    for kind, alpha in (("bpe", 1.5), ("unigram", -0.1)):
        with pytest.raises(ConfigError, match="give 0 to 1 to BPE, 0 or more"):
            build({**node, "kind": kind, "alpha": alpha})
