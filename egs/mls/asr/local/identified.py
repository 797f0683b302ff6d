"""Which language was heard: python egs/mls/asr/local/identified.py exp/mls-asr/recognised-units_bpe/units_bpe-test.jsonl

Texts begin with the name of their language in brackets, and so do those that a recogniser writes. Prints the share of
utterances that begin with the right one, of each language and of all, and writes it beside the file as <name>.identified.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from speechunits import store
from speechunits.errors import UserError
from speechunits.recipe import exit_codes


def identified(path: Path) -> dict[str, float]:
    """Language -> share in percent; "all" is over utterances.

    Raises:
        UserError: a text does not begin with a language.
    """
    right: dict[str, list[bool]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        name = row["said"].split(maxsplit=1)[0]
        if not (name.startswith("[") and name.endswith("]")):
            raise UserError(f"{path}: {row['id']} does not begin with a language; make the cuts by local/prepare.py")
        right.setdefault(name[1:-1], []).append(row["heard"].split(" ", 1)[0] == name)
    every = [each for found in right.values() for each in found]
    return {
        name: 100 * sum(found) / len(found) for name, found in {**dict(sorted(right.items())), "all": every}.items()
    }


if __name__ == "__main__":
    with exit_codes():
        file = Path(sys.argv[1])
        shares = identified(file)
        store.write_json(file.with_suffix(".identified.json"), shares)
        print(f"{file.stem}: the right language in {', '.join(f'{k} {v:.1f} %' for k, v in shares.items())}")
