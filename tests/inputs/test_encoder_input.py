"""EncoderInput: what the encoder gives, frozen or tuned, hidden or not; a folder that needs no other."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits import store
from speechunits.config import build, check_build
from speechunits.inputs.encoder_input import EncoderInput
from tests.inputs.toy import AUGMENT, CONV1D, CONVOLVED, MIX, batch, check_input, check_saved, encoder_folder

LORA = {"_target_": "speechunits.tuning.lora.LoRA", "rank": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encoder_folder(tmp_path_factory.mktemp("encoder") / "encoder")


def tree(folder: Path, **more: Any) -> dict[str, Any]:
    restore = {"_target_": "speechunits.store.restore", "folder": str(folder)}
    return {"_target_": "speechunits.inputs.encoder_input.EncoderInput", "encoder": restore, **more}


def make(folder: Path, **more: Any) -> EncoderInput:
    made: EncoderInput = build(tree(folder, **more)).double()
    return made


@pytest.mark.parametrize("read", ["final", "layer:1", MIX, CONVOLVED])
def test_it_gives_what_the_encoder_gives(folder: Path, read: Any) -> None:
    made, one = make(folder, read=read), batch(1.0, 0.6)
    look = store.restore(folder).double()(one["audio"])
    if isinstance(read, str):
        expected = look.read(read).data
    else:
        assert made.joined is not None
        expected = made.joined(look.hidden.layers)
    torch.testing.assert_close(made(one).data, expected)


@pytest.mark.parametrize(
    "more",
    [
        {"read": "layer:1", "augment": AUGMENT, "subsampling": CONV1D},
        {"read": MIX, "augment": AUGMENT, "subsampling": CONV1D},
        {"read": CONVOLVED, "norm": {"_target_": "speechunits.nn.global_norm.GlobalNorm"}},
        {"read": "final", "tuning": LORA},
    ],
)
def test_it_keeps_to_the_contract(folder: Path, more: dict[str, Any], tmp_path: Path) -> None:
    made = make(folder, **more)
    if "tuning" in more:  # B of a low-rank change is zero at first, and then A has no gradient
        for p in made.encoder.parameters():
            p.data += 0.01 * p.requires_grad
    check_input(made)
    check_saved(tree(folder, **more), tmp_path / "input")


def test_a_frozen_encoder_stays_as_it_is_and_sees_everything(folder: Path) -> None:
    made, one = make(folder, read=MIX).train(), batch(1.0, 0.6)
    assert not made.encoder.training and made.joined is not None and made.joined.training
    heard = made(one, one["draws"])
    heard.data.square().sum().backward()
    assert all(p.grad is None for p in made.encoder.parameters()) and made.joined.weights.grad is not None
    torch.testing.assert_close(heard.data, made(one).data)


def test_a_tuned_encoder_hides_what_its_masker_says(folder: Path) -> None:
    made, one = make(folder, tuning={"_target_": "speechunits.tuning.full.Full"}).train(), batch(1.0, 0.6)
    assert made.encoder.training
    seen = made(one, one["draws"])
    assert not seen.data.equal(made(one).data)
    torch.testing.assert_close(seen.data, made.encoder(one["audio"], one["draws"]).read("final").data)
    seen.data.square().sum().backward()
    assert any(p.grad is not None for p in made.encoder.encoder.parameters())
    assert all(p.grad is None for p in made.encoder.frontend.parameters())


def test_its_folder_needs_no_other(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "encoder")
    made = make(other, read="layer:1").float().eval()
    store.save(made, tmp_path / "input", kind="input")
    shutil.rmtree(other)
    one = batch(0.5)
    one["audio"] = one["audio"].to(torch.float32)
    torch.testing.assert_close(store.restore(tmp_path / "input")(one).data, made(one).data)


@pytest.mark.parametrize(
    ("read", "says"),
    [
        ("layer:3", "'layer:3': the encoder has layers 0 to 2"),
        ("clean", "'clean' is no layer of the encoder; give final or layer:N"),
        ("branch:slow", "'branch:slow' cannot be read"),
        ({**CONVOLVED, "stride": 4}, "at most 3 layers"),
    ],
)
def test_what_cannot_be_read_is_named_before_anything_is_built(folder: Path, read: Any, says: str) -> None:
    found = check_build(tree(folder, read=read), at="model.input")
    assert len(found) == 1 and says in found[0]
