"""What the probe compares: python egs/fsdd/local/systems.py OUT.yaml [ENCODER ...]

MFCC alone, or MFCC, every layer (0 = the input) of the trained encoders, and of the same architecture with random weights.
One encoder is probed with three seeds of the inner folds; several (trainings of one architecture with different seeds)
with one seed each.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from speechunits import store
from speechunits.config import dump
from speechunits.encoder import SpeechEncoder
from speechunits.errors import UserError
from speechunits.recipe import exit_codes

BANK = "speechunits.units.feature_bank.FeatureBank"


def systems(folders: list[str]) -> dict[str, Any]:
    """The ``systems`` and ``seeds`` of ``recipes.probe``.

    Raises:
        UserError: a folder is no encoder, or the encoders have different numbers of layers.
    """
    compared: dict[str, Any] = {
        "mfcc": {"_target_": BANK, "source": {"_target_": "speechunits.frontends.mfcc.MFCC"}},
    }
    seeds = list(range(len(folders) if len(folders) > 1 else 3))
    if not folders:
        return {"systems": compared, "seeds": seeds}
    depths = [store.restore(folder, expect=SpeechEncoder).depth for folder in folders]
    if len(set(depths)) > 1:
        raise UserError(f"{', '.join(folders)}: encoders of {depths} layers; probe one architecture at a time")
    reads = [f"layer:{i}" for i in range(depths[0] + 1)]
    trained = [bank("restore", reads, folder=folder) for folder in folders]
    compared["random"] = [bank("untrained", reads, folder=folders[0], seed=seed) for seed in seeds]
    compared["trained"] = trained if len(trained) > 1 else trained[0]
    return {"systems": compared, "seeds": seeds}


def bank(source: str, reads: list[str], **arguments: Any) -> dict[str, Any]:
    """A node that reads ``reads`` of what ``speechunits.store`` makes."""
    return {"_target_": BANK, "source": {"_target_": f"speechunits.store.{source}", **arguments}, "reads": reads}


def write(path: Path, folders: list[str]) -> None:
    """Write ``path``, or make sure that it says the same already.

    Raises:
        UserError: it was written for other encoders.
    """
    names = [store.read_meta(folder)["fingerprint"] for folder in folders]
    text = f"# encoders: {' '.join(names) or 'none'}\n{dump(systems(folders))}"
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise UserError(f"{path.parent}: made for another encoder; delete the folder or choose another --exp")
    store.write_text(path, text)


if __name__ == "__main__":
    with exit_codes():
        write(Path(sys.argv[1]), sys.argv[2:])
