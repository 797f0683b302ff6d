"""Names: a closed list of speakers, styles or other labels, each with its number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from speechunits import store
from speechunits.config import build
from speechunits.errors import UserError, some


class Names(nn.Module):
    """Different names; the number of a name is its place. A Module without weights, as ``Words`` is.

    Args:
        names: none of them empty.

    Raises:
        ValueError: they are not different, or one is empty, or there is none.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        if not names or len(set(names)) < len(names) or not all(names):
            raise ValueError("names: needs different names, none empty, as recipes.list_names makes them")
        self.names = tuple(names)
        self.places = {name: i for i, name in enumerate(self.names)}
        node = {"_target_": f"{Names.__module__}.{Names.__name__}", "names": list(names)}
        self.fingerprint = store.fingerprint(node, {})

    def numbers(self, names: Sequence[str], what: str = "name") -> Tensor:
        """B names -> (B,) int64. ``what`` they are, for the error.

        Raises:
            UserError: one is not in the list.
        """
        if strange := sorted(set(names) - self.places.keys()):
            known = some(self.names, 10)
            raise UserError(f"there is no {what} {', '.join(map(repr, strange[:5]))}; the known ones are: {known}")
        return torch.tensor([self.places[name] for name in names], dtype=torch.int64)


def fit_names(found: Iterable[str]) -> Names:
    """The names in ``found``, sorted.

    Raises:
        UserError: there is none.
    """
    names = sorted(set(found))
    if not names:
        raise UserError("no names to list; give manifests with cuts")
    made: Names = build({"_target_": f"{Names.__module__}.{Names.__name__}", "names": names})
    return made
