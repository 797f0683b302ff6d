from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from speechunits.config import check
from speechunits.data.batch_plan import BatchPlan
from speechunits.data.fields import AudioField
from speechunits.data.mixture import Mixed, Mixture, named
from speechunits.data.transforms import Crop
from speechunits.data.window_loader import WindowLoader
from speechunits.errors import UserError
from speechunits.train.datamodule import SpeechDataModule

Corpus = Callable[..., Path]
INF = float("inf")


def test_temperature_draws_shares_together():
    corpora, seconds = {"en": "a", "es": "b"}, {"en": 900.0, "es": 100.0}
    shares = {t: Mixture(t).shares(corpora, seconds) for t in (1.0, 2.0, INF)}
    assert shares[1.0] == pytest.approx({"en": 0.9, "es": 0.1})
    assert shares[2.0] == pytest.approx({"en": 0.75, "es": 0.25})  # 30 : 10
    assert shares[INF] == pytest.approx({"en": 0.5, "es": 0.5})
    assert Mixture(1.0, {"es": 3.0}).shares(corpora, seconds) == pytest.approx({"en": 0.75, "es": 0.25})


def test_groups_are_mixed_before_their_corpora():
    corpora = {"en": {"mls": "a", "cv": ["b", "c"]}, "es": "d"}
    assert [name for name, _ in named(corpora)] == ["en.mls", "en.cv", "es"]
    seconds = {"en.mls": 300.0, "en.cv": 100.0, "es": 100.0}
    equal = Mixture(INF, {"en.cv": 3.0}).shares(corpora, seconds)
    assert equal == pytest.approx({"en.mls": 0.125, "en.cv": 0.375, "es": 0.5})
    assert Mixture(INF, {"en": 3.0}).shares(corpora, seconds)["es"] == pytest.approx(0.25)


def test_what_is_out_of_range_is_refused():
    with pytest.raises(UserError, match=r"temperature=0\.5"):
        Mixture(0.5)
    with pytest.raises(UserError, match=r"weights\.en=0"):
        Mixture(1.0, {"en": 0.0})
    with pytest.raises(UserError, match=r"weights\.fr: no such corpus; there are en, es"):
        Mixture(1.0, {"fr": 2.0}).shares({"en": "a", "es": "b"}, {"en": 1.0, "es": 1.0})


def mixed(shares: dict[str, float], sizes: list[int]) -> tuple[Mixed, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    seconds = random.uniform(1, 15, sum(sizes))
    corpus = np.repeat(np.arange(len(sizes)), sizes)
    order = random.permutation(sum(sizes))  # manifests are not sorted by length
    return Mixed(seconds[order], np.arange(sum(sizes)) + 1000, corpus[order], shares), seconds[order], corpus[order]


def test_every_corpus_takes_its_share_and_every_cut_its_turn():
    sizes, shares = [700, 300, 40], {"a": 0.5, "b": 0.2, "c": 0.3}
    made, seconds, corpus = mixed(shares, sizes)
    counts = np.zeros(sum(sizes))
    for epoch in range(40):
        rows, visits = made.epoch(epoch)
        cuts = rows - 1000
        heard = np.bincount(cuts, minlength=sum(sizes))
        time = np.bincount(corpus[cuts], seconds[cuts]) / seconds[cuts].sum()
        np.testing.assert_allclose(time, [0.5, 0.2, 0.3], atol=0.01)
        assert seconds[cuts].sum() == pytest.approx(seconds.sum(), rel=0.02)  # as long as all corpora together
        assert (seconds[cuts] <= made.seconds).all() and np.mean(made.seconds - seconds[cuts]) < 0.3
        each = np.bincount(corpus[cuts]) / sizes  # n / N
        assert (heard <= np.ceil(each)[corpus] + 1).all() and (heard >= np.floor(each)[corpus] - 1).all()
        for cut in np.flatnonzero(heard > 1)[:5]:
            assert sorted(visits[cuts == cut]) == list(range(heard[cut]))
        counts += heard
    expected = (counts.reshape(-1)[corpus == 2].mean(), 40 * np.bincount(corpus[made.epoch(0)[0] - 1000])[2] / 40)
    assert expected[0] == pytest.approx(expected[1])
    assert counts.min() > 0  # nobody is left out for good


def test_shares_as_they_are_hear_every_cut_once():
    made, seconds, corpus = mixed({"a": 0.0, "b": 0.0}, [30, 20])
    natural = np.bincount(corpus, seconds) / seconds.sum()
    made = Mixed(seconds, np.arange(50), corpus, dict(zip("ab", natural.tolist(), strict=True)))
    rows, visits = made.epoch(3)
    assert sorted(rows.tolist()) == list(range(50)) and not visits.any()


def test_epochs_and_seeds_differ_and_repeat():
    shares = {"a": 0.5, "b": 0.5}
    one, other = mixed(shares, [50, 10])[0], mixed(shares, [50, 10])[0]
    assert one.name == other.name and (one.epoch(1)[0] == other.epoch(1)[0]).all()
    assert (one.epoch(1)[0] != one.epoch(2)[0]).any()
    assert mixed({"a": 0.4, "b": 0.6}, [50, 10])[0].name != one.name


def windows(corpora: dict[str, str], ranks: int = 1, rank: int = 0, accumulate: int = 2, **how: object) -> WindowLoader:
    module = SpeechDataModule(
        corpora,
        {"audio": AudioField()},
        1.0,
        transforms=[Crop(0.3)],
        accumulate=accumulate,
        num_workers=0,
        **how,  # type: ignore[arg-type]
    )
    module._ranks = lambda: (ranks, rank)  # type: ignore[method-assign]
    return module.train_dataloader()


def test_training_hears_the_mixture(corpus: Corpus):
    corpora = {"large": str(corpus([0.4] * 30, "l")), "small": str(corpus([0.4] * 3, "s"))}
    assert len(windows(corpora)) == len(windows(corpora, mixture=Mixture()))  # as they are
    found = [batch for window in windows(corpora, mixture=Mixture(INF)) for batch in window]
    small = [i for batch in found for i, name in enumerate(batch["ids"]) if name.startswith("s")]
    heard = [name for batch in found for name in batch["ids"]]
    assert len(small) / len(heard) == pytest.approx(0.5, abs=0.05)
    # the same cut is cropped elsewhere each time it comes
    parts = [b["audio"].data[i] for b in found for i, name in enumerate(b["ids"]) if name == "s0"]
    assert len(parts) > 3 and len({float(part.sum()) for part in parts}) == len(parts)


def test_two_ranks_hear_what_one_does(corpus: Corpus):
    corpora = {"large": str(corpus([0.4] * 30, "l")), "small": str(corpus([0.4] * 3, "s"))}

    def ids(*loaders: WindowLoader) -> list[list[str]]:
        return [[name for w in each for b in w for name in b["ids"]] for each in zip(*loaders, strict=True)]

    how = {"mixture": Mixture(3.0)}
    both = [windows(corpora, 2, rank, 1, **how) for rank in (0, 1)]
    assert ids(*both) == ids(windows(corpora, **how))


def test_a_mixture_needs_names(corpus: Corpus):
    path = str(corpus([0.4] * 3))
    with pytest.raises(UserError, match=r"data\.train must name its corpora"):
        SpeechDataModule(path, {"audio": AudioField()}, 1.0, mixture=Mixture())
    with pytest.raises(UserError, match=r"data\.train\.b: no cut is within"):
        windows({"a": path, "b": str(corpus([0.2] * 3, "b"))}, mixture=Mixture(), min_duration=0.3)


def test_the_plan_of_a_mixture_keeps_to_the_limit():
    made, _, _ = mixed({"a": 0.2, "b": 0.8}, [300, 50])
    plan = BatchPlan(made.seconds, 60.0, made.name, accumulate=2)
    assert plan.windows > 5 and plan.epoch(0).batch(0, 0, 0).max() < len(made.seconds)


def test_what_the_documentation_writes_is_accepted():
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    data: dict[str, object] = {}
    for block in re.findall(r"```yaml\n(.*?)```", text, re.S):
        data |= OmegaConf.to_container(OmegaConf.create(block))["data"]  # type: ignore[index, operator, call-overload]
    assert set(data) == {"train", "mixture", "transforms"}
    audio = {"_target_": "speechunits.data.fields.AudioField"}
    tree = {
        "_target_": "speechunits.train.datamodule.SpeechDataModule",
        "max_seconds": 60.0,
        "fields": {"audio": audio},
    }
    assert check({**tree, **data}) == []
