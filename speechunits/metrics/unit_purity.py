"""UnitPurity: PNMI, phone purity, cluster purity and run lengths of units against a phone alignment."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import torch

from speechunits.metrics.contingency import cluster_purity, contingency, mean_run, phone_purity, pnmi
from speechunits.metrics.utterance_rows import UtteranceRows, by_stream
from speechunits.seq import Seq, unpad


class UnitPurity(UtteranceRows):
    """``pnmi``, ``phone_purity``, ``cluster_purity``, ``unit_run``, ``phone_run`` (HuBERT, section IV-C).

    Reads ``outputs["units"]`` (B, T) or (B, T, K), ``batch["phones"]`` (B, T') with -1 where unlabelled, and
    ``batch["ids"]``. Both are laid on the finer of the two grids; ``unit_run`` and ``phone_run`` are mean run lengths
    in frames of that grid. With several codebooks every figure is the mean over codebooks, each shown beside it.
    """

    def update(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        """Take in one batch.

        Raises:
            ValueError: units and phones of an utterance differ by more than 0.1 s and two of the longer frames.
        """
        units, _ = self.units(outputs, "units")
        phones: Seq = self.need(batch, "phones")
        ids = self.need(batch, "ids")
        if units.hop is None or phones.hop is None:
            raise ValueError("units and phones need a hop: purity is measured before deduplication and BPE")
        hop, slack = min(units.hop, phones.hop), max(2 * max(units.hop, phones.hop), Fraction(1, 10))
        for key, u, p in zip(ids, units.lengths.tolist(), phones.lengths.tolist(), strict=True):
            if abs(u * units.hop - p * phones.hop) > slack:
                raise ValueError(
                    f"{key}: units last {float(u * units.hop):.2f} s and phones {float(p * phones.hop):.2f} s; "
                    "check the hop of both"
                )
        wide = [int(x.data.size(1) * x.hop / hop) for x in (units, phones)]
        unit_rows, phone_rows = unpad(units.at(hop, wide[0])), unpad(phones.at(hop, wide[1]))
        for key, u, p in zip(ids, unit_rows, phone_rows, strict=True):
            self.put(key, units=u.int(), phones=p.int())

    def compute(self) -> dict[str, float]:
        """The results over everything seen.

        Raises:
            UserError: no utterance was seen.
            ValueError: no frame is labelled.
        """
        rows = self.rows()
        pairs = [(r["phones"][: len(r["units"])], r["units"][: len(r["phones"])]) for r in rows]
        phones = torch.cat([p for p, _ in pairs])
        units = torch.cat([u for _, u in pairs])
        counts = [contingency(phones, stream) for stream in units.unbind(1)]
        runs = [mean_run(r["units"][:, k] for r in rows) for k in range(units.size(1))]
        return (
            by_stream("pnmi", [pnmi(c) for c in counts])
            | by_stream("phone_purity", [phone_purity(c) for c in counts])
            | by_stream("cluster_purity", [cluster_purity(c) for c in counts])
            | by_stream("unit_run", runs)
            | {"phone_run": mean_run(r["phones"] for r in rows)}
        )
