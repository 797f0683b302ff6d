"""A language whose units are a function of its letters, and models that learn it in seconds."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch

from speechunits.config import build
from speechunits.draws import draws
from speechunits.metrics.unit_edits import UnitEdits
from speechunits.seq import pad
from speechunits.stream import Stream
from speechunits.tasks.sequence_to_units import SequenceToUnits
from speechunits.term import loss
from speechunits.text.characters import Characters

LETTERS = "abcde"
HOP = Fraction(1, 50)
TEXT = {"_target_": "speechunits.text.characters.Characters", "symbols": [" ", *LETTERS]}
TOKENIZER = Characters([" ", *LETTERS])
SPEAKERS = ["ann", "bob"]
VOCAB = 2 * len(TEXT["symbols"])
BLOCK = {
    "_target_": "speechunits.nn.transformer_block.TransformerBlock",
    "ffn": 64,
    "dropout": 0.0,
    "attention_dropout": 0.0,
}
BLOCKS = {
    "_target_": "speechunits.encoders.block_encoder.BlockEncoder",
    **{"block": {**BLOCK, "init": 0.15}, "depth": 1, "dim": 32, "heads": 2, "dropout": 0.0},
}
HEADS: dict[str, dict[str, Any]] = {
    "units": {
        "_target_": "speechunits.heads.attention_decoder.AttentionDecoder",
        **{"depth": 1, "ffn": 64, "heads": 2, "dropout": 0.0, "smoothing": 0.0},
    },
    "frames": {
        "_target_": "speechunits.heads.parallel_decoder.ParallelDecoder",
        "decoder": BLOCKS,
        "durations": {"_target_": "speechunits.heads.duration.DurationPredictor", "hidden": 32, "dropout": 0.0},
    },
}
GUARD = {"_target_": "speechunits.decode.guard.Guard", "runs": 1, "loops": 3}
SEARCHES: dict[str, dict[str, Any]] = {
    "units": {
        "_target_": "speechunits.decode.unit_search.UnitSearch",
        "beam": 2,
        "length_penalty": 1.0,
        "guard": GUARD,
    },
    "frames": {"_target_": "speechunits.decode.all_at_once.AllAtOnce"},
}
STREAMS: dict[str, dict[str, Stream]] = {
    "units": {"units": Stream(None, (VOCAB,), "abc+dedup"), "text": TOKENIZER.stream},
    "frames": {"units": Stream(HOP, (VOCAB,), "abc"), "text": TOKENIZER.stream},
}


def tree(kind: str, **more: Any) -> dict[str, Any]:
    """A ``SequenceToUnits`` that writes "units" one by one, or "frames" at once."""
    positions = {"_target_": "speechunits.nn.sinusoidal_positions.SinusoidalPositions"}
    return {
        "_target_": "speechunits.tasks.sequence_to_units.SequenceToUnits",
        "input": {
            "_target_": "speechunits.inputs.text_input.TextInput",
            **{"text": TEXT, "dim": 32, "positions": positions},
            "normaliser": {"_target_": "speechunits.text.normaliser.Normaliser"},
        },
        "encoder": BLOCKS,
        "head": HEADS[kind],
        "search": SEARCHES[kind],
        **more,
    }


def speaker_table(speakers: Sequence[str] = SPEAKERS) -> dict[str, Any]:
    names = {"_target_": "speechunits.text.names.Names", "names": list(speakers)}
    return {"speaker": {"_target_": "speechunits.inputs.label_table.LabelTable", "names": names, "dim": 8}}


def make(kind: str, **more: Any) -> SequenceToUnits:
    torch.manual_seed(0)
    made: SequenceToUnits = build(tree(kind, **more), streams=STREAMS[kind])
    return made


def knows_lengths(model: SequenceToUnits, kind: str) -> SequenceToUnits:
    """Untrained, but for how many units a text has: at random it might write none."""
    seen = batch(texts(20, 0), kind)
    model.range.gather(seen["text"].lengths, seen["units"])
    model.range.on_step(1, model)
    return model.eval()


def units_of(text: str, kind: str) -> torch.Tensor:
    """Two units for each letter, the first of one frame, the second of as many as its number in the alphabet plus one."""
    frames = []
    for i in TOKENIZER.encode(text).tolist():
        frames += [2 * i] + [2 * i + 1] * (1 if kind == "units" else 1 + i % 3)
    return torch.tensor(frames)


def texts(count: int, seed: int, shortest: int = 3, longest: int = 8) -> list[str]:
    """No letter stands twice in a row: nothing tells where the first of two equal ones ends."""
    r, out = random.Random(seed), []
    for _ in range(count):
        text = ""
        for _ in range(r.randint(shortest, longest)):
            text += r.choice([letter for letter in LETTERS if not text.endswith(letter)])
        out.append(text)
    return out


def batch(said: Sequence[str], kind: str, speaker: str = "ann") -> dict[str, Any]:
    return {
        "text": pad([TOKENIZER.encode(text) for text in said], None),
        "units": pad([units_of(text, kind) for text in said], STREAMS[kind]["units"].hop),
        "speaker": [speaker] * len(said),
        "draws": draws(list(said)),
        "ids": list(said),
    }


def learn(model: SequenceToUnits, kind: str, updates: int, lr: float = 3e-3) -> None:
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr)
    for step in range(updates):
        terms = model.terms(batch(texts(32, step), kind))
        optimizer.zero_grad()
        loss(terms).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        for part in model.modules():
            if hasattr(part, "on_step"):
                part.on_step(step + 1, model)
    model.eval()


def error_rate(model: SequenceToUnits, kind: str, said: Sequence[str]) -> Mapping[str, float]:
    measure, given = UnitEdits(), batch(said, kind)
    measure.update(model.predict(given), given)
    return measure.compute()
