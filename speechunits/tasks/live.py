"""Live: words while they are spoken, by the recogniser that hears whole recordings."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from speechunits.decode.hypothesis import Hypothesis, Streams
from speechunits.decode.words import Word, spelled, timed
from speechunits.errors import UserError
from speechunits.inputs.audio_input import AudioInput
from speechunits.nn.global_norm import GlobalNorm
from speechunits.protocols import Recognises
from speechunits.seq import Seq
from speechunits.tasks.asr import ASR


class Live:
    """Recognises one utterance that comes in blocks of samples, of any size.

    Symbols, times and scores are those of the whole recording, heard at once by the same model: frames come of the samples
    that they see, subsampling and encoder go on from the state that they left, and the search says what can no longer change.
    What is kept is bounded by the encoder's ``chunk`` and ``left`` and by the longest word. A frame is heard when its chunk
    is complete, and a word is said when the next one begins; a text without white space is one word, said at the end.

    Args:
        model: of audio, with an encoder of chunks and a search that need not wait for the end.

    Attributes:
        latest: what the last call found: symbols with their frames, before they are words.
        score: of all symbols so far.
        partial: the word that may go on.

    Raises:
        UserError: a part of the model needs the whole utterance.
    """

    def __init__(self, model: Recognises) -> None:
        self.model = streamable(model)
        prepare, frontend = self.model.input.prepare, self.model.input.frontend
        self.rate, self.hop = frontend.rate, prepare.hop
        self._group = int(self.model.encoder.chunk) * prepare.factor  # frames of the frontend that are heard at once
        self._step = int(frontend.hop / frontend.rate)  # samples
        self._samples = torch.empty(0, device=next(self.model.parameters()).device)
        self._past, self._state = None, self.model.encoder.begin()
        self._search = self.model.search.stream(dict(self.model.heads.items()))
        self._open = self.latest = nothing()
        self.score, self.partial, self.finished = 0.0, "", False

    def feed(self, samples: Tensor) -> list[Word]:
        """The words that are complete with these further ``samples`` (S,), in seconds from the beginning.

        Raises:
            ValueError: after ``finish``.
        """
        self.latest, said = nothing(), []
        for block in samples.split(self._group * self._step):  # of hours given at once, one chunk is in memory
            said += self._hear(block, last=False)
        return said

    def finish(self) -> list[Word]:
        """The words that were waiting for more."""
        self.latest = nothing()
        said = self._hear(self._samples[:0], last=True)
        self.finished = True
        return said

    @torch.inference_mode()
    def _hear(self, block: Tensor, last: bool) -> list[Word]:
        if self.finished:
            raise ValueError("the utterance is finished; make another Live")
        self._samples = torch.cat([self._samples.to(block.dtype), block.to(self._samples.device)])
        audio = Seq(self._samples[None], torch.tensor([len(self._samples)], device=self._samples.device), self.rate)
        count = int(self.model.input.frontend.frames(audio.lengths))
        count -= 0 if last else count % self._group
        if not (count or last):
            return []
        found = self._search(self._heads_hear(audio, count), last)
        self._samples = self._samples[count * self._step :]
        return self._words(found, last)

    def _heads_hear(self, audio: Seq, count: int) -> dict[str, Seq]:
        """What the heads are given of the first ``count`` frames of ``audio``."""
        model = self.model
        if not count:
            empty = Seq(torch.empty(1, 0, model.encoder.dim).to(next(model.parameters())), audio.lengths * 0, self.hop)
            return dict.fromkeys(model.places, empty)
        frames = model.input.frontend(audio)
        frames = Seq(frames.data[:, :count], frames.lengths.clamp(max=count), frames.hop)
        x, self._past = model.input.prepare.stream(frames, self._past)
        hidden = model.encoder(x.with_data(model.entry(x.data)), state=self._state)
        self._state = hidden.state
        return {name: hidden.read(place) for name, place in model.places.items()}

    def _words(self, found: Hypothesis, last: bool) -> list[Word]:
        """All words of the symbols so far but the last, which the next symbol may change."""
        self.latest, self.score = joined(self.latest, found), self.score + found.score
        now = joined(self._open, found)
        made = spelled(now.ids, self.model.text.decode)
        # behind a last word, symbols of no word are white space: it is complete
        complete = last or not made or max(made[-1][1]) < len(now.ids) - 1
        keep = len(now.ids) if complete else min(made[-1][1])
        said = [timed(text, symbols, now, self._seconds) for text, symbols in (made if complete else made[:-1])]
        self._open, self.partial = behind(now, keep), "" if complete else made[-1][0]
        return said

    def _seconds(self, frame: int) -> float:
        return frame * float(self.hop)


def streamable(model: Recognises) -> ASR:
    """``model`` if none of its parts needs the whole utterance.

    Raises:
        UserError: which one does, and what stands in its place.
    """
    if not isinstance(model, ASR):
        raise UserError(
            f"a {type(model).__name__} hears whole utterances; for live recognition train an ASR (conf/asr)"
        )
    if not isinstance(model.input, AudioInput):
        kind = type(model.input).__name__
        raise UserError(
            f"live recognition hears audio, and this model has a {kind}; train one with conf/input/fbank.yaml"
        )
    if not getattr(model.input.frontend, "local", False):
        raise UserError(
            f"model.input.frontend: this {type(model.input.frontend).__name__} looks at the whole utterance, as normalising by "
            "it does; train with normalize: none and a GlobalNorm (recipes.fit_norm)"
        )
    norm = model.input.prepare.norm
    if norm is not None and not isinstance(norm, GlobalNorm):
        raise UserError(
            f"model.input.norm: a {type(norm).__name__} may look at the whole utterance; train with a GlobalNorm"
        )
    if getattr(model.encoder, "chunk", None) is None:
        raise UserError(
            "model.encoder.chunk is null: the encoder hears whole utterances; give it chunks (--chunk, --left)"
        )
    if model.encoder.left is None:
        raise UserError(
            "model.encoder.left is null: all of the past would be kept; give the frames that are heard (--left)"
        )
    if not isinstance(model.search, Streams):
        raise UserError(
            f"model.search: {type(model.search).__name__} needs the whole utterance; choose Greedy of a CTC head or "
            "TransducerGreedy of a transducer (--search)"
        )
    return model


def nothing() -> Hypothesis:
    """Of no symbols."""
    return Hypothesis(torch.empty(0, dtype=torch.int64), 0.0, torch.empty(0, 2, dtype=torch.int64), torch.empty(0))


def joined(a: Hypothesis, b: Hypothesis) -> Hypothesis:
    """The symbols of both."""
    assert a.spans is not None and b.spans is not None and a.confidence is not None and b.confidence is not None
    spans, sure = torch.cat([a.spans, b.spans]), torch.cat([a.confidence, b.confidence])
    return Hypothesis(torch.cat([a.ids, b.ids]), a.score + b.score, spans, sure)


def behind(found: Hypothesis, symbols: int) -> Hypothesis:
    """Without the first ``symbols``."""
    assert found.spans is not None and found.confidence is not None
    return replace(found, ids=found.ids[symbols:], spans=found.spans[symbols:], confidence=found.confidence[symbols:])
