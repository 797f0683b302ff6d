"""Autocast and loss scales: what `trainer.precision` computes in, and what it says when fp16 does not suffice."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor

from speechunits.errors import UserError
from speechunits.train.precision import precision_plugin
from tests.train.test_module import Low
from tests.train.tiny import rows, train

KINDS = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Steep(Low):
    """Gradients beyond what fp16 can hold at any scale above 1."""

    def forward(self, x: Tensor, skipped: bool) -> Tensor:
        return 1e6 * super().forward(x, skipped)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("precision", list(KINDS))
def test_each_precision_computes_in_its_type_and_keeps_float32_weights(
    precision: Any, device: str, tmp_path: Path
) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here: what autocast does on one is run where there is one")
    settings: dict[str, Any] = {"accelerator": "gpu" if device == "cuda" else "cpu"}
    full = train(tmp_path / "full", 4, model=Low, **settings)
    module: Any = train(tmp_path / "low", 4, model=Low, precision=precision, **settings)
    assert module.model.kind is KINDS[precision]
    for a, b in zip(full.model.parameters(), module.model.parameters(), strict=True):
        assert b.dtype is torch.float32
        torch.testing.assert_close(a, b, rtol=0, atol=0.05)
    scales = [row.get("train/loss_scale") for row in rows(tmp_path / "low")]
    assert all(scale is None for scale in scales) is (precision != "16-mixed")


def test_a_scale_that_collapses_is_told_though_no_update_is_made(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "speechunits")
    with pytest.raises(UserError, match=r"10 updates in a row after update 0 gave .*bf16-mixed or 32-true"):
        train(tmp_path, 50, model=Steep, precision="16-mixed")
    said = [r.getMessage() for r in caplog.records if r.getMessage().startswith("alarm loss_scale")]
    assert said[0] == (
        "alarm loss_scale after update 0: the loss scale is 0.5, 17 updates were left out (since update 0, 1 time in "
        "this run). Try: trainer.precision=bf16-mixed or 32-true; fp16 is too coarse for this model"
    )
    assert "the loss scale is 0.25, 18 updates were left out (since update 0, 2 times" in said[1]


def test_a_scale_is_resumed(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"model": partial(Low, dropout=0.2), "precision": "16-mixed", "checkpoint_every": 3}
    whole = train(tmp_path / "whole", 6, **settings)
    train(tmp_path / "parts", 3, **settings)
    resume = tmp_path / "parts" / "checkpoints" / "step-000000003.ckpt"
    rest = train(tmp_path / "parts", 6, resume=resume, **settings)
    for a, b in zip(whole.model.parameters(), rest.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert whole.figures["train/loss_scale"] == rest.figures["train/loss_scale"] < 2.0**16, "it was lowered on the way"
    assert whole.rejected == rest.rejected > 0


def test_shards_lower_their_scale_together() -> None:
    kinds = [type(precision_plugin("16-mixed", "cpu", sharded).scaler).__name__ for sharded in (False, True)]  # type: ignore[attr-defined]
    assert kinds == ["GradScaler", "SharedScaler"]
    assert isinstance(precision_plugin("bf16-mixed", "cpu", True), MixedPrecision)
