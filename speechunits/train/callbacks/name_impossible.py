"""NameImpossible: which utterances have more text than their frames can say."""

from __future__ import annotations

import logging
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from speechunits.train.window import empty

log = logging.getLogger(__name__)


class NameImpossible(Callback):
    """Names in the log, each once and by each rank its own, the utterances that a model (``possible(batch)``) leaves out of a
    loss, where the figure ``impossible`` gives their share. Looked up when figures are reported, when the device is waited for
    anyway.

    Args:
        most: names in one line; of more only the number is said.
    """

    def __init__(self, most: int = 20) -> None:
        self.most = most
        self._named: set[str] = set()
        self._heard: list[tuple[list[str], dict[str, Tensor]]] = []
        self._rows = 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        model: Any = pl_module.model
        if hasattr(model, "possible"):
            self._heard += [(part["ids"], model.possible(part)) for part in batch if not empty(part) and "ids" in part]

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if pl_module.rows != self._rows:
            self._rows = pl_module.rows  # type: ignore[assignment]
            self._name()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._name()

    def _name(self) -> None:
        heard, self._heard = self._heard, []
        ids = [name for names, _ in heard for name in names]
        for head in heard[0][1] if heard else ():
            possible = torch.cat([of[head] for _, of in heard]).tolist()
            found = dict.fromkeys(i for i, can in zip(ids, possible, strict=True) if not can)
            if new := [i for i in found if f"{head} {i}" not in self._named]:
                self._named |= {f"{head} {i}" for i in new}
                more = f" and {len(new) - self.most} more" if len(new) > self.most else ""
                log.warning(
                    "%d utterances have fewer frames than %s needs for their text, and are left out of its loss: %s%s; look at "
                    "their transcripts, or give the head more frames or fewer symbols (less subsampling, larger subwords)",
                    len(new), head, ", ".join(new[: self.most]), more,
                )  # fmt: skip
