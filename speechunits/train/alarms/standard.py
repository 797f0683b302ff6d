"""The alarms that are on by default, and how a configuration changes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback

from speechunits.config import build
from speechunits.errors import UserError
from speechunits.part import fill
from speechunits.train.alarms.accuracy_too_early import AccuracyTooEarly
from speechunits.train.alarms.alarm import Alarm
from speechunits.train.alarms.codebook_collapse import CodebookCollapse
from speechunits.train.alarms.constant_labels import ConstantLabels
from speechunits.train.alarms.loader_starvation import LoaderStarvation
from speechunits.train.alarms.loss_scale import LossScale
from speechunits.train.alarms.not_finite import NotFinite
from speechunits.train.alarms.penalty_explodes import PenaltyExplodes
from speechunits.train.alarms.ranks_out_of_step import RanksOutOfStep

STANDARD: dict[str, type[Alarm]] = {
    alarm.name: alarm
    for alarm in (
        AccuracyTooEarly,
        CodebookCollapse,
        ConstantLabels,
        LoaderStarvation,
        LossScale,
        NotFinite,
        PenaltyExplodes,
        RanksOutOfStep,
    )
}


def standard_alarms(changes: Mapping[str, Any] | None = None) -> list[Callback]:
    """The standard alarms with ``changes`` by name.

    Args:
        changes: arguments of a standard alarm (``{"after": 5}``), False = off, or an alarm of one's own (``_target_``).

    Raises:
        UserError: there is no such alarm, or it does not take these arguments.
    """
    out: list[Callback] = []
    for name, change in {**{key: {} for key in STANDARD}, **(changes or {})}.items():
        if change is False:
            continue
        if not isinstance(change, Mapping):
            out.append(fill(change))
        elif name in STANDARD:
            place = f"{STANDARD[name].__module__}.{STANDARD[name].__name__}"
            out.append(build({"_target_": place, **change}, at=f"trainer.alarms.{name}"))
        else:
            raise UserError(f"trainer.alarms.{name}: there is no such alarm; there are {', '.join(STANDARD)}")
    return out
