"""SameEverywhere: ranks that were started differently end before the first update, not after a day of nonsense."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from speechunits import ranks
from speechunits.errors import UserError
from speechunits.train.alarms.ranks_out_of_step import differences

MISSING = "nothing"


class SameEverywhere(Callback):
    """Every rank tells every other what it was started with, as soon as they have met; where it differs, all of them end.

    Args:
        facts: nested mappings and lists of plain values: the resolved configuration, hashes of manifests, versions.

    Raises:
        UserError: on every rank, naming the first keys that differ, their values, and the ranks and hosts that have them.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = {key: str(value) for key, value in flat(facts).items()}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        everyone = ranks.gather_objects((socket.gethostname(), self.facts))
        keys = {key: None for _, facts in everyone for key in facts}
        columns = {key: [facts.get(key, MISSING) for _, facts in everyone] for key in keys}
        wrong = [found for key in keys if (found := differences({key: columns[key]}))]
        if wrong:
            hosts = ", ".join(f"rank {rank} on {host}" for rank, (host, _) in enumerate(everyone[:8]))
            more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            raise UserError(
                f"the ranks were not started alike: {'; '.join(wrong[:3])}{more} ({hosts}); start every rank with the same "
                "command, packages, data and folder out="
            )


def flat(tree: Any, at: str = "") -> dict[str, Any]:
    """``{"a": {"b": [1]}}`` -> ``{"a.b.0": 1}``."""
    if not isinstance(tree, (Mapping, list, tuple)):
        return {at: tree}
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
    return {k: v for key, value in items for k, v in flat(value, f"{at}.{key}" if at else str(key)).items()}
