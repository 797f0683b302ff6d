"""A vocoder and its discriminators under the loop: accumulation, and discriminators that wait."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch

from speechunits.protocols import Adversarial
from speechunits.tasks.vocoder_training import VocoderTraining
from speechunits.train.adversarial_module import AdversarialModule
from tests.tasks.frame_vocoder import batch, rows_of
from tests.tasks.test_vocoder_training import make
from tests.train.test_module import fit


def after(model: VocoderTraining, *windows: list[Any]) -> dict[str, torch.Tensor]:
    """Weights and buffers after so many updates."""
    descent = partial(torch.optim.SGD, lr=1e-2)
    options = {"optimizer": descent, "discriminator_optimizer": descent, "clip": 1.0}
    module = fit([*windows], model, None, AdversarialModule, **options)
    assert module.step == len(windows) and module.rejected == 0
    return dict(module.model.state_dict())


def test_accumulation_is_one_batch() -> None:
    model, first, second = make(), batch(9, 8, 9), batch(9, 9, 9, seed=1)
    assert isinstance(model, Adversarial)
    whole = after(copy.deepcopy(model), [first], [second])
    apart = after(model, [rows_of(first, 1), rows_of(first, 0, 2)], [rows_of(second, i) for i in range(3)])
    for name, state in whole.items():
        torch.testing.assert_close(apart[name], state, rtol=1e-6, atol=1e-9)


def test_discriminators_rest_until_they_are_let_in() -> None:
    model, heard = make(adversarial_from=1), batch(9, 9)
    before = copy.deepcopy(model.state_dict())
    for updates, still in ((1, True), (2, False)):
        found = after(copy.deepcopy(model), *[[heard]] * updates)
        weights = [name for name, _ in model.named_parameters() if name.startswith("discriminator.")]
        assert all(found[name].equal(before[name]) is still for name in weights)
        assert not found["generator.linear.weight"].equal(before["generator.linear.weight"])
