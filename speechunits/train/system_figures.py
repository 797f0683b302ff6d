"""system_figures: what a training process takes of its machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def system_figures(trainer: Any, device: torch.device) -> dict[str, float]:
    """Figures of this process, of which rank 0's reach the trackers; no wait for the device.

    ``system/ram_gb``: memory in use now, without loader workers. ``system/gpu_gb``: the most that torch has held of the GPU
    since the start. ``system/checkpoint_seconds``: how long training has waited for checkpoints since the process began.
    """
    out = {"system/checkpoint_seconds": float(getattr(trainer.checkpoint_callback, "seconds", 0.0))}
    pages = Path("/proc/self/statm")
    if pages.exists():
        out["system/ram_gb"] = int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e9
    if device.type == "cuda":
        out["system/gpu_gb"] = torch.cuda.max_memory_reserved(device) / 1e9
    return out
