"""Real systems at toy size on made-up speech, as one process, several micro-batches or several ranks see it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader

from speechunits import ranks
from speechunits.config import build, load
from speechunits.draws import draws
from speechunits.encoder import SpeechEncoder
from speechunits.frontends.log_mel import LogMel
from speechunits.heads.ctc import CTC
from speechunits.inputs.audio_input import AudioInput
from speechunits.metrics.wer import WER
from speechunits.seq import pad
from speechunits.stream import Stream
from speechunits.tasks.asr import ASR
from speechunits.tasks.recogniser import Recogniser
from speechunits.text.characters import Characters
from speechunits.train.loggers import csv
from speechunits.train.module import TrainModule
from speechunits.train.optim import adamw
from speechunits.train.schedules import polynomial_decay
from speechunits.train.trainer import build_trainer

CODES = 5
ACCELERATOR = os.environ.get("SPEECHUNITS_TEST_ACCELERATOR", "cpu")
STILL = [f"model.encoder.{key}=0" for key in ("encoder.dropout", "encoder.attention_dropout", "projection.dropout")]
# group norm over time (HuBERT Base) sees padding, so there other batches are other numbers
EXACT = [*STILL, "model.encoder.encoder.layerdrop=0", "model.encoder.frontend.norm=layer"]


def tree(system: str, *changes: str) -> dict[str, Any]:
    return load(f"system/{system}.yaml", "size/toy.yaml", "data.train=none.jsonl.gz", *changes)["model"]  # type: ignore[no-any-return]


def pretrained(system: str, *changes: str) -> nn.Module:
    return build(tree(system, *changes), streams={"units": Stream(Fraction(1, 50), (CODES,), "made-up")})  # type: ignore[no-any-return]


def recogniser(*changes: str) -> nn.Module:
    hears: SpeechEncoder = build(tree("hubert_base", *changes)["encoder"])
    return Recogniser(hears, Characters("abcd"), {"ctc": CTC}, freeze_updates=1)


def live() -> nn.Module:
    """A recogniser of filterbanks by Conformer blocks, in chunks that change with each update."""
    small = [
        "block.ffn=24",
        "block.kernel=7",
        "block.dropout=0",
        "block.attention_dropout=0",
        "depth=2",
        "dim=16",
        "heads=2",
    ]
    chunks = ["dropout=0", "chunk=4", "left=6", "chunks=[null,4,2]"]
    encoder = load("encoder/conformer_12x256.yaml", *(f"model.encoder.{each}" for each in small + chunks))["model"][
        "encoder"
    ]
    hears = AudioInput(LogMel(bands=8, hop="1/50", normalize="none"))
    return ASR(hears, build(encoder), Characters("abcd"), {"ctc": CTC}, streams={})


def double(make: Callable[[], nn.Module]) -> nn.Module:
    return make().double()


FAST = ("model.teacher.decay=0.9", "model.teacher.anneal_steps=4")  # a teacher that moves within five updates
SYSTEMS: dict[str, Callable[[], nn.Module]] = {
    "hubert": partial(double, partial(pretrained, "hubert_base", *EXACT)),
    "dinosr": partial(double, partial(pretrained, "dinosr_base", *EXACT, *FAST)),
    "ctc": partial(double, partial(recogniser, *EXACT)),
    "live": partial(double, live),
}


def speech(*utterances: int, dtype: torch.dtype = torch.float64, poison: bool = False) -> dict[str, Any]:
    """A micro-batch of these utterances, each a pure function of its number: audio, units, text."""
    audio, units, text, ids = [], [], [], []
    for number in utterances:
        g = torch.Generator().manual_seed(number)
        samples = int(torch.randint(4000, 9000, (), generator=g))
        frames = (samples - 400) // 320 + 1
        audio.append(torch.randn(samples, generator=g, dtype=torch.float64))
        units.append(torch.randint(CODES, (frames,), generator=g))
        text.append(torch.randint(4, (frames if number % 5 == 0 else frames // 4,), generator=g))  # some impossible
        ids.append(f"utterance-{number}")
    sound = pad(audio, Fraction(1, 16000))
    sound = sound.with_data(sound.data.to(dtype))
    if poison:
        sound.data[0, 0] = torch.nan
    labels = {"units": pad(units, Fraction(1, 50)), "text": pad(text, None)}
    said = ["".join("abcd"[i] for i in x.tolist()) for x in text]
    return {"audio": sound, "draws": draws(ids), "ids": ids, "transcript": said, **labels}


class Given(lightning.LightningDataModule):
    """Windows and validation batches written out for every rank; where there are fewer, the rest is nobody's."""

    def __init__(self, windows: Sequence[Sequence[Any]], valid: Sequence[Sequence[Any]] = ()) -> None:
        """``windows[rank]`` is the list of windows of that rank, ``valid[rank]`` its validation batches."""
        super().__init__()
        self.windows, self.valid = windows, valid
        self.at = 0

    def advance(self) -> None:
        self.at += 1

    def state_dict(self) -> dict[str, Any]:
        return {"at": self.at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.at = state_dict["at"]

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(list(self.windows[self.trainer.global_rank][self.at :]), batch_size=None)  # type: ignore[arg-type]

    def val_dataloader(self) -> Any:
        return DataLoader(list(self.valid[self.trainer.global_rank]), batch_size=None) if self.valid else []  # type: ignore[arg-type]


def batches(layout: Sequence[Sequence[Sequence[int]]], updates: int, dtype: torch.dtype = torch.float64) -> Given:
    """``layout[rank]`` = micro-batches, each its utterances of 0 ... 5; an empty one is None. Each update has six others."""

    def window(rank: int, update: int) -> list[Any]:
        return [speech(*(6 * update + i for i in part), dtype=dtype) if part else None for part in layout[rank]]

    windows = [[window(rank, update) for update in range(updates)] for rank in range(len(layout))]
    valid = [[speech(900 + i, dtype=dtype) for i in range(rank, 3, len(layout))] for rank in range(len(layout))]
    return Given(windows, valid)


WHOLE = [[[0, 1, 2, 3, 4, 5]]]
ACCUMULATED = [[[0, 1], [2], [], [3, 4, 5]]]
TWO_RANKS = [[[0, 1], [2]], [[], [3, 4, 5]]]


def train(folder: Path, model: Callable[[], nn.Module], data: Given, updates: int, **trainer: Any) -> TrainModule:
    """One real run, with a clip that bites, a schedule, uneven validation and, where the model transcribes, a measure."""
    lightning.seed_everything(3, verbose=False)
    made = model()
    module = TrainModule(
        made,
        partial(adamw, lr=1e-2),
        partial(polynomial_decay, warmup=2, total=20),
        clip=0.5,
        measures={"asr": WER()} if isinstance(made, Recogniser) else {},
        log_every=1,
    )
    resume = trainer.pop("resume", None)
    settings = {"accelerator": ACCELERATOR, "validate_every": 2, "checkpoint_every": 1000, "keep_last": None, **trainer}
    runner = build_trainer(updates, folder=folder, loggers=[csv(folder=folder)], **settings)
    runner.fit(module, datamodule=data, ckpt_path=resume)
    return module


CLOCK = ("train/audio_seconds_per_second", "train/loader_wait", "system/")


def outcome(module: TrainModule) -> dict[str, Any]:
    """What runs are compared by; all ranks must call it, and rank 0 gets the weights."""
    whole = module.whole().state_dict()
    weights = {} if module.global_rank else {name: x.double().flatten().tolist() for name, x in whole.items()}
    figures = {name: value for name, value in module.figures.items() if not name.startswith(CLOCK)}
    held = {name: ranks.own(p).numel() for name, p in module.model.named_parameters()}
    return {"step": module.step, "rejected": module.rejected, "weights": weights, "figures": figures, "held": held}
