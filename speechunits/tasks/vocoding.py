"""Vocoding: units of any length to waveforms, checked, batched and in bounded memory."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import torch
from torch import Tensor

from speechunits.errors import UserError, some
from speechunits.inputs.label_table import LabelTable
from speechunits.inputs.unit_input import UnitInput
from speechunits.protocols import Batch
from speechunits.seq import Seq, pad, unpad
from speechunits.tasks.reach import reach
from speechunits.tasks.unit_vocoder import UnitVocoder
from speechunits.units.tokenizer import UnitTokenizer
from speechunits.units.units import Units

log = logging.getLogger("speechunits.vocoding")


class _Piece(NamedTuple):
    """Frames ``start`` to ``end`` of utterance ``row``, and those ``first`` to ``last`` around them that are heard for it."""

    row: int
    first: int
    start: int
    end: int
    last: int


class Vocoding:
    """Says units with a vocoder in evaluation mode.

    Frames of all utterances are made at once, waveforms in passes of at most ``window`` frames, those of like length together.
    What is longer is made in pieces, each heard with as many frames on both sides as the generator's reach, which is measured
    when it is first needed (``reach``): so the whole is what one pass would give, and memory is bounded but for frames and
    waveforms themselves. Where a generator hears everything, long utterances are made whole.

    Args:
        vocoder: usually ``store.restore`` of a folder.
        tokenizer: whose units are to be said; a stranger is refused at once.
        window: frames of one pass of the generator, those of all its pieces together; more than twice its reach.

    Raises:
        UserError: the vocoder was trained on units of another tokenizer.
    """

    def __init__(self, vocoder: UnitVocoder, tokenizer: UnitTokenizer | None = None, window: int = 3000) -> None:
        self.vocoder, self.window = vocoder, window
        if tokenizer is not None:
            self._check_origin(tokenizer.fingerprint)

    def _check_origin(self, fingerprint: str) -> UnitInput:
        heard = self.vocoder.input
        if not isinstance(heard, UnitInput):
            raise UserError("this vocoder reads no units; resynthesize from audio, or give a vocoder of units")
        if fingerprint != heard.stream.fingerprint:
            raise UserError(
                f"the vocoder was trained on units of the tokenizer {heard.stream.fingerprint}, and these are of "
                f"{fingerprint}; encode with that tokenizer, or give a vocoder of these units"
            )
        return heard

    def check(self, units: Units, names: Sequence[str] | None = None) -> UnitInput:
        """Whether the vocoder can say ``units``, whose utterances are called ``names``; what of it hears them.

        Raises:
            UserError: they are of another tokenizer, an utterance has none, or an id is in no codebook.
        """
        heard = self._check_origin(units.fingerprint)
        vocab, hop = heard.stream.vocab, (units.durations or units.ids).hop
        if units.vocab != vocab:
            raise UserError(f"the vocoder has codebooks of {list(vocab)}, and these units are of {list(units.vocab)}")
        if hop not in (None, heard.stream.hop):
            raise UserError(
                f"the vocoder has a frame every {heard.stream.hop} s, and these units have one every {hop} s"
            )
        if hop is None and self.vocoder.durations is None:
            raise UserError("these units are merged, and the vocoder has no durations; give units with durations")
        sizes = torch.tensor(vocab)
        for ids, name in zip(unpad(units.ids), names or utterances(len(units.ids.lengths)), strict=True):
            ids = ids.cpu()
            left_out = (ids == -1).all(0)  # codebooks of which nothing is said
            if not len(ids) or bool(left_out.all()):
                raise UserError(f"{name}: has no units; leave it out")
            wrong = ((ids < 0) | (ids >= sizes)) & ~left_out
            if wrong.any():
                t, k = wrong.nonzero()[0].tolist()
                of = f" of codebook {k + 1}" if len(vocab) > 1 else ""
                raise UserError(
                    f"{name}: unit {t + 1} is {int(ids[t, k])}, and the ids{of} run from 0 to {vocab[k] - 1}; are these units "
                    "of this tokenizer?"
                )
        return heard

    def __call__(self, units: Units, speed: float = 1.0, **conditions: Any) -> Seq:
        """Units of all frames, or merged ones, with durations or without -> waveforms (B, S) at the vocoder's rate.

        Args:
            conditions: what else the vocoder reads: ``speaker="ada"`` for all utterances or B names, ``voice`` (B, D); and
                ``ids``, B names of utterances for the log.

        Raises:
            UserError: see ``check``, ``named`` and ``speak``.
        """
        heard = self.check(units, conditions.get("ids"))
        ids = units.ids.with_data(units.ids.data[..., 0]) if len(units.vocab) == 1 else units.ids
        labels = {field: conditions.pop(field, None) for field in {"speaker", *self._tables()}}
        batch = {**conditions, **self.named(len(ids.data), **labels), heard.field: ids}
        if units.durations is not None:
            batch[heard.durations_field] = units.durations
        return self.speak(batch, speed)

    def _tables(self) -> dict[str, LabelTable]:
        return {c.field: c for c in self.vocoder.conditions.values() if isinstance(c, LabelTable)}

    def named(self, count: int, **labels: str | Sequence[str] | None) -> dict[str, list[str]]:
        """Speaker, style and what else has a name, one for all or ``count`` of each, as fields of a batch.

        Raises:
            UserError: the vocoder asks for one more, or has no vectors for this kind of label, or none for this name.
        """
        tables = self._tables()
        if strange := [field for field, given in labels.items() if given is not None and field not in tables]:
            raise UserError(f"this vocoder knows no {strange[0]} by name; leave it out")
        fields = {}
        for field, table in tables.items():
            if (given := labels.get(field)) is None:
                raise UserError(f"name the {field} that this vocoder is to have: {some(table.names.names, 10)}")
            fields[field] = [given] * count if isinstance(given, str) else list(given)
            table.names.numbers(fields[field], field)
        return fields

    @torch.inference_mode()
    def speak(self, batch: Batch, speed: float = 1.0) -> Seq:
        """What the vocoder reads -> waveforms (B, S); louder than full scale is turned down, and the log says so.

        Raises:
            UserError: a condition is not there, a name is unknown, or the vocoder gives numbers that are none.
        """
        if not (math.isfinite(speed) and speed > 0):
            raise UserError(f"speed {speed:g}: give a number above 0; 1.2 is faster")
        if missing := sorted((self._tables().keys() | self.vocoder.labels.keys()) - batch.keys()):
            raise UserError(f"this vocoder also reads {', '.join(missing)}, which was not given")
        units = getattr(self.vocoder.input, "field", None)
        beside = [
            name for name in self.vocoder.labels if name != units and getattr(batch[name], "hop", None) is not None
        ]
        if speed != 1 and beside:
            raise UserError(f"this vocoder reads {', '.join(beside)} in time with the units; leave the speed out")
        frames = self.vocoder.frames(self.vocoder.expand(batch, speed))
        names = batch.get("ids") or utterances(len(frames.lengths))
        if short := [name for name, n in zip(names, frames.lengths.tolist(), strict=True) if not n]:
            raise UserError(f"{some(short)}: too short for one frame; leave it out")
        waves = [turned_down(wave, name) for wave, name in zip(self._made(frames), names, strict=True)]
        return pad(waves, Fraction(1, self.vocoder.rate))

    def _pieces(self, frames: Seq) -> list[_Piece]:
        pieces = []
        for row, n in enumerate(frames.lengths.tolist()):
            context, step = 0, n
            if (
                n > self.window
                and (around := self._reach(frames.data[row, :n])) is not None
                and 2 * around < self.window
            ):
                context, step = around, self.window - 2 * around
            for start in range(0, n, step):
                end = min(start + step, n)
                pieces.append(_Piece(row, max(start - context, 0), start, end, min(end + context, n)))
        return pieces

    def _reach(self, frames: Tensor) -> int | None:
        """Of the generator, measured on the first utterance that asks."""
        if not hasattr(self, "_found"):
            self._found = reach(self.vocoder.generator, frames[: 3 * self.window], self.vocoder.generator.hop)
        return self._found

    def _passes(self, pieces: list[_Piece]) -> Iterator[list[_Piece]]:
        """Pieces of like length together, the longest first, ``window`` frames at most unless one alone is longer."""
        group: list[_Piece] = []
        for piece in sorted(pieces, key=lambda p: p.first - p.last):
            if group and (len(group) + 1) * (group[0].last - group[0].first) > self.window:
                yield group
                group = []
            group.append(piece)
        yield group

    def _made(self, frames: Seq) -> list[Tensor]:
        """(B, T, dim) -> B waveforms (S,) on the CPU."""
        lengths, factor = frames.lengths.tolist(), self.vocoder.generator.factor
        waves = [torch.empty(n * factor, dtype=frames.data.dtype) for n in lengths]
        for group in self._passes(self._pieces(frames)):
            heard = pad([frames.data[p.row, p.first : p.last] for p in group], frames.hop).to(frames.data.device)
            for p, wave in zip(group, unpad(self.vocoder.generator(heard)), strict=True):
                kept = wave[(p.start - p.first) * factor : (p.end - p.first) * factor]
                waves[p.row][p.start * factor : p.end * factor] = kept
        return waves


def utterances(count: int) -> list[str]:
    """What ``count`` utterances without names are called."""
    return [f"utterance {i} of {count}" for i in range(1, count + 1)] if count > 1 else ["the utterance"]


def turned_down(wave: Tensor, what: str) -> Tensor:
    """(S,) -> (S,) with no sample above full scale, the whole turned down by as much where one is; the log says so.

    Raises:
        UserError: a sample is no number.
    """
    if not bool(wave.isfinite().all()):
        raise UserError(
            f"{what}: the vocoder gives samples that are no numbers; its training went wrong, take another one"
        )
    peak = float(wave.abs().max())
    if peak > 1:
        log.warning("%s: louder than full scale, so turned down by %.1f dB", what, 20 * math.log10(peak))
        return wave / peak
    if clipped := int((wave.abs() == 1).sum()):
        log.warning("%s: %d samples stand at full scale, where the generator cuts them off", what, clipped)
    return wave
