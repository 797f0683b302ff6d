"""Numbers that shapes do not tell: who is asked first, and what follows from convention."""

from __future__ import annotations

import pytest
import torch

from speechunits.errors import UserError
from speechunits.exchange.architecture import STRIDES, settle, usual_numbers
from speechunits.exchange.names import to_ours
from tests.exchange.toy import model

USUAL = {"heads": 12, "strides": STRIDES, "norm_first": False, "normalize_audio": False}


def test_the_source_then_the_user_then_convention() -> None:
    found = settle("w.pt", {"heads": 4, "dropout": None}, {"norm_first": True, "strides": None}, USUAL)
    assert (found.heads, found.norm_first, found.strides, found.dropout) == (4, True, STRIDES, 0.1)


def test_the_user_may_not_contradict_the_source() -> None:
    assert settle("w.pt", {"heads": 4}, {"heads": 4}, USUAL).heads == 4
    with pytest.raises(UserError, match=r"w\.pt: says itself that heads is 4, not 8; leave the option out"):
        settle("w.pt", {"heads": 4}, {"heads": 8}, USUAL)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("heads", "--heads"),
        ("strides", "--strides"),
        ("norm_first", "--norm-first or --no-norm-first"),
        ("normalize_audio", "--normalize-audio or --no-normalize-audio"),
    ],
)
def test_what_stays_unknown_is_asked_for(name: str, option: str) -> None:
    with pytest.raises(UserError, match=f"does not tell {name}, and the weights do not either; give {option}$"):
        settle("w.pt", {}, {}, {k: v for k, v in USUAL.items() if k != name})


def test_conventions() -> None:
    base, _ = to_ours(model("hubert", "group").state_dict())
    large, _ = to_ours(model("hubert", "layer").state_dict())
    gated, _ = to_ours(model("wavlm", "layer").state_dict())
    assert usual_numbers(base) == {"norm_first": False, "normalize_audio": False, "strides": STRIDES}
    assert usual_numbers(large) == {"norm_first": True, "normalize_audio": True, "strides": STRIDES}
    assert usual_numbers(gated)["heads"] == 4
    for dim, heads in ((768, 12), (1024, 16), (1280, 16)):
        assert usual_numbers({**base, "encoder.norm.weight": torch.ones(dim)})["heads"] == heads
    base["frontend.blocks.0.conv.weight"] = torch.ones(12, 1, 8)
    assert "strides" not in usual_numbers(base)
