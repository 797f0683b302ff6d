"""UtteranceRows: a Measure's memory by utterance id, so that an utterance counts once however often it is seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from speechunits.errors import UserError
from speechunits.seq import Seq, unpad


class UtteranceRows:
    """State, load and reset for Measures that keep a few small tensors per utterance; subclasses update and compute."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Tensor]] = {}

    def state(self) -> dict[str, Tensor]:
        return {f"{field}/{key}": value for key, row in self._rows.items() for field, value in row.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.reset()
        for name, value in state.items():
            field, _, key = name.partition("/")
            self._rows.setdefault(key, {})[field] = value

    def reset(self) -> None:
        self._rows.clear()

    def put(self, key: str, **row: Tensor) -> None:
        """Remember ``row`` for utterance ``key``, in place of what was known of it.

        Raises:
            ValueError: the utterance was seen before with tensors of other shapes.
        """
        row = {field: value.detach().cpu() for field, value in row.items()}
        for field, value in self._rows.get(key, {}).items():
            if value.shape != row[field].shape:
                raise ValueError(
                    f"utterance {key!r} came twice, with {field} {tuple(value.shape)} and {tuple(row[field].shape)}: "
                    "give every utterance its own id"
                )
        self._rows[key] = row

    def rows(self) -> list[dict[str, Tensor]]:
        """One mapping per utterance, in the order of the ids, which no rank or batch decides.

        Raises:
            UserError: no utterance was seen.
        """
        if not self._rows:
            raise UserError(f"{type(self).__name__} has seen no utterance; give validation or evaluation some data")
        return [self._rows[key] for key in sorted(self._rows)]

    def need(self, source: Mapping[str, Any], key: str) -> Any:
        """``source[key]``.

        Raises:
            UserError: it is not there.
        """
        if key not in source:
            raise UserError(
                f"{type(self).__name__} needs {key!r} and got {sorted(source)}; add the field or drop this measure"
            )
        return source[key]

    def units(self, source: Mapping[str, Any], key: str) -> tuple[Seq, list[Tensor]]:
        """Unit ids as a Seq (B, T, K) and as B tensors (T_i, K).

        Raises:
            UserError: the field is missing.
            ValueError: it is not integer, or a real frame has a negative id.
        """
        seq: Seq = self.need(source, key)
        if seq.data.is_floating_point() or seq.data.dim() not in (2, 3):
            got = f"{seq.data.dtype} {tuple(seq.data.shape)}"
            raise ValueError(f"{key!r} must be integer ids (B, T) or (B, T, K), got {got}")
        seq = seq if seq.data.dim() == 3 else seq.with_data(seq.data[..., None])
        items = unpad(seq)
        if any(bool((x < 0).any()) for x in items):
            raise ValueError(f"{key!r} has negative ids on real frames; pad only beyond the lengths")
        return seq, items


def by_stream(name: str, values: list[float]) -> dict[str, float]:
    """The mean over codebooks under ``name`` and, where there are several, each as ``name_1`` ... ``name_K``."""
    out = {name: sum(values) / len(values)}
    if len(values) > 1:
        out |= {f"{name}_{k}": value for k, value in enumerate(values, 1)}
    return out


def written_label(label: str) -> Tensor:
    """Text in a state, which holds tensors alone."""
    return torch.tensor(list(str(label).encode()), dtype=torch.uint8)


def read_label(label: Tensor) -> str:
    """The text of ``written_label``."""
    return bytes(label.tolist()).decode()
