"""Espeak: the eSpeak NG library, called in-process through ctypes.

Licence: eSpeak NG is free software under the GPL, version 3 or later. It is an optional extra, loaded at run time when
a demo corpus is asked for; none of its code, voices or data is part of this package.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from speechunits.data.demo.speaker import Speaker
from speechunits.errors import UserError

WORD, PHONE = 1, 7  # espeak_EVENT_TYPE
_RATE, _VOLUME, _PITCH, _RANGE, _WORD_GAP = 1, 2, 3, 4, 7  # espeak_PARAMETER
_SYNCHRONOUS = 2  # mode 1 (retrieval) would speak on another thread
_PHONE_EVENTS, _IPA, _DO_NOT_EXIT = 1, 2, 0x8000
_UTF8 = 1
_BUFFER = 500  # milliseconds per callback: few calls back into Python, and the same samples as by default


class Event(NamedTuple):
    """``position`` and ``length`` are characters of the text (``position`` from 1); ``sample`` indexes the audio."""

    kind: int
    position: int
    length: int
    sample: int
    name: str


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_void_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # truncated to milliseconds: `sample` is exact
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """The library's one global state: make one per process, use it from one thread.

    Args:
        home: an empty folder of its own, removed by the caller: gets links to eSpeak's data and the speakers' variants.

    The same call twice in one process gives other samples and other event times (pitch flutter, a glottal counter and
    noise survive between calls and have no reset): for reproducible audio, speak once per fork of a silent process.
    """

    def __init__(self, home: str | Path) -> None:
        library = _load_library()
        self._variants = _link_data(Path(home))
        options = _PHONE_EVENTS | _IPA | _DO_NOT_EXIT
        self.sampling_rate: int = library.espeak_Initialize(_SYNCHRONOUS, _BUFFER, os.fsencode(home), options)
        if self.sampling_rate <= 0:
            raise UserError(f"eSpeak NG cannot read its data through {home}: reinstall the package espeakng-loader")
        self.version: str = library.espeak_Info(None).decode().split()[0]
        self._library = library
        self._audio: list[bytes] = []
        self._events: list[Event] = []
        self._callback = _Callback(self._receive)  # ctypes keeps no reference of its own
        library.espeak_SetSynthCallback(self._callback)
        # Loaded once and inherited by every fork, 10 ms each; neither call touches the synthesiser's hidden state.
        # The list holds 349 voices, variants included: so it is made before there are any.
        library.espeak_ListVoices(None)
        library.espeak_SetVoiceByName(b"en-us")

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._audio.append(ctypes.string_at(samples, 2 * count))  # a copy: eSpeak reuses its buffer
        i = 0
        while events[i].type:
            event = events[i]
            name = ""
            if event.type == PHONE:
                # Eight raw bytes: no terminating zero when full, rubbish behind it otherwise.
                raw = ctypes.string_at(ctypes.addressof(event) + _Event.id.offset, 8)
                name = raw.split(b"\0")[0].decode("utf-8", "replace")
            self._events.append(Event(event.type, event.text_position, event.length, event.sample, name))
            i += 1
        return 0

    def learn(self, speaker: Speaker) -> None:
        """Make a speaker's variant known; nothing happens when it is."""
        file = self._variants / speaker.name
        if not file.exists():
            file.write_text(speaker.variant(), encoding="utf-8")

    def speak(
        self, text: str, *, language: str, variant: str, rate: int, pitch: int, pitch_range: int, seed: int
    ) -> tuple[np.ndarray, list[Event]]:
        """Audio (S,) int16 at ``sampling_rate`` and its events in order.

        Args:
            rate: words per minute, at most 350 (faster, eSpeak shortens the audio under its events).
            pitch, pitch_range: 0..99, 50 = as the voice says.

        Raises:
            UserError: unknown language or variant (eSpeak itself ignores an unknown variant), or too fast.
        """
        if not (self._variants / variant).is_file():
            raise UserError(f"eSpeak NG has no voice variant '{variant}': let it learn that speaker first")
        if rate > 350:
            raise UserError(f"a speaking rate of {rate} words per minute spoils the labels: use at most 350")
        if self._library.espeak_SetVoiceByName(f"{language}+{variant}".encode()):
            raise UserError(f"eSpeak NG has no voice for language '{language}': use a name such as 'en-us' or 'es'")
        # Volume 70: some voices saturate at 100; the level is set afterwards anyway.
        for parameter, value in ((_RATE, rate), (_VOLUME, 70), (_PITCH, pitch), (_RANGE, pitch_range), (_WORD_GAP, 0)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._library.espeak_ng_SetRandSeed(seed)
        self._audio, self._events = [], []
        encoded = text.encode()
        if self._library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, _UTF8, None, None):
            raise RuntimeError(f"eSpeak NG failed to speak '{text}'")
        return np.frombuffer(b"".join(self._audio), np.int16), list(self._events)


def _link_data(home: Path) -> Path:
    """Make ``home/espeak-ng-data`` of links to eSpeak's own files; returns its empty folder of variants."""
    folder = home / "espeak-ng-data"
    variants = folder / "voices" / "!v"
    variants.mkdir(parents=True)
    for entry in Path(_loader().get_data_path()).iterdir():
        if entry.name != "voices":
            (folder / entry.name).symlink_to(entry)
    return variants


def _loader() -> ModuleType:
    try:
        import espeakng_loader
    except ImportError:
        raise UserError(
            "the demo corpus is synthesised by eSpeak NG, which is not installed: pip install 'speechunits[demo]'"
        ) from None
    return espeakng_loader


def _load_library() -> ctypes.CDLL:
    library = ctypes.CDLL(_loader().get_library_path())
    c_int, c_uint, c_char_p, c_void_p = ctypes.c_int, ctypes.c_uint, ctypes.c_char_p, ctypes.c_void_p
    library.espeak_Initialize.argtypes = [c_int, c_int, c_char_p, c_int]
    library.espeak_Info.argtypes, library.espeak_Info.restype = [c_void_p], c_char_p
    library.espeak_ListVoices.argtypes = [c_void_p]
    library.espeak_ListVoices.restype = c_void_p
    library.espeak_SetVoiceByName.argtypes = [c_char_p]
    library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    library.espeak_Synth.argtypes = [c_char_p, ctypes.c_size_t, c_uint, c_int, c_uint, c_uint, c_void_p, c_void_p]
    return library
