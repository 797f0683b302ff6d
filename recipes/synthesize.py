"""Say the transcripts of a corpus: python -m recipes.synthesize out=exp/said text_to_units=... vocoder=... cuts=test.jsonl.gz

``out/wav/ID.wav`` for every cut, as ``recipes.judge`` takes them (``made.tts=out/wav``). Models of several speakers speak as
``speaker``, by default that of the cut. ``model.search`` (``conf/unit_search/*.yaml``) replaces the search with which the
model was saved. Sentences that may be cut short are named in ``out/synthesize.log``.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from speechunits import store
from speechunits.config import build
from speechunits.data.cuts import open_cuts
from speechunits.data.fields.text_field import TextField
from speechunits.data.transcripts import voice
from speechunits.data.write_audio import write_audio
from speechunits.errors import UserError
from speechunits.part import Tree
from speechunits.recipe import log_to, main, usable_device
from speechunits.tasks.sequence_to_units import SequenceToUnits
from speechunits.tasks.synthesis import Synthesis
from speechunits.tasks.unit_vocoder import UnitVocoder
from speechunits.tasks.vocoding import Vocoding

log = logging.getLogger("speechunits.synthesize")


def synthesize(
    out: str,
    text_to_units: str,
    vocoder: str,
    cuts: str | list[str],
    speaker: str | None = None,
    speed: float = 1.0,
    seed: int = 0,
    device: str = "cpu",
    model: Tree | None = None,
) -> dict[str, Any]:
    """Say every transcript; see the module's text."""
    log_to(f"{out}/synthesize.log")
    place, corpus, field = usable_device(device), open_cuts(cuts), TextField()
    writer = store.restore(text_to_units, place, SequenceToUnits)
    if model is not None:
        if model.keys() != {"search"}:
            raise UserError(f"model: {', '.join(model)}: of a finished model only model.search can be replaced")
        writer.replace_search(build(model["search"], at="model.search"))
    speaks = store.restore(vocoder, place, UnitVocoder)
    speaks.fold()
    say, begin, seconds = Synthesis(writer, Vocoding(speaks)), time.perf_counter(), 0.0
    for cut in corpus:
        who, language = voice(cut)
        told = {"speaker": speaker or who} if "speaker" in say.told else {}
        try:
            audio = say(field.text(cut), seed, speed, language or None, **told)
        except UserError as error:
            raise UserError(f"the cut {cut.id}: {error}") from error
        write_audio(f"{out}/wav/{cut.id}.wav", audio, say.rate)
        seconds += len(audio) / say.rate
    rtf = (time.perf_counter() - begin) / max(seconds, 1e-9)
    log.info("%d transcripts, %.1f s of speech, %.3f s for a second of it", len(corpus), seconds, rtf)
    made_by = {"text_to_units": str(writer.fingerprint), "vocoder": str(speaks.fingerprint)}
    return {"transcripts": len(corpus), "speech": round(seconds, 3), "rtf": round(rtf, 4), **made_by}


if __name__ == "__main__":
    main(synthesize)
