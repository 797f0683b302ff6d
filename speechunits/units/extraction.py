"""Arrays for every cut of named manifests: what the recipes that extract units and features share."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from speechunits import ranks
from speechunits.data.array_writer import ArrayWriter
from speechunits.data.cuts import open_cuts
from speechunits.data.field import Field
from speechunits.data.fields.audio_field import AudioField
from speechunits.data.fields.cut_field import CutField
from speechunits.data.unit_meta import read_meta
from speechunits.seq import Seq
from speechunits.units.array_parts import ArrayParts
from speechunits.units.feature_pass import FeaturePass

log = logging.getLogger(__name__)


def extract(
    out: str | Path,
    cuts: Mapping[str, Any],
    encode: Callable[[Seq], Seq],
    writer: Callable[..., ArrayWriter],
    field: str,
    max_seconds: float = 60.0,
    num_workers: int = 0,
    device: str | torch.device = "cpu",
) -> dict[str, dict[str, int]]:
    """Write ``out/<name>.jsonl.gz`` for each of ``cuts``; several processes share the work, an interrupted run goes on.

    Args:
        cuts: name -> manifests.
        encode: (B, S) audio on ``device`` -> an array for each utterance.
        writer: given a manifest's path and, as ``others``, the meta of the fields that its cuts carry already.
        field: under which the arrays are stored.
        max_seconds: of one batch, padding included.

    Returns:
        for each manifest how many ``cuts`` it has and how many were ``unreadable`` (listed in ``out/<name>.bad.json``);
        {} on all processes but the first.
    """
    figures, made = dict[str, dict[str, int]](), []
    for name, manifest in cuts.items():
        corpus = open_cuts(manifest)
        fields: dict[str, Field] = {"audio": AudioField(), "cut": CutField()}
        batches = FeaturePass(corpus, fields, max_seconds, num_workers=num_workers, device=device)
        others = {k: v for p in corpus.paths for k, v in read_meta(Path(p)).items() if k != field}
        path = Path(out) / f"{name}.jsonl.gz"
        parts = ArrayParts(Path(out) / f"{name}.parts", batches, writer(path, others=others))
        begin, left = time.monotonic(), len(parts.mine())
        speed = parts.write(encode) / (time.monotonic() - begin)
        log.info("%s: %d of %d parts are this process's to write: %.0f x real time", name, left, len(parts), speed)
        ranks.barrier()
        if ranks.first_process():
            bad = Path(out) / f"{name}.bad.json"
            bad.unlink(missing_ok=True)
            count, unreadable = parts.join(bad)
            log.info("%s: %d cuts, %d unreadable", path, count, len(unreadable))
            figures[name] = {"cuts": count, "unreadable": len(unreadable)}
        made.append(parts)
    ranks.barrier()  # until all is written a run that is killed has its parts to go on from
    for parts in made if ranks.first_process() else ():
        parts.clear()
    return figures
