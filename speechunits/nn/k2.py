"""The only door to k2. All imports are inside functions: it is optional, and takes a second.

The sums over alignments are those of ``transducer_sum``, which says what goes in and comes out.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from speechunits.errors import UserError
from speechunits.seq import Seq


def installed() -> bool:
    """Whether k2 is there; without importing it."""
    return find_spec("k2") is not None


def need() -> Any:
    """The package.

    Raises:
        UserError: it is not installed, or was built for another torch.
    """
    try:
        import k2
    except ModuleNotFoundError as error:
        if error.name != "k2":
            raise
        raise UserError("k2 is asked for and not installed: run tools/k2.sh, or choose a way without it") from error
    except ImportError as error:  # its library does not find the symbols of this torch
        why = str(error).strip().splitlines()[0]
        raise UserError(
            f"k2 cannot be loaded with torch {torch.__version__} ({why}): run tools/k2.sh, which takes the wheel made for it"
        ) from error
    return k2


def _edges(text: Seq, frames: Tensor) -> Tensor:
    """(B, 4): first symbol, first frame, and how many of each."""
    none = torch.zeros_like(frames)
    return torch.stack([none, none, text.lengths, frames], 1)


def full(logits: Tensor, text: Seq, frames: Tensor) -> Tensor:
    """Logits (B, T, U + 1, V + 1) -> nats (B,) of all alignments."""
    blank, symbols = logits.size(-1) - 1, text.data.clamp(min=0)
    return need().rnnt_loss(logits, symbols, blank, boundary=_edges(text, frames), reduction="none")


def smoothed(
    heard: Tensor, said: Tensor, text: Seq, frames: Tensor, heard_share: float, said_share: float
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """As ``transducer_sum.smoothed``; the steps are laid out as k2 has them, for ``bounds``."""
    return need().rnnt_loss_smoothed(
        lm=said,
        am=heard,
        symbols=text.data.clamp(min=0),
        termination_symbol=heard.size(-1) - 1,
        lm_only_scale=said_share,
        am_only_scale=heard_share,
        boundary=_edges(text, frames),
        reduction="none",
        return_grad=True,
    )


def bounds(occupied: tuple[Tensor, Tensor], text: Seq, frames: Tensor, width: int) -> Tensor:
    """At each frame the ``width`` numbers of symbols where most alignments are, (B, T, width) int64."""
    if width > text.data.size(1):  # all of them, where k2 gives one fewer; and it takes no texts of nothing
        return torch.arange(width, device=frames.device).expand(*occupied[1].shape[::2], -1)
    return need().get_rnnt_prune_ranges(*occupied, _edges(text, frames), width)


def pruned(logits: Tensor, text: Seq, frames: Tensor, band: Tensor) -> Tensor:
    """Logits (B, T, W, V + 1) at the numbers of symbols in ``band`` (B, T, W) -> nats (B,) of the alignments within."""
    blank, symbols = logits.size(-1) - 1, text.data.clamp(min=0)
    return need().rnnt_loss_pruned(logits, symbols, band, blank, boundary=_edges(text, frames), reduction="none")
