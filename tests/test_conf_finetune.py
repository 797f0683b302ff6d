"""conf/finetune and conf/tuning: every pair is accepted, built on a toy encoder's folder, and takes one step."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits import store
from speechunits.config import build, check_build, conf_root, load
from speechunits.draws import draws
from speechunits.part import Tree
from speechunits.seq import Seq, pad
from speechunits.signature import mistakes
from speechunits.tasks.recogniser import Recogniser
from speechunits.term import loss
from speechunits.text.characters import fit_characters

SIZES = sorted(path.stem for path in (conf_root() / "finetune").glob("*.yaml") if path.stem != "ctc")
WAYS = sorted(path.stem for path in (conf_root() / "tuning").glob("*.yaml"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("parts")
    for kind, size in (("base", "toy"), ("large", "demo")):
        tree = load(f"system/hubert_{kind}.yaml", f"size/{size}.yaml")["model"]["encoder"]
        store.save(build(tree), out / f"{kind}-{size}", kind="encoder")
    store.save(fit_characters(["abcd"]), out / "text", kind="text")
    return out


def tree(folder: Path, *sources: str, encoder: str = "base-toy") -> Tree:
    given = [f"model.encoder.folder={folder / encoder}", f"data.fields.text.tokenizer.folder={folder / 'text'}"]
    return load(*sources, "trainer/cpu.yaml", "data.train=a.jsonl.gz", "out=X", *given)


def batch() -> dict[str, Any]:
    torch.manual_seed(1)
    lengths = torch.tensor([16000, 12345])
    audio = Seq(torch.randn(2, 16000) * (torch.arange(16000) < lengths[:, None]), lengths, Fraction(1, 16000))
    return {"audio": audio, "text": pad([torch.randint(4, (n,)) for n in (9, 6)], None), "draws": draws(["a", "b"])}


def test_they_are_found() -> None:
    assert set(SIZES) == {"10min", "1h", "10h", "100h", "960h", "small"}
    assert set(WAYS) == {"adapters", "biases", "frozen", "lora", "prefix"}


@pytest.mark.parametrize(
    ("encoder", "size", "way"),
    [("base-toy", size, "full") for size in SIZES]
    + [("base-toy", "10h", way) for way in WAYS]
    + [("large-demo", "1h", way) for way in ("full", *WAYS)],
)
def test_one_step(folder: Path, size: str, way: str, encoder: str) -> None:
    """Nothing is unknown, the parts meet, and a step moves all that is trained, which thaws when the encoder may."""
    more = [] if way == "full" else [f"tuning/{way}.yaml"]
    whole = tree(folder, f"finetune/{size}.yaml", *more, "model.encoder.changes.encoder.layerdrop=0", encoder=encoder)
    assert list(mistakes({"_target_": "recipes.train.train", **whole}, "", False)) == []
    assert check_build(whole["model"], at="model") == []
    torch.manual_seed(0)
    model = build(whole["model"]).train()
    assert isinstance(model, Recogniser) and model.moving == (way != "frozen" and not model.freeze_updates)
    model.on_step(model.freeze_updates, model)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = build(whole["optimizer"])(trained.items())
    terms, counts = model.terms(batch()), model.counts(batch())
    total = loss(terms, counts)
    total.backward()
    assert torch.isfinite(total) and int(counts["ctc/loss"]) == 2 == int(terms["ctc/loss"].den)
    before = {name: p.detach().clone() for name, p in trained.items()}
    optimizer.step()
    still = {name for name, p in trained.items() if p.equal(before[name])}
    assert still <= {n for n, p in trained.items() if not float(p.grad.abs().sum())}  # LoRA's A while B is 0
    hidden = {"encoder.masker.vector"} if size == "small" else set()  # which hides nothing
    assert way not in ("full", "biases", "prefix") or still == hidden
    build(whole["schedule"])(optimizer)


@pytest.mark.parametrize("size", SIZES)
def test_only_small_hides_and_drops_nothing(folder: Path, size: str) -> None:
    """So that training in evaluation mode, as its recorded figures had it, is the same computation."""
    model = build(tree(folder, f"finetune/{size}.yaml")["model"])
    found = [float(loss(model.train(mode).terms(batch())).detach()) for mode in (True, False)]
    assert (found[0] == found[1]) == (size == "small")


@pytest.mark.parametrize(
    ("size", "rate", "share", "channels", "freeze", "phases", "updates"),
    [
        ("10min", 5e-5, 0.65, 0.25, 10000, (1300, 5200, 6500), 13000),
        ("1h", 5e-5, 0.65, 0.25, 10000, (1300, 5200, 6500), 13000),
        ("10h", 2e-5, 0.75, 0.5, 10000, (8000, 0, 72000), 25000),
        ("100h", 3e-5, 0.65, 0.5, 0, (8000, 32000, 40000), 80000),
        ("960h", 1e-4, 0.5, 0.1, 0, (32000, 128000, 160000), 320000),
    ],
)
def test_the_published_numbers(
    folder: Path, size: str, rate: float, share: float, channels: float, freeze: int, phases: tuple, updates: int
) -> None:
    """fairseq's base_{10m,1h,100h,960h}.yaml (phase_ratio .1 .4 .5 of max_update) and HuBERT's base_10h.yaml."""
    found = tree(folder, f"finetune/{size}.yaml")
    changes = found["model"]["encoder"]["changes"]
    masker, stack = changes["masker"], changes["encoder"]
    assert (masker["share"], masker["length"], masker["channel_share"], masker["channel_length"]) == (
        share, 10, channels, 64,
    )  # fmt: skip
    assert (stack["layerdrop"], stack["activation_dropout"], stack["dropout"]) == (0.1, 0.1, 0.0)
    assert found["optimizer"]["lr"] == rate and found["model"].get("freeze_updates", 0) == freeze
    assert tuple(found["schedule"][k] for k in ("warmup", "hold", "decay")) == phases
    assert found["trainer"]["max_steps"] == updates
    assert found["data"]["max_seconds"] * found["data"]["accumulate"] == 1600
    optimizer = build(found["optimizer"])([("x", torch.nn.Parameter(torch.zeros(1)))])
    (factor,) = build(found["schedule"])(optimizer).lr_lambdas
    ends = [0, phases[0], phases[0] + phases[1], sum(phases)]
    assert [factor(n) for n in ends] == pytest.approx([0.01, 1.0, 1.0, 0.05])
    assert (optimizer.defaults["betas"], optimizer.defaults["eps"]) == ((0.9, 0.98), 1e-8)
    assert optimizer.param_groups[0]["weight_decay"] == 0


def test_masks_of_fine_tuning_hide_frames_and_channels(folder: Path) -> None:
    """Shares of fairseq's masks at 0.65 x 10 frames (0.49, as its paper says) and 0.5 x 64 of 768 channels."""
    masker = build({"_target_": "speechunits.maskers.span.SpanMasker", "share": 0.65, "channel_share": 0.5}, dim=768)
    x = Seq(torch.ones(200, 500, 768), torch.full((200,), 500), Fraction(1, 50))
    seen, masked, _ = masker(x, draws([str(i) for i in range(200)]))
    assert float(masked.float().mean()) == pytest.approx(0.49, abs=0.02)
    gone = (seen.data == 0).all(1)
    runs = torch.diff(gone.int(), prepend=torch.zeros(200, 1, dtype=torch.int32), dim=1).clamp(min=0).sum(1)
    assert float(gone.float().mean()) == pytest.approx(0.40, abs=0.03) and int(runs.max()) <= 6
