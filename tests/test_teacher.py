"""The teacher moves as the paper says, and nothing of the student reaches it by gradient or dropout."""

from __future__ import annotations

import copy
from fractions import Fraction

import pytest
import torch

from speechunits.config import build, load
from speechunits.encoder import SpeechEncoder
from speechunits.seq import Seq, pad
from speechunits.teacher import Teacher


def student(*overrides: str) -> SpeechEncoder:
    torch.manual_seed(0)
    made = build(load("system/dinosr_base.yaml", "size/toy.yaml", *overrides)["model"]["encoder"])
    assert isinstance(made, SpeechEncoder)
    return made.double()


def moved(encoder: SpeechEncoder) -> SpeechEncoder:
    with torch.no_grad():
        for p in encoder.parameters():
            p.add_(torch.randn_like(p))
    return encoder


def audio() -> Seq:
    return pad([torch.randn(4000, dtype=torch.float64), torch.randn(3000, dtype=torch.float64)], Fraction(1, 16000))


def test_layers_are_averaged_and_positions_copied() -> None:
    encoder = student()
    teacher = Teacher(0.9, 0.9, encoder=encoder)
    before = copy.deepcopy(teacher.encoder.state_dict())
    teacher.on_step(1, moved(encoder))
    theirs = encoder.encoder.state_dict()
    assert any(name.startswith("positions.") for name in before)
    for name, now in teacher.encoder.state_dict().items():
        expected = theirs[name] if name.startswith("positions.") else 0.9 * before[name] + 0.1 * theirs[name]
        torch.testing.assert_close(now, expected, rtol=0, atol=1e-12)


def test_decay_goes_linearly_to_its_end() -> None:
    teacher = Teacher(0.999, 0.9999, anneal_steps=30000, freeze_step=200001, encoder=student())
    at = [teacher.decay_at(step) for step in (0, 15000, 30000, 199999, 200000, 200001, 300000)]
    assert at == pytest.approx([0.999, 0.99945, 0.9999, 0.9999, 0.9999, 1.0, 1.0], abs=1e-12)


def test_it_sees_everything_in_evaluation_mode_without_gradient() -> None:
    encoder = student("model.encoder.encoder.dropout=0.5", "model.encoder.projection.dropout=0.5").train()
    teacher = Teacher(encoder=encoder).train()
    x = audio()
    look, again = teacher(x), teacher(x, encoder.frontend(x))
    assert torch.equal(look.hidden.final.data, again.hidden.final.data)  # no dropout anywhere
    assert encoder.projection.dropout.training and not teacher.encoder.training
    expected = encoder.eval()(x)
    torch.testing.assert_close(look.hidden.final.data, expected.hidden.final.data, rtol=0, atol=1e-12)
    assert not look.frames.masked.any() and not look.hidden.final.data.requires_grad
    assert len(look.hidden.ffn) == encoder.depth
    assert all(not p.requires_grad for p in teacher.parameters())


def test_ffn_is_what_a_block_adds_before_its_residual() -> None:
    encoder = student("model.encoder.encoder.norm_first=true").eval()
    look = Teacher(encoder=encoder)(audio())
    block, x = encoder.encoder.layers[1], look.hidden.layers[1]
    valid = look.frames.valid[:, None, None, :]
    middle = x + block.attention(block.attention_norm(x), valid)
    torch.testing.assert_close(look.read("ffn:2").data, look.hidden.layers[2] - middle, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="blocks 1 to 2"):
        look.read("ffn:3")


def test_from_its_freeze_step_on_it_stands_still_with_all_it_shares() -> None:
    encoder = student()
    teacher = Teacher(0.5, 0.5, freeze_step=2, encoder=encoder)
    teacher.on_step(1, encoder)
    moving = copy.deepcopy(teacher.state_dict())
    assert all(p.requires_grad for p in encoder.parameters())
    before = copy.deepcopy(teacher.encoder.state_dict())
    teacher.on_step(2, moved(encoder))
    assert all(torch.equal(before[name], now) for name, now in teacher.encoder.state_dict().items())
    still = [*encoder.frontend.parameters(), *encoder.projection.parameters()]
    assert still and not any(p.requires_grad for p in still)
    assert all(p.requires_grad for p in encoder.encoder.parameters())

    fresh = student()
    resumed = Teacher(0.5, 0.5, freeze_step=2, encoder=fresh)
    resumed.load_state_dict(teacher.state_dict())
    assert not any(p.requires_grad for p in fresh.frontend.parameters())
    resumed.load_state_dict(moving)
    assert all(p.requires_grad for p in fresh.parameters()), "a run that goes back to before trains them again"
    other = copy.deepcopy(resumed)
    other.load_state_dict(teacher.state_dict())
    shared = other._student[0]
    assert shared is not fresh and not any(p.requires_grad for p in shared.frontend.parameters())
    assert all(p.requires_grad for p in fresh.parameters()), "a copy freezes its own student"


def test_it_begins_anew_with_other_weights() -> None:
    encoder = student()
    teacher = Teacher(encoder=encoder)
    moved(encoder)
    teacher.copy_student()
    theirs = encoder.encoder.state_dict()
    assert all(torch.equal(theirs[name], now) for name, now in teacher.encoder.state_dict().items())


def test_a_decay_beyond_one_is_refused() -> None:
    with pytest.raises(ValueError, match="both lie between 0 and 1"):
        Teacher(1.5, encoder=student())
