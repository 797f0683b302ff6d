"""Which folder holds a text tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from speechunits import store
from speechunits.errors import UserError


def text_tokenizer(folder: str | Path) -> Any:
    """The text tokenizer in ``folder``.

    Raises:
        UserError: no artefact, or one of another kind.
    """
    if (kind := store.read_meta(folder).get("kind")) != "text":
        raise UserError(f"tokenizer: {folder} holds a {kind}, not a text tokenizer; give the folder text of fit_text")
    return store.restore(folder)
