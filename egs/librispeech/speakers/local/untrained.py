"""Fresh weights in place of a trained speaker encoder's: python egs/librispeech/speakers/local/untrained.py ENCODER OUT

What of it was read from a pre-trained encoder gets fresh weights too.
"""

from __future__ import annotations

import sys

from speechunits import store
from speechunits.recipe import exit_codes
from speechunits.tasks.speaker_encoder import SpeakerEncoder


def untrained(encoder: str, out: str) -> str:
    """The fingerprint of what was saved.

    Raises:
        UserError: ``encoder`` is no folder of a whole speaker encoder.
    """
    store.restore(encoder, expect=SpeakerEncoder)
    return store.save(store.untrained(encoder), out, kind="speaker_encoder", untrained_seed=0)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    with exit_codes():
        print(untrained(sys.argv[1], sys.argv[2]))
