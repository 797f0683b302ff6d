"""A labelled corpus of tones and noise, and the arguments of recipes that run on it in seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from lhotse import CutSet, Recording, SupervisionSegment
from lhotse.cut import Cut
from lhotse.supervision import AlignmentItem

from speechunits.config import dump, load
from speechunits.data.symbol_table import write_symbols

ROOT = Path(__file__).resolve().parents[2]
RATE = 16000
PHONES = ["sil", "a", "e", "o", "s", "u"]
TONES = {"a": (700, 1100), "e": (500, 1900), "o": (450, 800), "u": (300, 600)}


@dataclass(frozen=True)
class Corpus:
    """Where ``write_corpus`` put things."""

    folder: Path
    train: Path
    valid: Path
    symbols: Path


def utterance(path: Path, speaker: str, random: np.random.Generator, seconds: float = 0.8) -> Cut:
    """Phones of 60 to 160 ms after and before some silence, with their alignment; always three different ones."""
    pitch = 90 + 40 * (ord(speaker[-1]) % 4)
    items, parts, now = [], [], 0.0
    names = ["sil"]
    while now < seconds:
        n = int(random.uniform(0.06, 0.16) * RATE)
        t = np.arange(n) / RATE
        name = names[-1]
        if name in TONES:
            wave = sum(np.sin(2 * np.pi * f * (1 + pitch / 2000) * t) for f in TONES[name]) * 0.1
        else:
            wave = random.normal(0, 0.1 if name == "s" else 0.002, n)
        parts.append(wave + random.normal(0, 0.001, n))
        items.append(AlignmentItem(name, round(now, 6), n / RATE))
        now += n / RATE
        names.append(str(random.choice([p for p in PHONES if p != name])))
    soundfile.write(path, np.concatenate(parts), RATE)
    cut = Recording.from_file(path).to_cut()
    said = SupervisionSegment(path.stem, path.stem, 0, cut.duration, speaker=speaker, text=" ".join(names[:-1]))
    said.alignment = {"phone": items}
    cut.supervisions = [said]
    return cut


def save(cuts: Sequence[Cut], path: Path) -> Path:
    CutSet.from_cuts(cuts).to_file(path)
    return path


def write_corpus(folder: Path, train: int = 10, valid: int = 4, seconds: float = 0.8) -> Corpus:
    """``train`` and ``valid`` utterances of about ``seconds``, by two speakers each."""
    random = np.random.default_rng(7)
    (folder / "wav").mkdir(parents=True)
    made = {}
    for split, count in (("train", train), ("valid", valid)):
        cuts = [
            utterance(folder / "wav" / f"{split}{i}.wav", f"{split}-{i % 2}", random, seconds * (0.7 + 0.1 * (i % 5)))
            for i in range(count)
        ]
        made[split] = save(cuts, folder / f"{split}.jsonl.gz")
    write_symbols(folder / "phones.json", PHONES)
    return Corpus(folder, made["train"], made["valid"], folder / "phones.json")


def fit_arguments(corpus: Corpus, out: Path, size: int = 8, **more: Any) -> list[str]:
    """k-means on MFCC, in batches of two or three utterances."""
    return [
        f"out={out}",
        f"cuts={corpus.train}",
        "features._target_=speechunits.units.features.Features",
        "features.source._target_=speechunits.frontends.mfcc.MFCC",
        "fitter._target_=speechunits.quantizers.kmeans_fitter.KMeansFitter",
        f"fitter.size={size}",
        "max_seconds=2.5",
        *(f"{key}={value}" for key, value in more.items()),
    ]


def extract_arguments(corpus: Corpus, out: Path, tokenizer: Path, **more: Any) -> list[str]:
    places = [f"cuts.train={corpus.train}", f"cuts.valid={corpus.valid}", "max_seconds=2.5"]
    return [f"out={out}", f"tokenizer={tokenizer}", *places, *(f"{key}={value}" for key, value in more.items())]


def train_arguments(units: Path, out: Path, *overrides: str) -> list[str]:
    """HuBERT in the shape of HuBERT, a thousand times smaller, on log-mel frames, with dropout."""
    tree = {
        "include": ["system/hubert_base.yaml", "size/toy.yaml"],
        "model": {
            "encoder": {
                "frontend": {"_target_": "speechunits.frontends.log_mel.LogMel", "bands": 20, "hop": "1/50"},
                "encoder": {"dim": 16, "ffn": 32},
            },
            "objectives": {"penalty": None},
        },
        "data": {
            "max_seconds": 2.0,
            "min_duration": 0.1,
            "num_workers": 0,
            "accumulate": 2,
            "transforms": [{"_target_": "speechunits.data.transforms.Crop", "max_seconds": 0.7}],
        },
        "optimizer": {"lr": 1e-2},
        "schedule": {"warmup": 2, "total": 40},
        "trainer": {
            "_target_": "speechunits.train.trainer.build_trainer",
            "accelerator": "cpu",
            "max_steps": 8,
            "validate_every": 4,
            "checkpoint_every": 4,
        },
        "loggers": {"csv": {"_target_": "speechunits.train.loggers.csv"}},
        "log_every": 1,
    }
    path = units.parent / "toy.yaml"
    path.write_text(dump(tree))
    load(path)
    return [
        str(path),
        f"out={out}",
        f"data.train={units / 'train.jsonl.gz'}",
        f"data.valid={units / 'valid.jsonl.gz'}",
        *overrides,
    ]


# ------------------------------------------------------------------------------------------------ processes


def start(recipe: str, arguments: Sequence[str], *launcher: str) -> subprocess.Popen[str]:
    """``python [launcher] -m recipes.<recipe> arguments`` in a process of its own, without a launcher's variables."""
    ours = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
    env = {k: v for k, v in os.environ.items() if k not in ours and not k.startswith("SLURM_")}
    env |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, *launcher, "-m", f"recipes.{recipe}", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    """What it said; it must end with ``code``. A process that hangs is killed."""
    try:
        said, _ = process.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == code, f"gave {process.returncode}:\n{said[-4000:]}"
    return said


def several(count: int, recipe: str, arguments: Sequence[str]) -> str:
    """The recipe in ``count`` processes, as torchrun starts them."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
    return finish(start(recipe, arguments, *launcher))
