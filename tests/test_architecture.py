"""The house rules that a reader cannot check by eye: layers, doors, names and sizes (docs/architecture.md)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = sorted((ROOT / "speechunits").rglob("*.py"))
RECIPES = sorted((ROOT / "recipes").rglob("*.py"))

# A module imports lower layers, its own package, and on its own level only what BESIDE names.
LAYERS = [
    {"seq", "term", "config", "store", "draws", "errors", "part", "protocols", "ranks", "signature", "slurm", "stream"},
    {"nn", "frontends", "maskers", "quantizers", "views", "text", "metrics", "data", "tuning"},
    {"encoders", "heads", "vocoders", "decode"},
    {"encoder", "teacher", "targets", "objectives", "exchange"},
    {"pretraining", "units"},
    {"inputs"},
    {"tasks", "recipe", "provenance"},
    {"train", "report"},
    {"commands"},
    {"cli", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
BESIDE = LAYERS[0] | {"nn", "encoder"}

# Third-party (or standard) module -> the only place under speechunits/ and recipes/ that may import it.
TRACKERS = ("wandb", "mlflow", "tensorboard", "torch.utils.tensorboard")
DOORS = {
    "transformers": ("speechunits/nn/hf.py",),
    "huggingface_hub": ("speechunits/nn/hf.py",),
    "k2": ("speechunits/nn/k2.py",),
    **dict.fromkeys(("kaldifst", "kaldi_decoder"), ("speechunits/decode/kaldi.py",)),
    "pocketsphinx": ("speechunits/tasks/outside_judge.py",),
    "onnxruntime": ("speechunits/metrics/mos.py",),
    "lhotse": ("speechunits/data/",),
    "pyworld": ("speechunits/frontends/pitch_world.py",),
    "omegaconf": ("speechunits/config.py",),
    "sentencepiece": ("speechunits/text/", "speechunits/units/"),
    "argparse": ("speechunits/cli.py", "speechunits/commands/", "recipes/"),
    **dict.fromkeys(("lightning", "pytorch_lightning", *TRACKERS), ("speechunits/train/",)),
    # Reads without running anything, and behind --trust-pickle alone (docs/architecture.md says why).
    "pickle": ("speechunits/exchange/inert_pickle.py",),
    "joblib": ("speechunits/exchange/centroids.py",),
    "sklearn": (),
    "espeakng_loader": ("speechunits/text/espeak_phones.py", "speechunits/data/demo/espeak.py"),
}
# Optional or slow packages: imported inside the function that needs them.
ONLY_WHEN_USED = (
    *(
        "k2",
        "kaldifst",
        "kaldi_decoder",
        "transformers",
        "huggingface_hub",
        "joblib",
        "pocketsphinx",
        "onnxruntime",
        "pyworld",
    ),
    *TRACKERS,
)

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager"}


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.AST, package: list[str]) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import in `tree`, relative ones made absolute; `from a import b` gives `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*origin, *filter(None, [node.module])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def is_under(name: str, module: str) -> bool:
    return f"{name}.".startswith(f"{module}.")


def layer_faults(where: str, source: str) -> list[str]:
    package = where.split("/")[:-1]
    own = where.removesuffix(".py").split("/")[1]
    if own == "__init__":
        own_level = -1  # speechunits/__init__.py imports nothing of the house
    elif own in LEVEL:
        own_level = LEVEL[own]
    else:
        return [f"{where}: give `{own}` a layer in tests/test_architecture.py"]
    faults = []
    for line, name in imports(ast.parse(source), package):
        if not is_under(name, "speechunits") or name in ("speechunits", "speechunits.__version__"):
            continue
        other = name.split(".")[1]
        level = LEVEL.get(other)
        if level is None:
            faults.append(f"{where}:{line}: imports {name}, which has no layer")
        elif level > own_level or (level == own_level and other != own and other not in BESIDE):
            faults.append(f"{where}:{line}: imports {name}, which is not below it")
    return faults


def door_faults(where: str, source: str) -> list[str]:
    tree, package = ast.parse(source), where.split("/")[:-1]
    faults = []
    for line, name in imports(tree, package):
        for module, doors in DOORS.items():
            if is_under(name, module) and not where.startswith(doors):
                faults.append(f"{where}:{line}: imports {name}; its door is {' or '.join(doors) or 'closed'}")
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    late = {found for function in functions for found in imports(function, package)}
    for line, name in set(imports(tree, package)) - late:
        if any(is_under(name, module) for module in ONLY_WHEN_USED):
            faults.append(f"{where}:{line}: imports {name} at once; import it in the function that uses it")
    return faults


@pytest.mark.parametrize("path", LIBRARY, ids=place)
def test_imports_only_lower_layers(path: Path) -> None:
    assert layer_faults(place(path), path.read_text()) == []


@pytest.mark.parametrize("path", LIBRARY + RECIPES, ids=place)
def test_third_parties_come_in_by_their_door(path: Path) -> None:
    assert door_faults(place(path), path.read_text()) == []


@pytest.mark.parametrize("path", LIBRARY + RECIPES, ids=place)
def test_files_are_small_and_well_named(path: Path) -> None:
    limit = 300 if path in LIBRARY else 150
    assert len(path.read_text().splitlines()) <= limit, f"{place(path)} has more than {limit} lines: split it"
    names = [part for part in place(path).removesuffix(".py").split("/")[1:] if not part.startswith("__")]
    for name in names:
        assert not FORBIDDEN_NAMES & set(name.split("_")), f"{place(path)}: `{name}` says nothing; name the idea"
        assert name not in sys.stdlib_module_names, f"{place(path)}: `{name}` is a module of the standard library"


# The rules above are only worth something if they can fail.
@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("speechunits/data/field.py", "from speechunits.train.module import Module"),
        ("speechunits/data/field.py", "from ..train import Module"),
        ("speechunits/maskers/span.py", "from speechunits.quantizers.kmeans import KMeans"),
        ("speechunits/seq.py", "import speechunits.nn.conv"),
        ("speechunits/maskers/span.py", "from speechunits import train"),
        ("speechunits/maskers/span.py", "def f():\n    import speechunits.tasks"),
        ("speechunits/novelty.py", "import torch"),
    ],
)
def test_a_wrong_layer_is_found(where: str, source: str) -> None:
    assert len(layer_faults(where, source)) == 1


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("speechunits/nn/conv.py", "def f():\n    from transformers import HubertModel"),
        ("speechunits/train/loggers.py", "import wandb"),
        ("speechunits/train/loggers.py", "from torch.utils import tensorboard"),
        ("speechunits/tasks/probe.py", "def f():\n    from lightning.pytorch import Trainer"),
        ("recipes/train.py", "import lhotse.cut"),
        ("speechunits/store.py", "import pickle"),
    ],
)
def test_a_missed_door_is_found(where: str, source: str) -> None:
    assert len(door_faults(where, source)) == 1


@pytest.mark.parametrize(
    ("where", "source"),
    [
        ("speechunits/nn/k2.py", "def f():\n    import k2"),
        ("speechunits/train/loggers.py", "def f():\n    import wandb"),
        ("speechunits/data/dataset.py", "from lhotse.cut import Cut\nfrom ..seq import Seq\nfrom .fields import Field"),
        ("speechunits/maskers/span.py", "from speechunits.nn.k2 import lattice\nfrom . import draws"),
    ],
)
def test_the_right_way_is_let_through(where: str, source: str) -> None:
    assert layer_faults(where, source) == door_faults(where, source) == []


def loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_reading_models_of_others_waits_for_transformers_until_it_is_used() -> None:
    assert {"transformers", "huggingface_hub", "joblib", "sklearn"} & loaded_by("speechunits.units.tokenizer") == set()


def test_pretraining_needs_torch_alone() -> None:
    heavy = {"lightning", "lhotse", "transformers", "k2", "wandb", "mlflow", "tensorboard", "soundfile", "matplotlib"}
    assert heavy & loaded_by("speechunits.pretraining") == set()


@pytest.mark.parametrize("recipe", ["evaluate", "judge", "probe", "report"])
def test_measuring_does_not_wait_for_lightning(recipe: str) -> None:
    assert {"lightning", "pytorch_lightning"} & loaded_by(f"recipes.{recipe}") == set()
