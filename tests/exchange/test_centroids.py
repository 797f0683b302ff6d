"""Centroids of others: plain numbers always, pickles only where they are trusted."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.cluster import MiniBatchKMeans

from speechunits import store
from speechunits.errors import UserError
from speechunits.exchange.centroids import CONVERT
from speechunits.exchange.source import read, read_quantizer
from speechunits.seq import pad
from tests.exchange.test_inert_pickle import Runs

CENTROIDS = np.random.default_rng(0).standard_normal((5, 3))


def fitted() -> MiniBatchKMeans:
    x = np.random.default_rng(1).standard_normal((200, 3)).astype(np.float32)
    return MiniBatchKMeans(6, n_init=1, random_state=0).fit(x)


@pytest.mark.parametrize("kind", ["npy", "safetensors", "pt"])
def test_plain_numbers(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"km.{kind}"
    if kind == "npy":
        np.save(path, CENTROIDS)
    elif kind == "safetensors":
        save_file({"centroids": torch.from_numpy(CENTROIDS)}, path)
    else:
        torch.save(torch.from_numpy(CENTROIDS), path)
    found = read_quantizer(path)
    assert found.vocab == (5,) and torch.equal(found.centroids, torch.from_numpy(CENTROIDS).float())
    store.save(found, tmp_path / "km")
    assert torch.equal(store.restore(tmp_path / "km").centroids, found.centroids)


@pytest.mark.parametrize("how", ["joblib", "compressed", "pickle", "array"])
def test_scikit_learn_where_trusted(how: str, tmp_path: Path) -> None:
    km, path = fitted(), tmp_path / "hubert_base_ls960_L9_km6.bin"
    if how == "pickle":
        path.write_bytes(pickle.dumps(km))
    else:
        joblib.dump(km.cluster_centers_ if how == "array" else km, path, compress=3 if how == "compressed" else 0)
    with pytest.raises(UserError, match="give --trust-pickle if you trust them, or convert it: python -c") as said:
        read_quantizer(path)
    assert "\n" not in str(said.value)
    ours = read_quantizer(path, trust_pickle=True)
    x = np.random.default_rng(2).standard_normal((50, 3)).astype(np.float32)
    _, codes, _ = ours(pad([torch.from_numpy(x)], None))
    assert codes[0, :, 0].tolist() == km.predict(x).tolist()


@pytest.mark.slow  # starts a process
def test_the_conversion_that_is_advised(tmp_path: Path) -> None:
    joblib.dump(fitted(), tmp_path / "km.bin")
    subprocess.run([sys.executable, "-c", CONVERT.format(name="km.bin")], cwd=tmp_path, check=True)
    assert torch.equal(
        read_quantizer(tmp_path / "centroids.npy").centroids, torch.from_numpy(fitted().cluster_centers_)
    )


def test_pickles_do_not_run_unless_trusted(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    bad = Runs(os.mkdir, str(trap))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(bad))
    (tmp_path / "b.pt").write_bytes(pickle.dumps({"model": bad}))
    joblib.dump(bad, tmp_path / "c.joblib")
    np.save(tmp_path / "d.npy", np.array([bad], dtype=object), allow_pickle=True)
    torch.save(bad, tmp_path / "e.pt")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(UserError) as said:
            read(path)
        assert str(path) in str(said.value) and "\n" not in str(said.value) and not trap.exists()
    for name in ("d.npy", "e.pt"):  # of these kinds none is ever run
        with pytest.raises(UserError):
            read(tmp_path / name, trust_pickle=True)
        assert not trap.exists()
    with pytest.raises(UserError, match="holds a NoneType, not a fitted k-means"):
        read(tmp_path / "a.pkl", trust_pickle=True)
    assert trap.exists()


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros(4), "not K centroids of D real numbers"),
        (np.zeros((2, 2, 2)), "not K centroids"),
        (np.zeros((0, 3)), "not K centroids"),
        (np.zeros((2, 3), int), "not K centroids"),
        (np.full((2, 3), np.nan), "a centroid is NaN"),
    ],
)
def test_arrays_that_are_no_centroids(array: np.ndarray, says: str, tmp_path: Path) -> None:
    np.save(tmp_path / "km.npy", array)
    with pytest.raises(UserError, match=says):
        read_quantizer(tmp_path / "km.npy")


def test_files_that_are_not_whole(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", CENTROIDS)
    save_file({"c": torch.from_numpy(CENTROIDS)}, tmp_path / "b.safetensors")
    joblib.dump(fitted(), tmp_path / "c.bin")
    for path in list(tmp_path.iterdir()):
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(UserError, match=path.name) as said:
            read_quantizer(path, trust_pickle=True)
        assert "\n" not in str(said.value)
    with pytest.raises(UserError, match="there is no such file"):
        read_quantizer(tmp_path / "none.npy")
