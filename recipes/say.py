"""Say a corpus again: python -m recipes.say out=exp/said vocoder=exp/vocoder/vocoder cuts.test=units/test.jsonl.gz

For each named manifest ``out/<name>.jsonl.gz`` and a WAV file for each cut in ``out/<name>/``: the cuts as the vocoder says
them from what it reads of theirs (units, features, prosody), with their ids, texts and languages and the speaker who should be
heard, as ``recipes.judge`` takes them. ``voice=own``: everybody speaks for himself; ``voice=other``: each cut in the voice of
another speaker, drawn by (seed, cut id); ``voice=NAME``: all in that of one speaker. Speakers are those of ``voices``, a
manifest, or of the cuts themselves. ``fields`` are of the batch, where what the vocoder reads is stored under other names.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from speechunits import store
from speechunits.config import build
from speechunits.data.cuts import Cuts, open_cuts, write_cuts
from speechunits.data.field import Field
from speechunits.data.lent_voices import lend_voices
from speechunits.data.unit_meta import read_meta
from speechunits.part import Tree
from speechunits.recipe import log_to, main, usable_device
from speechunits.tasks.saying import Saying
from speechunits.tasks.unit_vocoder import UnitVocoder

log = logging.getLogger("speechunits.say")


def say(
    out: str,
    vocoder: str,
    cuts: dict[str, Any],
    voice: str = "own",
    voices: str | list[str] | None = None,
    speed: float = 1.0,
    fields: dict[str, Tree] | None = None,
    seed: int = 0,
    max_seconds: float = 60.0,
    num_workers: int = 0,
    device: str = "cpu",
) -> dict[str, Any]:
    """Say every manifest; see the module's text."""
    log_to(f"{out}/say.log")
    place = usable_device(device)
    speaker: UnitVocoder = store.restore(vocoder, place, UnitVocoder)
    speaker.fold()
    given: dict[str, Field] = {name: build(node, at=f"fields.{name}") for name, node in (fields or {}).items()}
    corpora = {name: open_cuts(paths) for name, paths in cuts.items()}
    lenders = None if voices is None else open_cuts(voices)
    if voice != "own":
        corpora = {
            n: lent(f"{out}/asked/{n}.jsonl.gz", each, lenders or each, voice, seed) for n, each in corpora.items()
        }
    passes = {name: Saying(speaker, each, given, max_seconds, num_workers, place) for name, each in corpora.items()}
    figures: dict[str, Any] = {}
    for name, saying in passes.items():
        write_cuts(f"{out}/{name}.jsonl.gz", saying(Path(out).absolute() / name, speed))
        log.info("%s: %d utterances, %.1f times faster than they sound", name, saying.count, 1 / saying.rtf)
        figures[name] = {"utterances": saying.count, "rtf": round(saying.rtf, 5)}
    return figures


def lent(path: str, cuts: Cuts, lenders: Cuts, voice: str, seed: int) -> Cuts:
    """The cuts with whose voice they are to be said, as a manifest."""
    about = {name: meta for part in cuts.paths for name, meta in read_meta(part).items()}
    write_cuts(path, lend_voices(cuts, lenders, voice, seed=seed), about)
    return open_cuts(path)


if __name__ == "__main__":
    main(say)
