"""An encoder's architecture with fresh weights, as a folder: python .../untrained.py ENCODER OUT SEED"""

from __future__ import annotations

import sys

from speechunits import store
from speechunits.encoder import SpeechEncoder
from speechunits.recipe import exit_codes


def untrained(encoder: str, out: str, seed: int) -> str:
    """The fingerprint of what was saved.

    Raises:
        UserError: ``encoder`` is no folder of a whole encoder.
    """
    store.restore(encoder, expect=SpeechEncoder)  # what is damaged is said before anything is trained
    return store.save(store.untrained(encoder, seed), out, kind="encoder", untrained_seed=seed)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    with exit_codes():
        print(untrained(sys.argv[1], sys.argv[2], int(sys.argv[3])))
