"""Parts wait for what their parent supplies."""

from __future__ import annotations

from functools import partial

import pytest

from speechunits.config import build, load
from speechunits.errors import UserError
from speechunits.heads.linear import LinearHead
from speechunits.part import ConfigError, Slot, all_of, fill, fill_all, node_of

HEAD = {"_target_": "speechunits.heads.linear.LinearHead", "temperature": 0.5}


def test_a_part_that_lacks_supplied_arguments_is_a_slot_until_filled():
    slot = build(HEAD)
    assert isinstance(slot, Slot)
    head = fill(slot, dim=4, vocab=(3, 2), hop="ignored")  # only what it takes is given
    assert isinstance(head, LinearHead) and head.linear.out_features == 5 and head.temperature == 0.5


def test_classes_and_partials_are_filled_and_built_parts_are_left_alone():
    assert fill(LinearHead, dim=4, vocab=(3,)).vocab == (3,)
    assert fill(partial(LinearHead, 2.0), dim=4, vocab=(3,)).temperature == 2.0
    built = LinearHead(dim=4, vocab=(3,))
    assert fill(built, dim=9, vocab=(1,)) is built


def test_node_of_holds_what_was_typed_and_supplied():
    head = fill(build(HEAD), dim=4, vocab=(3,))
    assert node_of(head) == {**HEAD, "dim": 4, "vocab": (3,)}
    with pytest.raises(UserError, match="LinearHead was built by hand"):
        node_of(LinearHead(dim=4, vocab=(3,)))


def test_building_does_not_change_the_tree():
    tree = load("system/hubert_base.yaml", "size/toy.yaml")["model"]["encoder"]
    before = repr(tree)
    build(tree)
    assert repr(tree) == before


def test_mistakes_of_siblings_are_reported_together():
    bad = {"_target_": "speechunits.encoders.transformer.TransformerEncoder", "dim": 32, "heads": 5}
    good = {"_target_": "torch.nn.Identity"}
    with pytest.raises(ConfigError) as caught:
        build({"a": bad, "b": good, "c": [good, bad]})
    assert [m.partition(":")[0] for m in caught.value.mistakes] == ["a", "c[1]"]
    with pytest.raises(ConfigError, match="2 mistake") as caught:
        fill_all({"x": build(HEAD), "y": build(HEAD), "z": good}, dim=4, vocab=3)
    assert all("'int' object is not iterable" in m for m in caught.value.mistakes)


def test_all_of_keeps_keys_and_passes_other_errors_on():
    assert all_of({1: lambda: "a", 2: lambda: "b"}) == {1: "a", 2: "b"}
    with pytest.raises(ZeroDivisionError):
        all_of({1: lambda: 1 / 0})
