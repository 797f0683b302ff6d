"""Trials: pairs of utterances, of which a verification says whether one speaker said both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from speechunits.errors import UserError


@dataclass(frozen=True)
class Trials:
    """N pairs.

    Args:
        left, right: (N,) numbers of utterances. same: (N,) bool, whether they are of one speaker.

    Raises:
        UserError: there are not both kinds of pairs, which an error rate needs.
    """

    left: Tensor
    right: Tensor
    same: Tensor

    def __post_init__(self) -> None:
        if (count := int(self.same.sum())) in (0, len(self.same)):
            raise UserError(
                f"{count} of {len(self.same)} trials are of one speaker; give several utterances of each of several speakers"
            )

    def scores(self, voices: Tensor) -> Tensor:
        """Unit vectors (M, D) -> (N,) cosines."""
        pairs = zip(self.left.split(1 << 16), self.right.split(1 << 16), strict=True)
        return torch.cat([(voices[left] * voices[right]).sum(1) for left, right in pairs])


def all_pairs(speakers: Sequence[str]) -> Trials:
    """Every two different utterances once, by the speakers of M."""
    numbers = {name: i for i, name in enumerate(dict.fromkeys(speakers))}
    ids = torch.tensor([numbers[name] for name in speakers])
    left, right = torch.triu_indices(len(ids), len(ids), 1).unbind()
    return Trials(left, right, ids[left] == ids[right])


def read_trials(path: str | Path, ids: Sequence[str]) -> Trials:
    """A list of trials as that of VoxCeleb, "1 <id> <id>" or "0 <id> <id>" in each line, over utterances ``ids``.

    Raises:
        UserError: there is no such file, or a line is of another form or names another utterance.
    """
    if not Path(path).is_file():
        raise UserError(f"trials: {path} does not exist; correct the path, or leave it out for all pairs")
    places, rows = {name: i for i, name in enumerate(ids)}, []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        parts = line.split()
        if len(parts) != 3 or parts[0] not in ("0", "1"):
            raise UserError(f"{path}: line {number} is not '<0 or 1> <id> <id>'; correct it")
        if strange := [name for name in parts[1:] if name not in places]:
            raise UserError(f"{path}: line {number} names {strange[0]}, which is not among the cuts; correct it")
        rows.append((places[parts[1]], places[parts[2]], int(parts[0])))
    left, right, same = torch.tensor(rows, dtype=torch.int64).reshape(-1, 3).unbind(1)
    return Trials(left, right, same.bool())
