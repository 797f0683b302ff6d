"""Which head a search reads, and whether it gives numbers."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from speechunits.errors import UserError
from speechunits.seq import Seq

KINDS = {"scores": "CTC head", "step": "attention decoder", "join": "transducer"}


def find_head(
    heads: Mapping[str, nn.Module],
    offers: str,
    search: str,
    name: str | None = None,
    advice: str = "name another search",
) -> str:
    """The name of the first head that has the method ``offers``, or ``name`` if it has it.

    Raises:
        UserError: there is none; ``search`` is called by its name, and ``advice`` is what to do.
    """
    name = name or next((n for n, head in heads.items() if hasattr(head, offers)), None)
    if name not in heads or not hasattr(heads[name], offers):
        raise UserError(
            f"decode.{search}: no {KINDS[offers]}{f' {name}' if name else ''} among {', '.join(heads)}; {advice}"
        )
    return name


def frame_scores(
    heads: Mapping[str, nn.Module],
    heard: Mapping[str, Seq],
    search: str,
    name: str | None = None,
    advice: str = "name another search",
) -> tuple[str, Seq]:
    """The name of the CTC head, as ``find_head`` finds it, and its log-probabilities (B, T, V + 1), the blank last.

    Raises:
        UserError: there is none, or the scores of a frame are no numbers.
    """
    name = find_head(heads, "scores", search, name, advice)
    scores: Seq = heads[name].scores(heard[name])  # type: ignore[operator]
    check_numbers(scores.data.amax(-1).masked_fill(~scores.valid, 0.0), search, name)
    return name, scores


def check_numbers(scores: Tensor, search: str, name: str) -> None:
    """See that ``scores``, of the head ``name`` and of any shape, are numbers, lest those that are none become text.

    Raises:
        UserError: one is nan.
    """
    if bool(scores.isnan().any()):
        raise UserError(f"decode.{search}: scores of head '{name}' are no numbers; look at the model's weights")
