"""Write what was said, and score it: python -m recipes.recognise out=exp/wer systems.hubert=exp/asr/recogniser cuts.test=...

For every system (the folder of a recogniser) and every split: the text of each cut, as ``out/<system>-<split>.jsonl``
(``id``, ``said`` and ``heard``), and word and character error rates in percent as rows of ``out/results.json``.
``model.search`` (``conf/search/*.yaml``) replaces the search with which the recognisers were saved.
"""

from __future__ import annotations

import json
import logging
from typing import Any

import torch

from speechunits import store
from speechunits.config import build
from speechunits.data.cuts import open_cuts
from speechunits.data.fields.audio_field import AudioField
from speechunits.data.fields.text_field import TextField
from speechunits.decode.fusion import check_text
from speechunits.errors import UserError
from speechunits.metrics.wer import WER
from speechunits.part import Tree
from speechunits.provenance import provenance
from speechunits.recipe import log_to, main, usable_device
from speechunits.report.results import markdown_table, write_results
from speechunits.tasks.recogniser import Recogniser
from speechunits.units.feature_pass import FeaturePass

log = logging.getLogger("speechunits.recognise")


def recognise(
    out: str,
    systems: dict[str, str],
    cuts: dict[str, str],
    max_seconds: float = 60.0,
    num_workers: int = 0,
    device: str = "cpu",
    model: Tree | None = None,
) -> dict[str, Any]:
    """Recognise every split with every system; see the module's text."""
    log_to(f"{out}/recognise.log")
    place = usable_device(device)
    models = {name: store.restore(folder, place, expect=Recogniser) for name, folder in systems.items()}
    if model is not None:
        if model.keys() != {"search"}:
            raise UserError(f"model: {', '.join(model)}: of a finished recogniser only model.search can be replaced")
        for each in models.values():
            each.search = build(model["search"], at="model.search")
            check_text(each.search, each.text.fingerprint)
            each.to(place)
    fields = {"audio": AudioField(), "transcript": TextField()}
    passes = {
        split: FeaturePass(open_cuts(path), fields, max_seconds, 0.0, 1.0, num_workers, place, rank=0, ranks=1)
        for split, path in cuts.items()
    }
    rows: list[dict[str, Any]] = []
    for system, recogniser in models.items():
        for split, batches in passes.items():
            measure, lines = WER(), {}
            for _, batch in batches():
                with torch.inference_mode():
                    heard = recogniser.predict(batch)
                measure.update(heard, batch)
                for name, said, text in zip(batch["ids"], batch["transcript"], heard["text"], strict=True):
                    lines[name] = json.dumps({"id": name, "said": said, "heard": text}, ensure_ascii=False) + "\n"
            if batches.bad:
                why = "; ".join(f"{name}: {reason}" for name, reason in list(batches.bad.items())[:3])
                raise UserError(f"{len(batches.bad)} cuts of {split} cannot be read ({why}); leave them out")
            store.write_text(f"{out}/{system}-{split}.jsonl", "".join(lines[name] for name in sorted(lines)))
            about = {"system": system, "split": split, "utterances": len(lines)}
            rows += [{**about, "metric": name, "value": value} for name, value in measure.compute().items()]
    write_results(f"{out}/results.json", rows, provenance())
    for split in cuts:
        print(f"{split}:\n{markdown_table({'rows': rows}, split=split)}", end="")
    return {"rows": len(rows)}


if __name__ == "__main__":
    main(recognise)
