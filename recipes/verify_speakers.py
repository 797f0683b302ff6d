"""Are two utterances of one speaker? python -m recipes.verify_speakers out=exp/eer
systems.conformer=exp/speaker/speaker_encoder cuts.test=test.jsonl.gz

For every system, a folder of a speaker encoder, and every split: a vector for each cut, cosines of pairs, and rows of
``out/results.json``: the equal error rate in percent, and the mean cosine of pairs of one speaker and of two. Pairs are all
those of the cuts, or ``trials.<split>``, a file of lines "1 <id> <id>" or "0 <id> <id>" (VoxCeleb's form); of such a list
``out/<system>-<split>.txt`` has the cosines. Speakers must be none that the encoder was trained on.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

from speechunits import store
from speechunits.data.cuts import open_cuts
from speechunits.data.field import Field
from speechunits.data.fields.audio_field import AudioField
from speechunits.data.fields.speaker_field import SpeakerField
from speechunits.errors import UserError, some
from speechunits.metrics.equal_error_rate import equal_error_rate
from speechunits.provenance import provenance
from speechunits.recipe import log_to, main, usable_device
from speechunits.report.results import markdown_table, write_results
from speechunits.tasks.speaker_encoder import SpeakerEncoder
from speechunits.tasks.speaker_trials import Trials, all_pairs, read_trials
from speechunits.units.feature_pass import FeaturePass

log = logging.getLogger("speechunits.verify_speakers")


def embedded(encoder: SpeakerEncoder, batches: FeaturePass) -> tuple[list[str], list[str], Tensor]:
    """Ids, speakers and vectors (M, D) of all cuts.

    Raises:
        UserError: some cannot be read.
    """
    ids, speakers, voices = list[str](), list[str](), list[Tensor]()
    for _, batch in batches():
        ids, speakers = ids + batch["ids"], speakers + batch["speaker"]
        voices.append(encoder.embed(batch["audio"]).cpu())
    if batches.bad:
        raise UserError(f"{len(batches.bad)} cuts cannot be read ({some([*batches.bad])}); mend them or leave them out")
    return ids, speakers, torch.cat(voices)


def verify_speakers(
    out: str,
    systems: dict[str, str],
    cuts: dict[str, Any],
    trials: dict[str, str] | None = None,
    max_seconds: float = 60.0,
    num_workers: int = 0,
    device: str = "cpu",
) -> dict[str, Any]:
    """Verify with every system; see the module's text."""
    log_to(f"{out}/verify.log")
    place = usable_device(device)
    if strange := set(trials or {}) - set(cuts):
        raise UserError(
            f"trials.{min(strange)}: there is no cuts.{min(strange)} that they are of; name it, or drop them"
        )
    fields: dict[str, Field] = {"audio": AudioField(), "speaker": SpeakerField()}
    rows: list[dict[str, Any]] = []
    for system, folder in systems.items():
        encoder: SpeakerEncoder = store.restore(folder, place, expect=SpeakerEncoder)
        for split, paths in cuts.items():
            batches = FeaturePass(open_cuts(paths), fields, max_seconds, num_workers=num_workers, device=place)
            ids, speakers, voices = embedded(encoder, batches)
            listed = (trials or {}).get(split)
            pairs = all_pairs(speakers) if listed is None else read_trials(listed, ids)
            scores = pairs.scores(voices)
            if listed is not None:
                write_scores(f"{out}/{system}-{split}.txt", ids, pairs, scores)
            about = {"system": system, "split": split, "trials": len(scores), "speakers": len(set(speakers))}
            found = {
                "eer": 100 * equal_error_rate(scores, pairs.same),
                "cosine_same": float(scores[pairs.same].mean()),
                "cosine_different": float(scores[~pairs.same].mean()),
            }
            rows += [{**about, "metric": metric, "value": value} for metric, value in found.items()]
            log.info("%s, %s: %s", system, split, ", ".join(f"{k} {v:.3f}" for k, v in found.items()))
    results = write_results(f"{out}/results.json", rows, provenance())
    for split in cuts:
        print(f"{split}\n{markdown_table(results, split=split)}", end="")
    return {"rows": len(rows)}


def write_scores(path: str, ids: list[str], pairs: Trials, scores: Tensor) -> None:
    """ "<id> <id> <cosine>" for each trial, in their order."""
    each = zip(pairs.left.tolist(), pairs.right.tolist(), scores.tolist(), strict=True)
    store.write_text(path, "".join(f"{ids[left]} {ids[right]} {score:.6f}\n" for left, right, score in each))


if __name__ == "__main__":
    main(verify_speakers)
