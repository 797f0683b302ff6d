"""What a source is, told by looking at it; and names of the hub, from the cache alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from speechunits import store
from speechunits.errors import UserError
from speechunits.exchange.source import Imported, read, read_model, read_quantizer
from speechunits.quantizers.kmeans import KMeans
from tests.exchange.toy import folder, model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No network, and an empty cache of the hub."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_a_name_on_the_hub_that_is_cached(weights: str, offline: Path) -> None:
    cached = offline / "models--someone--hubert-toy"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(COMMIT)
    theirs = model("hubert")
    place = folder(theirs, cached / "snapshots" / COMMIT)
    if weights == "pytorch_model.bin":
        (place / "model.safetensors").unlink()
        torch.save(theirs.state_dict(), place / weights)
    found = read_model("someone/hubert-toy")
    assert found.kind == f"transformers hubert, {COMMIT}"
    assert torch.equal(found.encoder.encoder.norm.bias, theirs.encoder.layer_norm.bias)


@pytest.mark.parametrize(
    "name", ["exp/not/there", "./not-there", "../not-there/x", "/not-there", "a b", "hubert.pt", "exp/km.npy"]
)
def test_a_path_that_is_not_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no model of the hub can be called is not looked for there."""
    monkeypatch.setattr("speechunits.nn.hf.fetch_settings", lambda name: pytest.fail("the network was asked"))
    with pytest.raises(UserError, match="there is no such file or folder; check the path"):
        read(name)


@pytest.mark.parametrize("name", ["facebook/hubert-base-ls960", "nonsense"])
def test_a_name_without_network(name: str, offline: Path) -> None:
    with pytest.raises(UserError, match="no file or folder here, and not to be had from the hub") as said:
        read(name)
    assert "\n" not in str(said.value) and str(said.value).startswith(name)


def test_weights_of_other_models_are_not_fetched(offline: Path) -> None:
    cached = offline / "models--someone--whisper"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(COMMIT)
    (cached / "snapshots" / COMMIT).mkdir(parents=True)
    (cached / "snapshots" / COMMIT / "config.json").write_text('{"model_type": "whisper"}')
    with pytest.raises(UserError, match="someone/whisper: holds a 'whisper' model"):  # its weights are not in the cache
        read("someone/whisper")


def test_a_path_is_never_looked_for_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(name: str) -> Path:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("speechunits.nn.hf.fetch_settings", fetch)
    place = folder(model("hubert"), tmp_path / "facebook" / "hubert-base-ls960")
    monkeypatch.chdir(tmp_path)
    assert isinstance(read("facebook/hubert-base-ls960"), Imported)
    shutil.rmtree(place)
    place.mkdir()
    with pytest.raises(UserError, match=r"config\.json is missing"):
        read("facebook/hubert-base-ls960")


def test_models_and_codebooks_are_not_taken_for_each_other(tmp_path: Path) -> None:
    np.save(tmp_path / "km.npy", np.ones((3, 4)))
    assert isinstance(read(tmp_path / "km.npy"), KMeans)
    with pytest.raises(UserError, match=r"km\.npy: holds centroids, and an encoder is needed here"):
        read_model(tmp_path / "km.npy")
    made = folder(model("hubert"), tmp_path / "in")
    with pytest.raises(UserError, match=r"model\.safetensors: weights of transformers without their config\.json"):
        read(made / "model.safetensors")
    from tests.exchange.fairseq_layout import about, named_by_fairseq

    cfg = {"model": about(), "task": {"normalize": False}}
    torch.save({"cfg": cfg, "model": named_by_fairseq(model("hubert"), "group")}, tmp_path / "c.pt")
    with pytest.raises(UserError, match=r"c\.pt: holds a model, and centroids are needed here"):
        read_quantizer(tmp_path / "c.pt")


def test_what_is_neither(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2, 2), "b": torch.ones(2, 2)}, tmp_path / "two.safetensors")
    torch.save({"state": 1}, tmp_path / "none.pt")
    for name in ("two.safetensors", "none.pt"):
        with pytest.raises(UserError, match="neither a model of the HuBERT family nor one tensor of centroids"):
            read(tmp_path / name)
    (tmp_path / "text.txt").write_text("hello\n")
    with pytest.raises(UserError, match="neither weights nor an array"):
        read(tmp_path / "text.txt")


def test_ours_is_not_imported(tmp_path: Path) -> None:
    read_model(folder(model("hubert"), tmp_path / "in")).save(tmp_path / "ours")
    with pytest.raises(UserError, match="is a folder of speechunits already"):
        read(tmp_path / "ours")
    meta = store.read_meta(tmp_path / "ours")
    assert (meta["kind"], meta["imported_from"], meta["left_out"]) == ("encoder", "transformers hubert", [])


def test_the_same_source_has_the_same_fingerprint(tmp_path: Path) -> None:
    made = folder(model("hubert"), tmp_path / "in")
    assert store.identity(read_model(made).encoder) == store.identity(read_model(made).encoder)
    other = read_model(made).save(tmp_path / "ours")
    assert other == store.identity(read_model(made).encoder)
