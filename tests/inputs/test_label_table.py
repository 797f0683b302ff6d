from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from speechunits import store
from speechunits.config import build
from speechunits.errors import UserError
from speechunits.inputs.label_table import LabelTable
from speechunits.seq import Seq, pad
from speechunits.text.names import Names

TREE = {
    "_target_": "speechunits.inputs.label_table.LabelTable",
    "names": {"_target_": "speechunits.text.names.Names", "names": ["ada", "bob"]},
    "dim": 3,
}


def frames(*lengths: int) -> Seq:
    return pad([torch.zeros(n, 5) for n in lengths], Fraction(1, 50))


def test_each_frame_has_the_vector_of_its_label() -> None:
    made = LabelTable(Names(["ada", "bob"]), 3, field="style")
    beside = made({"style": ["bob", "ada"]}, frames(4, 2))
    weight = made.vectors.weight
    assert beside.shape == (2, 4, 3) and made.labels == {} and made.field == "style"
    torch.testing.assert_close(beside, torch.stack([weight[1], weight[0]])[:, None].expand(-1, 4, -1))
    beside[0].sum().backward()
    assert weight.grad is not None and weight.grad.tolist() == [[0.0] * 3, [4.0] * 3]


def test_a_stranger_is_named() -> None:
    with pytest.raises(UserError, match="there is no speaker 'eve'; the known ones are: ada, bob"):
        build(TREE)({"speaker": ["ada", "eve"]}, frames(4, 2))


def test_a_folder_gives_it_back(tmp_path: Path) -> None:
    made = build(TREE)
    store.save(made, tmp_path / "table")
    back, batch = store.restore(tmp_path / "table"), {"speaker": ["bob"]}
    assert back(batch, frames(2)).equal(made(batch, frames(2))) and back.names.names == ("ada", "bob")
