"""Draws depend on (seed, epoch, id, purpose) and on nothing else."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from speechunits.draws import Draws, draws

ROOT = Path(__file__).resolve().parent.parent


def first(d: Draws, index: int = 0, purpose: str = "mask") -> list[int]:
    return d.generator(index, purpose).integers(1 << 30, size=4).tolist()


def test_batch_mates_and_order_do_not_matter():
    alone = first(draws(["b"], seed=3, epoch=2))
    assert first(draws(["a", "b", "c"], seed=3, epoch=2), 1) == alone
    assert first(draws(["b", "a"], seed=3, epoch=2), 0) == alone


@pytest.mark.parametrize("other", [draws(["a"], 1, 0), draws(["a"], 0, 1), draws(["b"], 0, 0), draws(["a"], 0, -1)])
def test_seed_epoch_and_id_each_matter(other: Draws):
    assert first(other) != first(draws(["a"]))


def test_purposes_are_independent():
    assert first(draws(["a"]), purpose="mask") != first(draws(["a"]), purpose="crop")


def test_fields_of_the_key_cannot_run_into_each_other():
    assert first(draws(["1"], 1, 11)) != first(draws(["1"], 11, 1)) != first(draws(["11"], 1, 1))


def test_asking_again_starts_afresh():
    d = draws(["a"])
    assert first(d) == first(d)


def test_generators_are_one_per_utterance():
    values = [g.integers(1 << 30, size=4).tolist() for g in draws(["a", "b"]).generators("noise")]
    assert values == [first(draws(["a"]), purpose="noise"), first(draws(["b"]), purpose="noise")]


def test_the_seed_is_a_hash_of_the_key():
    """blake2b of the key as written, so that no interpreter's ``hash`` and no process enters."""
    digest = hashlib.blake2b(b"5\x007\x00cut\x00mask", digest_size=16).digest()
    expected = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little"))).random()
    assert draws(["cut"], 5, 7).generator(0, "mask").random() == expected


@pytest.mark.slow
def test_another_process_draws_the_same():
    code = "from speechunits.draws import draws; print(draws(['a'], 1, 2).generator(0, 'mask').integers(1 << 30))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(out.stdout) == draws(["a"], 1, 2).generator(0, "mask").integers(1 << 30)


def test_once_makes_once_per_batch():
    made = []
    d = draws(["a"])
    for _ in range(3):
        d.once("key", lambda: made.append(1))
    assert made == [1]
    draws(["a"]).once("key", lambda: made.append(1))
    assert made == [1, 1]


def test_a_scope_draws_apart_and_remembers_apart():
    plain = draws(["a"], seed=1)
    one, two = plain.scoped("view:0"), plain.scoped("view:1")
    values = [d.generator(0, "noise").random() for d in (plain, one, two, one.scoped("view:0"))]
    assert len(set(values)) == 4 and plain.scoped("view:0").generator(0, "noise").random() == values[1]
    plain.once("mask", lambda: 1)
    assert one.once("mask", lambda: 2) == 2
