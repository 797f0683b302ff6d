"""The command line: models of others in and out, and one sentence about what is none."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from speechunits import store
from tests.cli.sounds import codes, wave
from tests.exchange.fairseq_layout import about, head, named_by_fairseq
from tests.exchange.test_inert_pickle import Runs
from tests.exchange.toy import folder, model


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``hubert/`` of transformers, and ``km.npy`` and ``km.bin`` (scikit-learn) of its size."""
    import joblib
    from sklearn.cluster import KMeans

    place = tmp_path_factory.mktemp("foreign")
    folder(model("hubert"), place / "hubert")
    np.save(place / "km.npy", np.random.default_rng(0).standard_normal((5, 24)))
    x = np.random.default_rng(0).standard_normal((40, 24)).astype(np.float32)
    joblib.dump(KMeans(5, n_init=1, random_state=0).fit(x), place / "km.bin")
    return place


def test_import_encode_and_export(speechunits: Any, foreign: Path, tmp_path: Path) -> None:
    code, out, err = speechunits("import", foreign / "hubert", tmp_path / "enc")
    name = store.read_meta(tmp_path / "enc")["fingerprint"]
    assert (code, err) == (0, "") and out == f"{tmp_path / 'enc'}: encoder {name} of transformers hubert\n"
    assert "imported_from: transformers hubert" in speechunits("info", tmp_path / "enc")[1]

    code, out, err = speechunits(
        "import", foreign / "km.npy", tmp_path / "tok", "--encoder", tmp_path / "enc", "--layer", 2
    )
    assert (code, err) == (0, "") and out.startswith(f"{tmp_path / 'tok'}: tokenizer ")
    assert store.read_meta(tmp_path / "tok")["derived_from"] == [name]
    wave(tmp_path / "a.wav")
    code, out, _ = speechunits("encode", tmp_path / "tok", tmp_path / "a.wav")
    line = json.loads(out)
    assert code == 0 and line["units"] == codes(tmp_path / "tok", tmp_path / "a.wav") and line["hop"] == "1/50"

    code, out, err = speechunits("export", tmp_path / "enc", tmp_path / "hf")
    assert (code, err) == (0, "") and out == f"{tmp_path / 'hf'}: hubert model of transformers\n"
    assert {"config.json", "model.safetensors", "preprocessor_config.json"} <= {
        p.name for p in (tmp_path / "hf").iterdir()
    }
    code, _, _ = speechunits("import", tmp_path / "hf", tmp_path / "enc2")
    assert code == 0 and store.read_meta(tmp_path / "enc2")["fingerprint"] == name


def test_import_of_codebooks_and_heads(speechunits: Any, foreign: Path, tmp_path: Path) -> None:
    code, out, _ = speechunits("import", foreign / "km.npy", tmp_path / "km")
    assert (
        code == 0 and out.startswith(f"{tmp_path / 'km'}: quantizer ") and store.restore(tmp_path / "km").vocab == (5,)
    )
    code, _, err = speechunits("import", foreign / "km.bin", tmp_path / "sk")
    assert code == 2 and "give --trust-pickle" in err and err.count("\n") == 1
    assert speechunits("import", foreign / "km.bin", tmp_path / "sk", "--trust-pickle")[0] == 0
    weights = {**named_by_fairseq(model("hubert"), "group"), **head()}
    cfg = {"model": about(), "task": {"normalize": False}}
    torch.save({"cfg": cfg, "model": weights, "n": Namespace()}, tmp_path / "h.pt")
    code, out, _ = speechunits("import", tmp_path / "h.pt", tmp_path / "enc", "--head", tmp_path / "head")
    assert code == 0 and len(out.splitlines()) == 2
    assert torch.equal(store.restore(tmp_path / "head").codes[0], weights["label_embs_concat"][4:])


def test_import_asks_for_what_nothing_tells(speechunits: Any, foreign: Path, tmp_path: Path) -> None:
    place = tmp_path / "bare"
    model("hubert").save_pretrained(place)
    code, _, err = speechunits("import", place, tmp_path / "enc")
    assert code == 2 and "give --normalize-audio" in err
    assert speechunits("import", place, tmp_path / "enc", "--no-normalize-audio")[0] == 0
    code, _, err = speechunits("import", place, tmp_path / "enc2", "--normalize-audio", "--heads", 8)
    assert code == 2 and "says itself that heads is 4, not 8" in err


@pytest.mark.parametrize(
    "case", ["layer", "size", "only-layer", "taken", "name", "truncated", "reducer", "half", "no-head", "whisper"]
)
def test_bad_imports_say_one_sentence_and_leave_nothing(
    speechunits: Any, foreign: Path, tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "none"))
    bad, out = tmp_path / "bad", tmp_path / "out"
    weights = named_by_fairseq(model("hubert"), "group")
    cfg = {"model": about(), "task": {"normalize": False}}
    arguments: tuple[object, ...] = (bad, out)
    if case in ("layer", "size", "only-layer"):
        np.save(tmp_path / "bad.npy", np.ones((5, 39 if case == "size" else 24)))
        which = (
            *(() if case == "only-layer" else ("--encoder", foreign / "hubert")),
            "--layer",
            7 if case == "layer" else 2,
        )
        arguments = (tmp_path / "bad.npy", out, *which)
    elif case == "taken":
        out.mkdir()
        (out / "precious").write_text("x")
        arguments = (foreign / "hubert", out)
    elif case == "name":
        arguments = ("facebook/hubert-base-ls960", out)
    elif case == "truncated":
        torch.save({"cfg": cfg, "model": weights, "args": Namespace()}, bad)
        bad.write_bytes(bad.read_bytes()[:-500])
    elif case == "reducer":
        torch.save({"cfg": cfg, "model": Runs(os.mkdir, str(tmp_path / "trap"))}, bad)
    elif case == "half":
        bad.mkdir()
        (bad / "config.json").write_text((foreign / "hubert" / "config.json").read_text())
    elif case == "no-head":
        arguments = (foreign / "hubert", out, "--head", tmp_path / "head")
    elif case == "whisper":
        bad.mkdir()
        (bad / "config.json").write_text('{"model_type": "whisper"}')
    before = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*"))
    code, said, err = speechunits("import", *arguments)
    assert (code, said) == (2, "") and err.startswith("error: ") and err.count("\n") == 1, err
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")) == before


def test_bad_exports(speechunits: Any, tokenizer: Path, foreign: Path, tmp_path: Path) -> None:
    code, _, err = speechunits("export", tokenizer, tmp_path / "hf")
    assert code == 2 and "holds a UnitTokenizer, but a SpeechEncoder is needed here" in err
    code, _, err = speechunits("export", foreign / "hubert", tmp_path / "hf")
    assert code == 2 and "not an artefact folder" in err
    assert speechunits("import", foreign / "hubert", tmp_path / "enc")[0] == 0
    code, _, err = speechunits("export", tmp_path / "enc", foreign / "hubert")
    assert code == 2 and "exists already; choose another place" in err
    assert [p.name for p in tmp_path.iterdir()] == ["enc"]
