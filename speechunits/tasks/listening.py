"""Listening: a waveform as the batch that a recogniser or a vocoder reads."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import nn

from speechunits.errors import UserError
from speechunits.inputs.feature_input import FeatureInput
from speechunits.protocols import Batch, Recognises
from speechunits.seq import Seq
from speechunits.stream import Stream
from speechunits.tasks.unit_vocoder import UnitVocoder
from speechunits.units.dedup import Dedup
from speechunits.units.features import Features
from speechunits.units.tokenizer import UnitTokenizer
from speechunits.units.units import Units


class Listening:
    """What a model of audio, features or units is given of a waveform: itself, its vectors, its units after the steps of
    training.

    Args:
        model: whose ``labels`` say what it reads.
        tokenizer: of the units, where it reads units.
        subwords: further models of units (``UnitBPE``), in the order of training.
        features: where it reads stored features, what made them, one for each field of theirs.
        others: fields of ``labels`` that come from elsewhere.

    Raises:
        UserError: it reads units or features and what makes them is not given, or others; or it reads something else.
    """

    def __init__(
        self,
        model: Recognises | UnitVocoder,
        tokenizer: UnitTokenizer | None = None,
        subwords: Sequence[nn.Module] = (),
        features: Sequence[Features] = (),
        others: Collection[str] = ("text",),
    ) -> None:
        wanted = {name: print_ for name, print_ in model.labels.items() if name not in others}
        self.features: dict[str, Features] = {}
        for part in features:
            made = str(part.fingerprint)
            if made not in wanted.values():
                there = ", ".join(f"{name} of {print_}" for name, print_ in wanted.items()) or "audio alone"
                raise UserError(
                    f"the model reads {there}, and the features that were given are {made}; give those of its training"
                )
            field = next(name for name, print_ in wanted.items() if print_ == made)
            self.features[field] = part
            del wanted[field]
        if len(wanted) > 1:
            raise UserError(
                f"the model reads {', '.join(wanted)}, and a tokenizer makes one of them; give the folders features/ of the "
                "others, or use recognise where they are units too"
            )
        self.tokenizer, self.field = tokenizer, next(iter(wanted), "audio")
        self.steps: list[nn.Module] = []
        if not wanted:
            if tokenizer is not None or subwords:
                raise UserError("the model hears audio and reads no units; leave the tokenizer and the subwords out")
            return
        fingerprint = str(wanted[self.field])
        units, *names = fingerprint.split("+")
        if "&" in units:
            raise UserError(f"the model reads units of several tokenizers at once ({units}); use recognise")
        if tokenizer is None:
            inputs = model.modules() if isinstance(model, nn.Module) else ()
            if any(isinstance(part, FeatureInput) and part.field == self.field for part in inputs):
                raise UserError(
                    f"the model reads the features {fingerprint}; give the folder features/ of their extraction"
                )
            raise UserError(f"the model reads units of the tokenizer {units}; give its folder")
        if strange := [type(part).__name__ for part in subwords if not hasattr(part, "shorten")]:
            raise UserError(f"the subwords hold a {strange[0]}, which joins no units; give what fit_unit_bpe saved")
        rest, joins = list(subwords), [name for name in names if name != "dedup"]
        if missing := joins[len(rest) :]:
            raise UserError(
                f"the model was trained on the units {fingerprint}; the subwords {', '.join(missing)} were not given"
            )
        self.steps = [Dedup() if name == "dedup" else rest.pop(0) for name in names]
        stream: Stream = tokenizer.stream
        for step in [*self.steps, *rest]:
            stream = step.over(stream)  # type: ignore[operator]
        if stream.fingerprint != fingerprint:
            raise UserError(
                f"the model was trained on the units {fingerprint}, and what was given makes {stream.fingerprint}; give the "
                "tokenizer and the subwords of its training"
            )

    @torch.inference_mode()
    def __call__(self, audio: Seq) -> Batch:
        """(1, S) -> a batch of one."""
        heard: dict[str, Seq] = {"audio": audio}
        heard |= {field: part(audio) for field, part in self.features.items()}
        if self.tokenizer is None:
            return heard
        units = Units(self.tokenizer.codes(audio), self.tokenizer.vocab, self.tokenizer.fingerprint)
        for step in self.steps:
            units = step(units)
        ids = units.ids if len(units.vocab) > 1 else units.ids.with_data(units.ids.data[..., 0])
        return {**heard, self.field: ids, **({} if units.durations is None else {"durations": units.durations})}
