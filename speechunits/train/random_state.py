"""The four global random generators of one process as tensors."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class RandomState:
    """State of torch's, numpy's and Python's global generators, and of one GPU's."""

    cpu: Tensor
    numpy: dict[str, Any]
    python: tuple[Any, ...]
    cuda: Tensor | None

    @staticmethod
    def now(device: torch.device) -> RandomState:
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return RandomState(torch.get_rng_state(), dict(np.random.get_state(legacy=False)), random.getstate(), cuda)

    def apply(self, device: torch.device) -> None:
        torch.set_rng_state(self.cpu)
        np.random.set_state(self.numpy)
        random.setstate(self.python)
        if self.cuda is not None and device.type == "cuda":
            torch.cuda.set_rng_state(self.cuda, device)

    def tensors(self) -> dict[str, Tensor]:
        """Fixed shapes: every rank's can be gathered, and all of it goes into safetensors."""
        inner, (version, words, gauss) = self.numpy["state"], self.python
        out = {
            "torch": self.cpu,
            "numpy": torch.tensor([*inner["key"].tolist(), inner["pos"], self.numpy["has_gauss"]]),
            "numpy_gauss": torch.tensor(self.numpy["gauss"], dtype=torch.float64),
            "python": torch.tensor([version, *words]),
            "python_gauss": torch.tensor(float("nan") if gauss is None else gauss, dtype=torch.float64),
        }
        return out if self.cuda is None else out | {"cuda": self.cuda}

    @staticmethod
    def from_tensors(tensors: dict[str, Tensor]) -> RandomState:
        *key, pos, has_gauss = tensors["numpy"].tolist()
        numpy = {
            "bit_generator": "MT19937",
            "state": {"key": np.array(key, dtype=np.uint32), "pos": pos},
            "has_gauss": has_gauss,
            "gauss": float(tensors["numpy_gauss"]),
        }
        version, *words = tensors["python"].tolist()
        gauss = float(tensors["python_gauss"])
        python = (version, tuple(words), None if gauss != gauss else gauss)
        return RandomState(tensors["torch"], numpy, python, tensors.get("cuda"))


def seed_all(seed: int) -> None:
    """Seed every global generator of this process."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
