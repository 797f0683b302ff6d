"""A small report's inputs, made on the fly: tones with phone labels, tokenizers, figures and results."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet, Recording, SupervisionSegment
from lhotse.supervision import AlignmentItem

from speechunits.config import build
from speechunits.seq import Seq
from speechunits.units.features import Features
from speechunits.units.tokenizer import UnitTokenizer

RATE = 16000
PHONES = ("sil", "iː", "ɑː", "ʊ", "ɛ", "tʃ", "s", "n", "əʊ", "ɹ")


def speech(phones: list[int], seconds: list[float], random: np.random.Generator) -> np.ndarray:
    """Each phone is a chord of its own, the pause is faint noise, [s] and [tʃ] are loud noise."""
    parts = []
    for phone, length in zip(phones, seconds, strict=True):
        t = np.arange(round(length * RATE)) / RATE
        noise = random.standard_normal(len(t))
        chord = sum(np.sin(2 * np.pi * f * t) for f in (110 * (1 + phone % 3), 300 + 130 * phone, 1200 + 310 * phone))
        parts.append({0: 0.002 * noise, 5: 0.05 * noise, 6: 0.1 * noise}.get(phone, 0.1 * chord + 0.003 * noise))
    return np.concatenate(parts)


@pytest.fixture
def origin() -> dict[str, str]:
    """What ``provenance()`` says, of an invented run."""
    return {
        "git": "0123456789abcdef0123456789abcdef01234567",
        "speechunits": "0.1.0",
        "python": "3.11.2",
        "torch": "2.11.0",
        "platform": "Linux",
        "cpus": "2",
        "gpus": "none",
        "command": "evaluate.py units.yaml out=exp/units",
    }


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve utterances of 1 to 4 s with phone alignments."""
    folder, random, cuts = tmp_path_factory.mktemp("tones"), np.random.default_rng(1), []
    for i in range(12):
        count = 12 + 3 * i
        phones = [0, *random.integers(1, len(PHONES), count).tolist(), 0]
        seconds = [round(float(s), 3) for s in random.uniform(0.05, 0.14, count + 2)]
        path = folder / f"u{i:02d}.flac"
        soundfile.write(path, speech(phones, seconds, random), RATE)
        recording = Recording.from_file(path, recording_id=path.stem)
        starts = np.cumsum([0.0, *seconds[:-1]]).tolist()
        items = [AlignmentItem(PHONES[p], s, d) for p, s, d in zip(phones, starts, seconds, strict=True)]
        cut = recording.to_cut()
        cut.supervisions = [
            SupervisionSegment(
                path.stem, path.stem, 0.0, recording.duration, text=f"tones number {i}", alignment={"phone": items}
            )
        ]
        cuts.append(cut)
    CutSet.from_cuts(cuts).to_file(folder / "cuts.jsonl.gz")
    return folder / "cuts.jsonl.gz"


@pytest.fixture(scope="session")
def tokenizers(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two folders: 10 ms MFCC with 24 codes, 20 ms stacked mels with 60; centroids are frames of the tones."""
    folder, made = tmp_path_factory.mktemp("tokenizers"), {}
    audio = np.concatenate([soundfile.read(p, dtype="float32")[0] for p in sorted(manifest.parent.glob("*.flac"))])
    samples = torch.from_numpy(audio)[None]
    fronts = {
        "mfcc": (24, {"_target_": "speechunits.frontends.mfcc.MFCC"}),
        "hubert_it1": (60, {"_target_": "speechunits.frontends.log_mel.LogMel", "stack": 2, "normalize": "none"}),
    }
    for name, (size, front) in fronts.items():
        features: Features = build({"_target_": "speechunits.units.features.Features", "source": front})
        quantizer = build({"_target_": "speechunits.quantizers.kmeans.KMeans", "size": size}, dim=features.dim)
        frames = features(Seq(samples, torch.tensor([samples.size(1)]), Fraction(1, RATE))).data[0]
        every = np.linspace(0, len(frames) - 1, size).astype(int)
        quantizer.centroids.copy_(frames[every])
        UnitTokenizer.join(features, quantizer).save(folder / name)
        made[name] = str(folder / name)
    return made


@pytest.fixture
def training_run(tmp_path: Path) -> Callable[..., str]:
    """A folder with the figures of a run: training every 10 updates, validation every 50."""

    def make(name: str, floor: float = 2.0, updates: int = 300) -> str:
        random = np.random.default_rng(len(name))
        folder = tmp_path / name
        folder.mkdir()
        columns = ["step", "train/loss", "train/units/accuracy", "train/lr", "valid/loss", "valid/units/accuracy"]
        with (folder / "metrics.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            for step in range(10, updates + 1, 10):
                loss = floor + 2.6 * np.exp(-step / 90)
                line = {"step": step, "train/loss": loss + 0.1 * random.standard_normal(), "train/lr": 5e-4}
                line["train/units/accuracy"] = 1 / loss + 0.02 * random.standard_normal()
                if step % 50 == 0:
                    line |= {"valid/loss": loss + 0.15, "valid/units/accuracy": 1 / loss - 0.03}
                writer.writerow(line)
        return str(folder)

    return make


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., str]:
    """The folder of a finished recipe."""

    def make(name: str, **mark: Any) -> str:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "_COMPLETE.json").write_text(json.dumps(mark))
        return str(tmp_path / name)

    return make
