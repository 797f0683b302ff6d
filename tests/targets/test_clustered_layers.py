"""Codes of the teacher's top blocks: which vectors, which frames, and the same in any batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from speechunits.config import ConfigError, build, load
from speechunits.draws import draws
from speechunits.pretraining import SSLModel
from speechunits.seq import Seq, pad
from tests.test_teacher import audio


def model(*overrides: str) -> SSLModel:
    torch.manual_seed(0)
    made = build(load("system/dinosr_base.yaml", "size/toy.yaml", *overrides)["model"], streams={})
    assert isinstance(made, SSLModel)
    return made.double()


def batch(x: Seq, *ids: str) -> dict[str, Any]:
    return {"audio": x, "draws": draws(ids), "ids": list(ids)}


def codes(made: SSLModel, items: dict[str, Any]) -> Seq:
    from speechunits.objectives.passes import Passes

    student = made.encoder(items["audio"], items["draws"])
    return made.objectives["units"].target(Passes([student], made.teacher(items["audio"])), items)  # type: ignore[no-any-return]


@pytest.mark.parametrize("place", ["ffn", "layer"])
def test_vectors_are_the_normalised_outputs_of_the_top_blocks(place: str) -> None:
    made = model("model.objectives.units.target.top=1", f"model.objectives.units.target.place={place}").eval()
    target = made.objectives["units"].target
    assert target.reads == [f"{place}:2"] and target.vocab == (256,)
    x = audio()
    look = made.teacher(x)
    found = codes(made, batch(x, "a", "b"))
    book = target.quantizer.codes[0]
    for i, n in enumerate(look.hidden.final.lengths.tolist()):
        output = look.hidden.ffn[1] if place == "ffn" else look.hidden.layers[2]
        vectors = F.instance_norm(output[i, :n].T[None])[0].T
        assert torch.equal(found.data[i, :n, 0], torch.cdist(vectors, book).argmin(1))
        assert (found.data[i, n:] == -1).all()


def test_an_encoder_with_fewer_blocks_gives_all_of_them() -> None:
    assert model().objectives["units"].target.vocab == (256, 256)


def test_only_hidden_frames_move_the_codebooks_and_only_in_training() -> None:
    made, x = model(), audio()
    items = batch(x, "a", "b")
    quantizer = made.objectives["units"].target.quantizer
    made.eval().terms(items)
    assert quantizer._gathered is None
    made.train()
    hidden = int(made.encoder.frames(x, items["draws"], "mask:0").pick("masked").sum())
    made.terms(items)
    assert quantizer._gathered[1].sum(1).tolist() == [hidden, hidden]


def test_batching_changes_no_code() -> None:
    made, x = model().eval(), audio()
    both = codes(made, batch(x, "a", "b"))
    for i, name in enumerate("ab"):
        n = int(x.lengths[i])
        alone = codes(made, batch(pad([x.data[i, :n]], x.hop), name))
        assert torch.equal(alone.data[0], both.data[i, : alone.data.size(1)])


def test_the_student_learns_and_the_teacher_gets_no_gradient() -> None:
    made, items = model().train(), batch(audio(), "a", "b")
    terms = made.terms(items)
    assert terms["units/ce"].weight == 1 and torch.equal(terms["units/ce"].den, made.counts(items)["units/ce"])
    terms["units/ce"].value.backward()
    assert all(p.grad is not None for p in made.encoder.parameters())
    assert all(p.grad is None for p in made.teacher.parameters())


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("model.teacher=null", "of a teacher, and there is none"),
        ("model.objectives.units.target.top=0", "at least the last block"),
        ("model.objectives.units.target.quantizer.size=1", "at least two codes"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(override: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        model(override)
