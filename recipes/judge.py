"""Judge what was made beside recordings: python -m recipes.judge out=exp/judge originals=test.jsonl.gz made.vocoder=exp/wav

``originals`` and each of ``made`` are a manifest or a folder of audio, paired by id (``data.pairs``); ``transcripts`` says what
is said where the manifest does not (any file of ``recipes.score``). Rows of ``out/results.json`` with their bootstrap intervals
over ``resample``, of each of ``made`` and, where they need no pair, of ``original`` itself:

* ``mcd``; ``spectral_convergence``, ``log_magnitude`` and ``mel_distance`` of pairs that run in step; level, clipping, silence;
* with ``prosody`` (a frontend, ``frontends.prosody``) errors of F0 and voicing;
* with ``speaker_encoder`` (its folder) similarities, the nearest speaker of ``enrolment`` (default: the originals), EER;
* of each of ``judges``, recognisers of ours as in the recipe recognise, and of pocketsphinx, with ``outside={}`` or
  ``outside={words: [...]}`` (``tasks.outside_judge``), error rates with the files of the recipe recognise in ``out/JUDGE``;
* of ``units``, the manifests of stored units from which a system spoke, bits per second (``bitrate_voice``: units, how long
  they last, and one of the speakers of what was made);
* of ``measures``, by name, whatever reads ``outputs["audio"]`` and has intervals (``conf/measures/dnsmos.yaml``).

``made_by`` lists the vocoders, tokenizers, encoders and unit manifests that were used. A judge that has one of them, or a
parent of one, in its own lineage (``tasks.independence``) is refused; ``accept_dependent`` gives it a name that says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from speechunits import store
from speechunits.config import build
from speechunits.data.audio_folder import sounds
from speechunits.data.cuts import Cuts, open_cuts, write_cuts
from speechunits.data.pairs import pair_up
from speechunits.data.transcripts import read_transcripts, spoken_text, voice
from speechunits.errors import UserError, some
from speechunits.metrics.reading import Reading
from speechunits.metrics.wer import WER
from speechunits.part import Tree
from speechunits.protocols import Recognises
from speechunits.provenance import provenance
from speechunits.recipe import log_to, main, usable_device
from speechunits.report.results import markdown_table, write_results
from speechunits.report.scores import rated, score
from speechunits.seq import Seq
from speechunits.tasks.independence import check_independent
from speechunits.tasks.judgement import Judgement
from speechunits.tasks.recognition import Recognition, System, read_system
from speechunits.tasks.stored_bitrate import stored_bitrate

OUTSIDE = "speechunits.tasks.outside_judge.OutsideJudge"

log = logging.getLogger("speechunits.judge")


def judge(
    out: str,
    originals: str,
    made: dict[str, str],
    transcripts: str | None = None,
    judges: dict[str, Any] | None = None,
    outside: Tree | None = None,
    prosody: Tree | None = None,
    speaker_encoder: str | None = None,
    enrolment: str | None = None,
    units: dict[str, str] | None = None,
    measures: Tree | None = None,
    made_by: Sequence[str] = (),
    accept_dependent: bool = False,
    split: str = "test",
    normaliser: Tree | None = None,
    resample: Literal["utterances", "speakers"] = "utterances",
    max_seconds: float = 60.0,
    num_workers: int = 0,
    device: str = "cpu",
) -> dict[str, Any]:
    """Judge every system; see the module's text."""
    log_to(f"{out}/judge.log")
    place = usable_device(device)
    if "original" in made:
        raise UserError("made.original: so the recordings themselves are called; give this system another name")
    if strange := sorted((units or {}).keys() - made.keys()):
        raise UserError(f"units.{strange[0]}: nothing of that name was made; it is one of {', '.join(made)}")
    spell = None if normaliser is None else build(normaliser, at="normaliser")
    said = None if transcripts is None else read_transcripts(transcripts, ("said", "text"))
    readers: dict[str, Callable[[Cuts], list[Reading]]] = {}
    if outside is not None:
        readers["pocketsphinx"] = build({"_target_": OUTSIDE, **outside}, at="outside").read
    for name, node in (judges or {}).items():
        model = (system := read_system(f"judges.{name}", node)).restore(place)
        shared = check_independent(system.folder, made_by, (model.text.fingerprint,), accept_dependent)
        readers[f"{name} (dependent)" if shared else name] = partial(
            recognised, model, system, max_seconds=max_seconds, num_workers=num_workers, device=place
        )
    recorded = sounds(originals)
    pairs = {name: pair_up(recorded, sounds(path), (originals, path), said) for name, path in made.items()}
    own = {pair.original.id: pair.original for each in pairs.values() for pair in each}
    # all are spelled here: that there are no rules for a language is better said before anything is heard
    words = [WER(normaliser=spell).words(spoken_text(cut), voice(cut)[1]) for cut in own.values() if readers]
    if readers and not any(words):
        raise UserError(
            f"{originals}: nothing says what is said there, and judges are to hear it; give transcripts=..."
        )
    listen = Judgement(
        None if prosody is None else build(prosody, at="prosody").to(place),
        None if speaker_encoder is None else voices(speaker_encoder, made_by, place),
        lambda: {name: build(node, at=f"measures.{name}") for name, node in (measures or {}).items()},
        place,
    )
    if speaker_encoder is not None:
        listen.enrol(own.values() if enrolment is None else open_cuts(enrolment))
    rows: list[dict[str, Any]] = []
    for name, cuts in {"original": [*own.values()], **{n: [p.made for p in each] for n, each in pairs.items()}}.items():
        about = {"system": name, "split": split}
        measured, figures = listen.pairs(pairs[name]) if name in pairs else listen.recordings(cuts)
        for kind, ids in ((k, measured["levels"].named(k)) for k in ("clipped", "silent")):
            if ids:
                log.warning("%s: %d of %d utterances are %s: %s", name, len(ids), len(cuts), kind, some(ids))
        rows += [row for measure in measured.values() for row in rated(measure, about, resample)]
        if name in (units or {}):
            figures |= stored_bitrate(units[name], len({pair.speaker for pair in pairs[name]}))
        rows += [{**about, "utterances": len(cuts), "metric": k, "value": v} for k, v in figures.items()]
        write_cuts(manifest := f"{out}/cuts/{name}.jsonl.gz", cuts)
        for reader, read in readers.items():
            measure = WER(normaliser=spell)
            rows += score(read(open_cuts(manifest)), measure, {**about, "judge": reader}, f"{out}/{reader}", resample)
    write_results(f"{out}/results.json", rows, provenance())
    print(markdown_table({"rows": rows}, split=split), end="")
    return {"rows": len(rows)}


def recognised(model: Recognises, system: System, cuts: Cuts, **run: Any) -> list[Reading]:
    """What a recogniser of ours hears."""
    return Recognition(model, cuts, system.batch_fields(model, cuts), **run).read()


def voices(folder: str, made_by: Sequence[str], place: torch.device) -> Callable[[Seq], Tensor]:
    """What turns audio into the vectors of a speaker encoder."""
    encoder = store.restore(folder, place)
    if not hasattr(encoder, "embed"):
        raise UserError(f"{folder}: holds a {type(encoder).__name__}, which knows no voices; give a speaker_encoder/")
    check_independent(folder, made_by, accept=True)
    return encoder.embed


if __name__ == "__main__":
    main(judge)
