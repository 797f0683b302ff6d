"""Recogniser: terms that add up over batches, what is frozen when, and a folder that needs nothing but itself."""

from __future__ import annotations

import copy
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits import store
from speechunits.config import build, check_build, load
from speechunits.draws import draws
from speechunits.protocols import Finishes, Predicts, Trainable
from speechunits.seq import Seq, pad, unpad
from speechunits.tasks.recogniser import Recogniser
from speechunits.term import add, loss
from speechunits.text.characters import fit_characters

STILL = {"dropout": 0.0, "attention_dropout": 0.0, "layerdrop": 0.0}
MIX = {"_target_": "speechunits.heads.weighted_sum.WeightedSum"}
CONVOLVED = {"_target_": "speechunits.heads.layer_convolution.LayerConvolution", "stride": 2}
WAYS = {
    "frozen": {"_target_": "speechunits.tuning.frozen.Frozen"},
    "lora": {"_target_": "speechunits.tuning.lora.LoRA", "rank": 2},
    "adapters": {"_target_": "speechunits.tuning.adapters.Adapters", "size": 4},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy of HuBERT Large, pre-trained by nobody, and the tokenizer of four letters."""
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("parts")
    tree = load("system/hubert_large.yaml", "size/toy.yaml")["model"]["encoder"]
    store.save(build(tree), out / "encoder", kind="encoder")
    store.save(fit_characters(["abcd"]), out / "text", kind="text")
    return out


def tree(folder: Path, **more: Any) -> dict[str, Any]:
    changes = {
        "encoder": STILL,
        "masker": {"share": 0.5, "length": 3, "channel_share": 0.3, "channel_length": 4},
        "projection": {"dropout": 0.0},
    }
    restore = {"_target_": "speechunits.store.restore"}
    return {
        "_target_": "speechunits.tasks.recogniser.Recogniser",
        "encoder": {**restore, "folder": str(folder / "encoder"), "changes": changes},
        "text": {**restore, "folder": str(folder / "text")},
        "heads": {"ctc": {"_target_": "speechunits.heads.ctc.CTC"}},
        **more,
    }


def make(folder: Path, **more: Any) -> Recogniser:
    torch.manual_seed(0)
    made: Recogniser = build(tree(folder, **more)).double()
    return made


def items(*lengths: int) -> list[dict[str, Any]]:
    """One batch of one utterance each."""
    torch.manual_seed(1)
    return [
        {
            "audio": pad([torch.randn(n, dtype=torch.float64)], Fraction(1, 16000)),
            "text": pad([torch.randint(4, (n // 2000,))], None),
            "draws": draws([f"cut-{i}"], seed=1),
            "ids": [f"cut-{i}"],
        }
        for i, n in enumerate(lengths)
    ]


def together(parts: list[dict[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {
        k: pad([unpad(p[k])[0] for p in parts], v.hop) for k, v in parts[0].items() if isinstance(v, Seq)
    }
    ids = [p["ids"][0] for p in parts]
    return out | {"draws": draws(ids, seed=1), "ids": ids}


def test_it_is_what_the_loop_and_the_recipe_ask_for(folder: Path) -> None:
    model = make(folder)
    assert isinstance(model, Trainable) and isinstance(model, Predicts) and isinstance(model, Finishes)
    assert model.labels == {"text": store.read_meta(folder / "text")["fingerprint"]}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("read", ["final", "layer:1", MIX, CONVOLVED])
def test_a_batch_is_the_sum_of_its_utterances(folder: Path, read: Any, training: bool) -> None:
    model, parts = make(folder, read=read).train(training), items(9000, 4321, 800)
    batch = together(parts)
    counts, whole = model.counts(batch), model.terms(batch)
    apart = add(model.terms(p) for p in parts)
    assert set(whole) == {"ctc/loss", "ctc/impossible"} and set(counts) == {"ctc/loss"}
    assert int(counts["ctc/loss"]) == int(whole["ctc/loss"].den) == 3
    for name, term in whole.items():
        assert int(term.den) == int(apart[name].den)
        torch.testing.assert_close(term.num, apart[name].num, rtol=1e-9, atol=1e-9)
    if not training:
        said = model.predict(batch)["text"]
        assert said == [model.predict(p)["text"][0] for p in parts] and any(said)


def test_frames_and_channels_are_hidden_in_training_alone(folder: Path) -> None:
    model, batch = make(folder), together(items(9000, 4321))
    shown = model.eval().hear(batch).data
    assert torch.equal(shown, model.encoder(batch["audio"]).hidden.final.data)
    hidden = model.train().hear(batch).data
    assert not torch.equal(shown, hidden)
    assert torch.equal(hidden, model.hear({**batch, "draws": draws(batch["ids"], seed=1)}).data)
    assert not torch.equal(hidden, model.hear({**batch, "draws": draws(batch["ids"], seed=2)}).data)


def test_the_encoder_gets_no_gradient_before_its_time(folder: Path) -> None:
    model, batch = make(folder, freeze_updates=2).train(), together(items(9000, 4321))

    def reached() -> set[str]:
        model.zero_grad()
        loss(model.terms(batch)).backward()
        return {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}

    for step in (1, 2):
        assert reached() == {"heads"}
        assert model.encoder.training, "masks and dropout are those of later updates"
        model.on_step(step, model)
    assert reached() == {"heads", "encoder"}
    again = make(folder, freeze_updates=2)
    assert not again.moving
    other = copy.deepcopy(again)
    other.load_state_dict(model.state_dict())
    assert other.moving and not again.moving, "a copy has its own clock"
    again.load_state_dict(model.state_dict())
    assert again.moving


def test_a_frozen_encoder_is_features(folder: Path) -> None:
    """Evaluation mode, no masks; the head and the layers' weights learn."""
    model, batch = make(folder, tuning=WAYS["frozen"], read=MIX).train(), together(items(9000, 4321))
    assert model.heads.training and not model.encoder.training
    loss(model.terms(batch)).backward()
    got = {name for name, p in model.named_parameters() if p.grad is not None}
    assert got == {"joined.weights", "heads.ctc.linear.weight", "heads.ctc.linear.bias"}
    layers = model.encoder(batch["audio"]).hidden.layers
    torch.testing.assert_close(model.hear(batch).data, torch.stack(layers).mean(0))
    assert set(model.artefacts()) == {"recogniser"}


def test_layers_above_the_one_read_are_not_run(folder: Path) -> None:
    model, batch = make(folder, read="layer:1").train(), together(items(9000))
    loss(model.terms(batch)).backward()
    assert all(p.grad is None for p in model.encoder.encoder.layers[1].parameters())


@pytest.mark.parametrize("way", [None, *WAYS])
def test_a_saved_recogniser_needs_nothing_but_its_folder(folder: Path, tmp_path: Path, way: str | None) -> None:
    model, batch = make(folder, **({} if way is None else {"tuning": WAYS[way]})).float().eval(), together(items(9000))
    batch["audio"] = batch["audio"].to(torch.float32)
    for p in model.parameters():
        p.data += 0.05 * torch.randn_like(p)
    store.save(model, tmp_path / "recogniser", kind="recogniser")
    assert str(folder) not in (tmp_path / "recogniser" / "config.yaml").read_text()
    again = store.restore(tmp_path / "recogniser", expect=Recogniser)
    assert again.predict(batch)["text"] == model.predict(batch)["text"] and again.text.symbols == tuple("abcd")
    assert torch.equal(again.hear(batch).data, model.hear(batch).data)
    assert {n for n, p in again.named_parameters() if p.requires_grad} == {
        n for n, p in model.named_parameters() if p.requires_grad
    }


def test_the_plain_encoder_is_an_artefact_too(folder: Path, tmp_path: Path) -> None:
    """LoRA is folded in; adapters have no plain form."""
    model, batch = make(folder, tuning=WAYS["lora"]), together(items(9000))
    for name, p in model.named_parameters():
        if name.endswith(".b"):
            torch.nn.init.normal_(p)
    parts = model.artefacts()
    assert set(parts) == {"recogniser", "encoder"} and parts["recogniser"] is model
    theirs = parts["encoder"].eval()(batch["audio"]).hidden.final.data
    torch.testing.assert_close(theirs, model.eval().hear(batch).data, rtol=1e-6, atol=1e-6)
    assert set(make(folder, tuning=WAYS["adapters"]).artefacts()) == {"recogniser"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"read": "layer:9"}, "'layer:9': the encoder has layers 0 to 2"),
        ({"read": "clean"}, "read a layer of it"),
        ({"heads": {"ctc": {"_target_": "speechunits.heads.ctc.CTC", "dropot": 0.1}}}, "did you mean 'dropout'"),
        ({"encoder": {"_target_": "speechunits.store.restore", "folder": "gone"}}, "gone: not an artefact folder"),
    ],
)
def test_mistakes_are_told_before_anything_is_allocated(folder: Path, change: dict[str, Any], says: str) -> None:
    (mistake,) = check_build(tree(folder, **change), at="model")
    assert says in mistake


def test_changes_that_no_such_encoder_has(folder: Path) -> None:
    spoilt = tree(folder)
    spoilt["encoder"]["changes"] = {"encoder": {"layer_drop": 0.1}}
    (mistake,) = check_build(spoilt, at="model")
    assert "does not fit the changes asked for" in mistake and "did you mean 'layerdrop'" in mistake
    spoilt["encoder"]["changes"] = {"teacher": {"decay": 0.9}}
    (mistake,) = check_build(spoilt, at="model")
    assert "has no teacher that changes.teacher could change; take it out (changes.teacher=null)" in mistake
    spoilt["encoder"]["changes"] = {"encoder": {"depth": 3}}
    with pytest.raises(ValueError, match="does not fit the changes asked for"):
        build(spoilt)
