"""SpeakerTraining: counts before any pass, views, what it says of data that lack speakers; and it learns unseen voices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits import store
from speechunits.config import build
from speechunits.errors import UserError
from speechunits.protocols import Finishes, Predicts, Trainable
from speechunits.tasks.speaker_encoder import SpeakerEncoder
from speechunits.tasks.speaker_training import SpeakerTraining
from speechunits.tasks.speaker_trials import all_pairs
from speechunits.term import add, loss
from speechunits.train.optim import adamw
from tests.tasks.voices import CONTRASTIVE, EXCERPT, batch, classes, speaker_encoder, training

NAMES = [f"s{i}" for i in range(12)]
BOTH = {"speaker": classes(NAMES), "pairs": CONTRASTIVE}
SAID = [(0, 0), (1, 0), (0, 1)]


def made(losses: dict[str, Any], **changes: Any) -> SpeakerTraining:
    torch.manual_seed(0)
    return build(training(losses, **changes), streams={})  # type: ignore[no-any-return]


def test_it_keeps_to_the_protocols() -> None:
    model = made(BOTH)
    assert isinstance(model, Trainable) and isinstance(model, Predicts) and isinstance(model, Finishes)


@pytest.mark.parametrize("views", [0, 1, 2])
def test_counts_are_those_of_the_terms(views: int) -> None:
    model = made(BOTH, views=[EXCERPT] * views).train()
    one = batch(SAID, [1.0, 0.7, 0.9])
    counts, terms = model.counts(one), model.terms(one)
    assert {n: int(c) for n, c in counts.items()} == {n: int(t.den) for n, t in terms.items() if t.weight}
    assert counts["speaker/loss"] == 3 * max(1, views)
    assert counts["pairs/loss"] == (2 if views < 2 else 6)
    loss(terms, counts).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_views_differ_and_epochs_too() -> None:
    model, one = made(BOTH, views=[EXCERPT, EXCERPT]).train(), batch(SAID)
    first, second = model.vectors(one)
    assert not torch.allclose(first, second)
    assert torch.equal(model.vectors(one), model.vectors(one))


def test_classification_of_micro_batches_adds_up() -> None:
    """Classes do not couple a batch; the contrastive loss does, and says so."""
    model = made({"speaker": classes(NAMES)}).double().eval()
    lengths = [1.0, 0.7, 0.9]
    double = [{**one, "audio": one["audio"].to(torch.float64)} for one in map(batch, [[s] for s in SAID], lengths)]
    whole = batch(SAID, lengths)
    together = model.terms({**whole, "audio": whole["audio"].to(torch.float64)})
    apart = add(model.terms(one) for one in double)
    torch.testing.assert_close(apart["speaker/loss"].num, together["speaker/loss"].num)
    assert int(apart["speaker/loss"].den) == int(together["speaker/loss"].den) == 3


def test_the_folder_has_no_classes(tmp_path: Path) -> None:
    model = made(BOTH).eval()
    ((kind, saved),) = model.artefacts().items()
    store.save(saved, tmp_path / kind, kind=kind)
    assert kind == "speaker_encoder"
    text = (tmp_path / kind / "config.yaml").read_text()
    assert "MarginSoftmax" not in text and "s11" not in text
    back = store.restore(tmp_path / kind, expect=SpeakerEncoder)
    assert torch.equal(back.embed(batch(SAID)["audio"]), model.predict(batch(SAID))["voice"])


def test_unknown_speakers_and_data_without_any() -> None:
    model = made({"speaker": classes(["s0", "s7"])})
    with pytest.raises(UserError, match="'s1'"):
        model.terms(batch(SAID))
    one = batch(SAID)
    del one["speaker"]
    with pytest.raises(UserError, match=r"no field 'speaker'; add data\.fields\.speaker"):
        model.counts(one)
    unnamed = made({"pairs": CONTRASTIVE}, field="ids", views=[EXCERPT, EXCERPT])
    assert int(unnamed.counts(one)["pairs/loss"]) == 6  # every utterance its own speaker


def cosines(encoder: SpeakerEncoder) -> float:
    """How much larger the mean cosine of pairs of one speaker is than of two, of whom none was in training."""
    one = batch([(speaker, number) for speaker in range(100, 108) for number in range(4)], 0.8)
    pairs = all_pairs(one["speaker"])
    scores = pairs.scores(encoder.eval().embed(one["audio"]))
    return float(scores[pairs.same].mean() - scores[~pairs.same].mean())


BARE = {"encoder": None, "pooling": {"_target_": "speechunits.heads.statistics_pooling.StatisticsPooling"}}
LEARN = {
    "classes": ({"speaker": classes(NAMES)}, {"speaker_encoder": speaker_encoder(dim=16, **BARE)}),
    "contrastive": (
        {"pairs": CONTRASTIVE},
        {"speaker_encoder": speaker_encoder(dim=16), "field": "ids", "views": [EXCERPT, EXCERPT]},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", LEARN)
def test_unseen_speakers_are_told_apart(how: str) -> None:
    """After some updates, from classes or without any name; before them nothing points one way or another."""
    losses, changes = LEARN[how]
    model = made(losses, **changes)
    untrained = cosines(model.speaker_encoder)
    optimizer = adamw(model.named_parameters(), lr=1e-2, weight_decay=0.0)
    said = [[(speaker, number + 2 * i) for speaker in range(12) for number in range(2)] for i in range(3)]
    batches = [batch(each, 0.8) for each in said]
    model.train()
    for update in range(45):
        one = batches[update % len(batches)]
        optimizer.zero_grad()
        loss(model.terms(one), model.counts(one)).backward()
        optimizer.step()
        model.speaker_encoder.norm.on_step(update + 1, model)
    assert cosines(model.speaker_encoder) > untrained + 0.1
