"""Which head a search reads."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from speechunits.errors import UserError

KINDS = {"scores": "CTC head", "step": "attention decoder", "join": "transducer"}


def find_head(heads: Mapping[str, nn.Module], offers: str, search: str, name: str | None = None) -> str:
    """The name of the first head that has the method ``offers``, or ``name`` if it has it.

    Raises:
        UserError: there is none; ``search`` is called by its name.
    """
    name = name or next((n for n, head in heads.items() if hasattr(head, offers)), None)
    if name not in heads or not hasattr(heads[name], offers):
        raise UserError(
            f"decode.{search}: no {KINDS[offers]} {name or ''} among {', '.join(heads)}; name another search"
        )
    return name
