"""A share of a corpus with its transcripts, the rest without: python egs/demo/local/put_away.py CUTS OUT SHARE

CUTS is a manifest; OUT/transcribed.jsonl.gz and OUT/untranscribed.jsonl.gz keep its order, units and features. Which cuts keep
their text follows from their ids alone.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from pathlib import Path

from lhotse.cut import Cut

from speechunits.data.cuts import open_cuts
from speechunits.data.unit_meta import read_meta, write_meta
from speechunits.errors import UserError
from speechunits.recipe import exit_codes
from speechunits.store import writing


def put_away(manifest: Path, out: Path, share: float) -> None:
    """Write both manifests.

    Raises:
        UserError: a share beyond all, or of which nothing is left on one side.
    """
    cuts = list(open_cuts(manifest))
    count = round(share * len(cuts))
    if not 0 < count < len(cuts):
        raise UserError(f"a share of {share:g} of {len(cuts)} cuts leaves nothing on one side; choose another")
    chosen = set(sorted((cut.id for cut in cuts), key=lambda name: hashlib.sha256(name.encode()).digest())[:count])
    sides = {
        "transcribed": [cut for cut in cuts if cut.id in chosen],
        "untranscribed": [silent(cut) for cut in cuts if cut.id not in chosen],
    }
    for name, those in sides.items():
        path = out / f"{name}.jsonl.gz"
        write_meta(path, read_meta(manifest))
        with writing(path) as aside, gzip.open(aside, "wt", encoding="utf-8") as lines:
            lines.writelines(json.dumps(cut.to_dict(), ensure_ascii=False) + "\n" for cut in those)
        print(f"{path}: {len(those)} cuts, {sum(cut.duration for cut in those) / 60:.1f} minutes")


def silent(cut: Cut) -> Cut:
    """The same cut of which nobody knows what was said."""
    for said in cut.supervisions:
        said.text, said.alignment = None, None
    return cut


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    with exit_codes():
        put_away(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
