"""Write a speaker's vector beside the audio: python -m recipes.embed_speakers out=exp/voices
encoder=exp/speaker/speaker_encoder cuts.train=train.jsonl.gz

For each named manifest ``out/<name>.jsonl.gz``: the same cuts with one vector, in float16, under ``custom[field]``, which
``VoiceField`` reads (``batch["voice"]``). ``reference=own`` stores the vector of the cut itself, ``reference=other`` that of
another utterance of its speaker, drawn by (seed, cut id): what a vocoder learns from that is to speak with the voice of one
unseen utterance. Unreadable audio is listed in ``out/<name>.bad.json`` and left out; several processes share the work, as in
``recipes.extract_units``.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import torch

from speechunits import ranks, store
from speechunits.data.feature_writer import FeatureWriter
from speechunits.data.other_voices import refer_to_others
from speechunits.recipe import log_to, main, usable_device
from speechunits.seq import Seq
from speechunits.tasks.speaker_encoder import SpeakerEncoder
from speechunits.units.extraction import extract


def embed_speakers(
    out: str,
    encoder: str,
    cuts: dict[str, Any],
    reference: Literal["own", "other"] = "own",
    field: str = "voice",
    seed: int = 0,
    max_seconds: float = 60.0,
    num_workers: int = 0,
    device: str = "cpu",
) -> dict[str, Any]:
    """Store the vectors of all manifests; see the module's text."""
    log_to(f"{out}/embed.log")
    place = usable_device(device)
    ranks.join(place)
    made: SpeakerEncoder = store.restore(encoder, place, expect=SpeakerEncoder)

    def voices(audio: Seq) -> Seq:
        vectors = made.embed(audio)[:, None]
        return Seq(vectors, torch.ones(len(vectors), dtype=torch.int64, device=place), None)

    writer = partial(
        FeatureWriter,
        hop=None,
        shape=(made.dim,),
        fingerprint=made.fingerprint,
        field=field,
        derived_from=store.read_meta(encoder)["derived_from"],
    )
    figures = extract(out, cuts, voices, writer, field, max_seconds, num_workers, place)
    for name in cuts if reference == "other" and ranks.first_process() else ():
        refer_to_others(f"{out}/{name}.jsonl.gz", field, seed)
    return {"fingerprint": made.fingerprint, **figures}


if __name__ == "__main__":
    main(embed_speakers)
