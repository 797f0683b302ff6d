"""Abx: the ABX error of units or features within and across speakers, from phone alignments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch

from speechunits.errors import UserError
from speechunits.metrics.abx_items import Segment, abx_items
from speechunits.metrics.abx_score import abx
from speechunits.metrics.utterance_rows import UtteranceRows, written_label
from speechunits.seq import Seq, unpad


class Abx(UtteranceRows):
    """ABX error in percent: ``abx_within``, ``abx_across`` and their variants; chance is 50.

    ``triphone`` segments give ``abx_within`` and ``abx_across`` (Libri-Light, ZeroSpeech 2021), ``phone`` segments in
    the same context ``abx_phone_within`` and ``abx_phone_across``, ``phone_any`` segments, whatever the context,
    ``abx_phone_any_within`` and ``abx_phone_any_across``. Beside each, ``..._kept`` is the share of trials that fitted
    into ``max_pairs`` (1 = nothing was left out). nan where the data hold no triple, as across one speaker.

    Reads ``outputs[field]`` (B, T, D) vectors, compared by angle, or (B, T) or (B, T, K) ids, compared by identity;
    ``batch["phones"]`` (B, T') with -1 where unlabelled, ``batch["speakers"]`` and ``batch["ids"]``.

    Args:
        field: what is tested.
        segments: which of the three tests.
        silence: phone ids that are neither items nor context.
        name: of the results.
        max_size_group, max_x_across, max_pairs, seed: see ``metrics.abx_score.abx``.
    """

    def __init__(
        self,
        field: str = "units",
        segments: Sequence[Segment] = ("triphone",),
        silence: Sequence[int] = (),
        name: str = "abx",
        max_size_group: int = 10,
        max_x_across: int = 5,
        max_pairs: int = 4_000_000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        unknown = sorted(set(segments) - {"triphone", "phone", "phone_any"})
        if unknown:
            raise UserError(f"segments: no ABX test is called {unknown}; choose among triphone, phone, phone_any")
        self.field, self.segments, self.silence, self.name = field, tuple(segments), tuple(silence), name
        self.limits = {
            "max_size_group": max_size_group, "max_x_across": max_x_across, "max_pairs": max_pairs, "seed": seed
        }  # fmt: skip

    def update(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        """Take in one batch.

        Raises:
            UserError: a field is missing.
            ValueError: a field has no hop, or a feature is not finite.
        """
        features: Seq = self.need(outputs, self.field)
        phones: Seq = self.need(batch, "phones")
        ids, speakers = self.need(batch, "ids"), self.need(batch, "speakers")
        if features.hop is None or phones.hop is None:
            raise ValueError(f"{self.field!r} and 'phones' need a hop: ABX is measured before deduplication and BPE")
        clock = torch.tensor([x for h in (features.hop, phones.hop) for x in (h.numerator, h.denominator)])
        for key, speaker, x, p in zip(ids, speakers, unpad(features), unpad(phones), strict=True):
            if x.is_floating_point() and not bool(x.isfinite().all()):
                raise ValueError(f"{key}: {self.field!r} is not finite, so its distances mean nothing")
            voice, copy = written_label(speaker), x.clone() if x.is_floating_point() else x.int()
            self.put(
                key, x=copy, phones=p.int(), speaker=voice, clock=clock
            )  # a slice would keep the padded batch alive

    def compute(self) -> dict[str, float]:
        """The results over everything seen.

        Raises:
            UserError: no utterance was seen.
        """
        rows = self.rows()
        voices = [bytes(r["speaker"].tolist()) for r in rows]
        number = {voice: i for i, voice in enumerate(sorted(set(voices)))}
        features = [r["x"] for r in rows]
        hops = [[Fraction(*pair) for pair in r["clock"].view(2, 2).tolist()] for r in rows]
        out = {}
        for segment in self.segments:
            items = abx_items(
                [r["phones"].long().numpy() for r in rows],
                [phone for _, phone in hops],
                [len(x) for x in features],
                [frame for frame, _ in hops],
                [number[voice] for voice in voices],
                segment,
                self.silence,
            )
            for side in ("within", "across"):
                name = "_".join([self.name, *([] if segment == "triphone" else [segment]), side])
                score = abx(items, features, side == "across", **self.limits)
                out |= {name: 100 * score.error, f"{name}_kept": score.kept}
        return out
