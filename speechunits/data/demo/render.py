"""Utterances to FLAC files on several processes, the same bytes for any number of workers and any order.

Each worker is started by ``spawn`` (a caller's threads and memory stay out) and never speaks itself: it forks one child
per utterance, which starts from eSpeak's fresh state, speaks and ends. The rest is a function of the utterance. Workers
must be small, because the time of a fork grows with the memory of the process: nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import functools
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from speechunits.data.demo.alignment import SILENCE, Interval, align
from speechunits.data.demo.espeak import Espeak, Event
from speechunits.data.demo.plan import Utterance
from speechunits.data.demo.speaker import Speaker
from speechunits.data.demo.waveform import PADDING, SAMPLING_RATE, Channel, record
from speechunits.errors import UserError

ESPEAK_LANGUAGE = {"en": "en-us", "es": "es"}
_DIGITS = 5  # of a second: finer than a sample


class Rendering(NamedTuple):
    """What was written for one utterance: its length in samples at 16 kHz and its labels in seconds."""

    samples: int
    words: list[Interval]
    phones: list[Interval]


def render(utterances: Sequence[Utterance], folder: Path, workers: int) -> Iterator[Rendering]:
    """Write ``folder/<id>.flac`` (16 kHz, 16 bit) for each utterance; yields in the order given.

    Raises:
        UserError: an utterance cannot be synthesised.
    """
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="espeak-") as scratch,
        ProcessPoolExecutor(workers, spawn, _start, (scratch,)) as pool,
    ):
        with _one_thread_each(), _main_left_out():  # all workers start at the first task
            renderings = pool.map(functools.partial(_render, folder=str(folder)), utterances, chunksize=4)
        yield from renderings


def speak_in_child(espeak: Espeak, utterance: Utterance) -> tuple[np.ndarray, list[Event]]:
    """One utterance from eSpeak's fresh state: audio (S,) int16 at ``espeak.sampling_rate``, and events.

    ``espeak`` must never have spoken in this process.
    """
    espeak.learn(Speaker(utterance.speaker))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _answer(espeak, utterance, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        header, _, body = file.read().partition(b"\n")
    os.waitpid(child, 0)
    answer = json.loads(header) if header else {"error": "its process died"}
    if "error" in answer:
        raise UserError(f"utterance {utterance.id} cannot be synthesised: {answer['error']}")
    return np.frombuffer(body, np.int16), [Event(*event) for event in answer["events"]]


def _answer(espeak: Espeak, utterance: Utterance, writer: int) -> None:
    """In the child: speak, send a line of JSON and the samples, and leave without the parent's clean-up."""
    with contextlib.suppress(BaseException), os.fdopen(writer, "wb") as file:
        try:
            audio, events = espeak.speak(
                utterance.text + ".",
                language=ESPEAK_LANGUAGE[utterance.language],
                variant=utterance.speaker,
                rate=utterance.rate,
                pitch=utterance.pitch,
                pitch_range=utterance.pitch_range,
                seed=utterance.seed,
            )
            file.write(json.dumps({"events": events}).encode() + b"\n" + audio.tobytes())
        except Exception as error:
            file.write(json.dumps({"error": str(error)}).encode() + b"\n")
    os._exit(0)


_espeak: Espeak | None = None


def _start(scratch: str) -> None:
    global _espeak
    _espeak = Espeak(tempfile.mkdtemp(dir=scratch))


def _render(utterance: Utterance, folder: str) -> Rendering:
    assert _espeak is not None
    audio, events = speak_in_child(_espeak, utterance)
    words, phones = align(events, audio, _espeak.sampling_rate, utterance.text)
    channel = Channel.draw(utterance.seed) if utterance.channel else Channel()
    samples = record(audio, _espeak.sampling_rate, utterance.seed, channel)
    soundfile.write(Path(folder) / f"{utterance.id}.flac", samples, SAMPLING_RATE, format="FLAC", subtype="PCM_16")
    words, phones = _shift(words), _pad(_shift(phones), round(len(samples) / SAMPLING_RATE, _DIGITS))
    return Rendering(len(samples), words, phones)


def _shift(intervals: list[Interval]) -> list[Interval]:
    return [i._replace(start=round(i.start + PADDING, _DIGITS), end=round(i.end + PADDING, _DIGITS)) for i in intervals]


def _pad(phones: list[Interval], duration: float) -> list[Interval]:
    """Spread silence over the padding on both sides."""
    first, last = phones[0], phones[-1]
    before = [] if first.label == SILENCE else [Interval(SILENCE, 0.0, first.start)]
    behind = [] if last.label == SILENCE else [Interval(SILENCE, last.end, duration)]
    padded = before + phones + behind
    padded[0] = padded[0]._replace(start=0.0)
    padded[-1] = padded[-1]._replace(end=duration)
    return padded


@contextlib.contextmanager
def _main_left_out() -> Iterator[None]:
    """A spawned worker imports the caller's main module, and a recipe's brings torch along: hide where it came from."""
    main = vars(sys.modules["__main__"])
    before = {name: main.get(name) for name in ("__spec__", "__file__")}
    main.update(dict.fromkeys(before))
    try:
        yield
    finally:
        main.update(before)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Workers inherit the environment: a BLAS pool in each would crowd the machine and make forking unsafe."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
