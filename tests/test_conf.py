"""Every system under conf/system: it loads, has no mistakes, builds at toy size and takes one optimizer step."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from speechunits.config import build, check, conf_root, load
from speechunits.draws import draws
from speechunits.pretraining import SSLModel
from speechunits.seq import Seq
from speechunits.signature import mistakes
from speechunits.stream import Stream
from speechunits.term import loss

ROOT = Path(__file__).resolve().parents[1]
MODELS = {path.stem: load(f"system/{path.name}")["model"] for path in sorted((conf_root() / "system").glob("*.yaml"))}
ENCODERS = [name for name, model in MODELS.items() if model["_target_"].endswith(".SSLModel")]
VOCODERS = [name for name, model in MODELS.items() if "vocoder" in model]
VOCAB = 5
JUDGES = {"period": {"channels": [4, 8, 8]}, "scale": {"channels": [16] * 7}, "stft": {"channels": 4}}  # at toy size


def streams(vocab: int = VOCAB) -> dict[str, Stream]:
    return {"units": Stream(Fraction(1, 50), (vocab,), "random")}


def random_batch(encoder: torch.nn.Module) -> dict[str, Any]:
    lengths = torch.tensor([16000, 12345])
    frames = encoder.frontend.frames(lengths)
    return {
        "audio": Seq(torch.randn(2, 16000) * (torch.arange(16000) < lengths[:, None]), lengths, Fraction(1, 16000)),
        "units": Seq(torch.randint(VOCAB, (2, int(frames.max()))), frames, Fraction(1, 50)),
        "draws": draws(["a", "b"]),
    }


def test_systems_are_found():
    assert {"dinosr_base", "hubert_base", "hubert_large", "hubert_xlarge"} <= set(ENCODERS)
    assert {"unit_hifigan", "unit_vocos"} <= set(VOCODERS)


@pytest.mark.parametrize("path", sorted(conf_root().rglob("*.yaml")), ids=lambda p: str(p.relative_to(conf_root())))
def test_every_fragment_loads(path: Path):
    assert load(path)


@pytest.mark.parametrize("system", MODELS)
def test_system_cites_its_paper_and_is_short(system: str):
    lines = (conf_root() / "system" / f"{system}.yaml").read_text().splitlines()
    assert lines[0].startswith("# ") and "http" in "".join(lines[:3])
    assert len(lines) <= 36


@pytest.mark.parametrize("size", ["toy", "demo"])
@pytest.mark.parametrize("system", ENCODERS)
def test_one_step(system: str, size: str):
    """A finite loss, a gradient for every parameter, and an update that moves every parameter."""
    torch.manual_seed(0)
    tree = load(
        f"system/{system}.yaml", f"size/{size}.yaml", "model.encoder.encoder.layerdrop=0", "data.train=a.jsonl.gz"
    )
    assert check(tree) == []
    takes_a_step(tree)


def takes_a_step(tree: dict[str, Any]) -> None:
    model = build(tree["model"], streams=streams())
    assert isinstance(model, SSLModel)
    batch = random_batch(model.encoder)
    counts, terms = model.counts(batch), model.terms(batch)
    assert {name: int(den) for name, den in counts.items()} == {n: int(t.den) for n, t in terms.items() if t.weight}
    moves(model, loss(terms, counts), tree["optimizer"], tree.get("clip"))


def moves(part: torch.nn.Module, total: torch.Tensor, optimizer: dict[str, Any], clip: float | None = None) -> None:
    """Every parameter of ``part`` that is trained gets a gradient of ``total`` and is moved by one step."""
    trained = {name: p for name, p in part.named_parameters() if p.requires_grad}  # a teacher's are not
    made = build(optimizer)(trained.items())
    assert torch.isfinite(total)
    made.zero_grad()
    total.backward()
    assert [n for n, p in trained.items() if p.grad is None or not float(p.grad.abs().sum()) > 0] == []
    assert torch.isfinite(torch.nn.utils.clip_grad_norm_(part.parameters(), clip or torch.inf))
    before = {name: p.detach().clone() for name, p in trained.items()}
    made.step()
    assert [name for name, p in trained.items() if p.equal(before[name])] == []


@pytest.mark.parametrize("system", VOCODERS)
def test_one_step_of_each_side_of_a_vocoder(system: str):
    """On two segments as long as its own: counts before terms, and each optimizer moves all of its side."""
    tree = load(f"system/{system}.yaml", "size/toy_vocoder.yaml", "data.train=a.jsonl.gz")
    judges = {name: JUDGES[name] for name in tree["model"]["discriminators"]["parts"]}
    tree = load(tree, {"model": {"discriminators": {"parts": judges}}})
    assert check(tree) == []
    model = build(tree["model"], streams=streams()).train()
    units = round(tree["data"]["transforms"][0]["max_seconds"] * 50)
    batch = {
        "audio": Seq(0.1 * torch.randn(2, 320 * units), torch.tensor([320 * units] * 2), Fraction(1, 16000)),
        "units": Seq(torch.randint(VOCAB, (2, units)), torch.tensor([units] * 2), Fraction(1, 50)),
        "draws": draws(["a", "b"]),
    }
    counts, made = model.counts(batch), model.generate(batch)
    assert made.data.shape == batch["audio"].data.shape
    moves(model.discriminator, loss(model.discriminator_terms(batch, made), counts), tree["discriminator_optimizer"])
    terms = model.generator_terms(batch, made)
    assert set(counts) == {"discriminator/real", "discriminator/made", *(n for n, t in terms.items() if t.weight)}
    moves(model.generator, loss(terms, counts), tree["optimizer"])
    for key in ("schedule", "discriminator_schedule"):
        build(tree[key])(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0))


def test_unit_hifigan_numbers():
    """Of facebookresearch/speech-resynthesis: 16 segments of 8960 samples, AdamW, a thousandth less in every epoch."""
    tree = load("system/unit_hifigan.yaml")
    optimizer = build(tree["optimizer"])([("x", torch.nn.Parameter(torch.zeros(1)))])
    (group,) = optimizer.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (2e-4, (0.8, 0.99), 0.01)
    assert tree["optimizer"] == tree["discriminator_optimizer"] and tree["schedule"] == tree["discriminator_schedule"]
    (factor,) = build(tree["schedule"])(optimizer).lr_lambdas
    assert [factor(n) for n in (0, 808, 809, 8090)] == pytest.approx([1, 1, 0.999, 0.999**10])
    segment = tree["data"]["transforms"][0]["max_seconds"]
    assert segment * 16000 == 8960 and int(tree["data"]["max_seconds"] / segment + 1e-9) == 16


EXAMPLES = sorted((ROOT / "egs").rglob("*.yaml"))
RECIPE_OF = {
    **{"trainer": "train", "features": "fit_units", "systems": "evaluate", "claims": "report", "folds": "probe"},
    "normaliser": "recognise",
}


def recipe_of(path: Path) -> str:
    """Whose configuration, or part of one, a file of egs/ is: by its keys."""
    return next(name for key, name in RECIPE_OF.items() if key in load(path))


def under(path: Path) -> list[str]:
    """What a training example is laid over."""
    kinds = {"finetune": "finetune/small.yaml", "asr": "asr/joint.yaml", "speakers": "system/speaker_encoder.yaml"}
    found = [kinds[kind] for kind in kinds if kind in path.relative_to(ROOT).as_posix()]
    return [*(found or ["system/hubert_base.yaml"]), "trainer/cpu.yaml"]


def test_examples_are_found():
    assert {recipe_of(path) for path in EXAMPLES} == set(RECIPE_OF.values())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: str(p.relative_to(ROOT / "egs")))
def test_the_keys_of_every_example_are_accepted(path: Path):
    """What run.sh still has to give may be missing, nothing may be unknown."""
    name = recipe_of(path)
    below = under(path) if name == "train" else []
    found = list(mistakes({"_target_": f"recipes.{name}.{name}", **load(*below, path)}, "", False))
    assert [m for m in found if " needs '" not in m and "must be given" not in m] == []


@pytest.mark.parametrize(
    "path",
    [p for p in EXAMPLES if recipe_of(p) == "train" and "system/hubert_base.yaml" in under(p)],
    ids=lambda p: str(p.relative_to(ROOT / "egs")),
)
def test_every_training_of_an_example_takes_a_step(path: Path, tmp_path: Path):
    """At toy size: the model, its optimizer and schedule, the data module and the Trainer are built as the recipe does."""
    given = ["out=X", "data.train=a.jsonl.gz", "trainer.max_steps=2", "model.encoder.encoder.layerdrop=0"]
    tree = load(*under(path), path, "size/toy.yaml", *given)
    assert list(mistakes({"_target_": "recipes.train.train", **tree}, "", False)) == []
    takes_a_step(tree)
    build(tree["schedule"])(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0))
    data, trainer = build(tree["data"]), build(tree["trainer"], folder=tmp_path, loggers=[])
    assert data.max_seconds > 0 and trainer.max_epochs == -1


@pytest.mark.parametrize(
    ("system", "rate", "clip", "seconds", "depth", "dim", "ffn", "heads", "features"),
    [
        ("hubert_base", 5e-4, 10.0, 2800, 12, 768, 3072, 12, 256),
        ("hubert_large", 1.5e-3, 1.0, 7200, 24, 1024, 4096, 16, 768),
        ("hubert_xlarge", 3e-3, 1.0, 5760, 48, 1280, 5120, 16, 1024),
    ],
)
def test_hubert_numbers(system, rate, clip, seconds, depth, dim, ffn, heads, features):
    """The published configurations (fairseq's three YAML files and the paper's table I)."""
    tree = load(f"system/{system}.yaml")
    encoder, large = tree["model"]["encoder"], system != "hubert_base"
    stack, head = encoder["encoder"], tree["model"]["objectives"]["units"]["head"]
    assert (stack["depth"], stack["dim"], stack["ffn"], stack["heads"], head["features"]) == (
        depth, dim, ffn, heads, features,
    )  # fmt: skip
    assert head["temperature"] == 0.1 and tree["model"]["objectives"]["penalty"]["weight"] == 10
    assert (encoder["frontend"]["norm"], encoder["frontend"]["grad_scale"]) == (
        ("layer", 1) if large else ("group", 0.1)
    )
    assert {k: encoder["masker"][k] for k in ("share", "length", "minimum")} == {
        "share": 0.8,
        "length": 10,
        "minimum": 2,
    }
    rates = [stack["dropout"], stack["attention_dropout"], stack["layerdrop"], encoder["projection"]["dropout"]]
    assert rates == ([0, 0, 0, 0] if large else [0.1, 0.1, 0.05, 0.1])
    assert tree["optimizer"]["lr"] == rate and tree["clip"] == clip
    gpus = {"hubert_base": 32, "hubert_large": 128, "hubert_xlarge": 256}[system]
    data = tree["data"]
    assert data["max_seconds"] * gpus == seconds
    assert (data["min_duration"], data["transforms"][0]["max_seconds"]) == (32000 / 16000, 250000 / 16000)
    assert encoder["frontend"].get("normalize_audio", False) is large


@pytest.mark.parametrize("system", ["hubert_base", "hubert_large", "hubert_xlarge"])
def test_hubert_schedule(system: str):
    """Linear up to 32 000 updates, linear down to 0 at 400 000."""
    tree = load(f"system/{system}.yaml")
    optimizer = build(tree["optimizer"])([("x", torch.nn.Parameter(torch.zeros(1)))])
    (factor,) = build(tree["schedule"])(optimizer).lr_lambdas
    assert [factor(n) for n in (16000, 32000, 216000, 400000)] == pytest.approx([0.5, 1.0, 0.5, 0.0])
    (group,) = optimizer.param_groups
    assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.9, 0.98), 1e-6, 0.01)


def test_masked_share_of_hubert_is_that_of_the_published_masks():
    """0.57 of the frames (fairseq's compute_mask_indices, share 0.8 of length 10, on utterances of 10 to 15 s)."""
    masker = build(load("system/hubert_base.yaml")["model"]["encoder"]["masker"], dim=4)
    lengths = torch.randint(500, 750, (400,), generator=torch.Generator().manual_seed(0))
    masked = masker.draw(lengths, 750, draws([str(i) for i in range(400)]))
    assert float(masked.sum() / lengths.sum()) == pytest.approx(0.57, abs=0.01)


def test_demo_size_is_small_and_fast():
    model = build(load("system/hubert_base.yaml", "size/demo.yaml")["model"], streams=streams(100))
    assert model.encoder.hop == Fraction(1, 50) and model.encoder.depth == 4
    assert sum(p.numel() for p in model.parameters()) < 2.5e6
    assert all(layer.attention.dropout == 0 for layer in model.encoder.encoder.layers)
