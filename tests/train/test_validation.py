"""Validation: exact means, Measures on a stated part, figures under their names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from speechunits.seq import unpad
from speechunits.term import add, loss
from speechunits.train.module import TrainModule
from tests.train.tiny import Tiny, TinyData, batch, rows, train


class Largest:
    """The largest output of each utterance, averaged over utterances; a Measure with rows by utterance."""

    def __init__(self) -> None:
        self.rows: dict[str, Tensor] = {}

    def update(self, outputs: Mapping[str, Any], batch: Mapping[str, Any]) -> None:
        items = unpad(batch["audio"].with_data(outputs["y"]))
        self.rows |= {f"largest/{key}": x.max().detach().cpu() for key, x in zip(batch["ids"], items, strict=True)}

    def state(self) -> dict[str, Tensor]:
        return dict(self.rows)

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.rows = dict(state)

    def compute(self) -> dict[str, float]:
        return {"mean": float(torch.stack(list(self.rows.values())).mean()), "utterances": float(len(self.rows))}

    def reset(self) -> None:
        self.rows = {}


@torch.no_grad()
def expected(model: Tiny, batches: list[Any]) -> dict[str, float]:
    terms = {k: t.detach() for k, t in add([model.terms(b) for b in batches]).items()}
    tops = [x.max() for b in batches for x in unpad(b["audio"].with_data(model.predict(b)["y"]))]
    means = {f"valid/{name}": float(t.value) for name, t in terms.items()}
    return {**means, "valid/loss": float(loss(terms)), "valid/top/mean": float(torch.stack(tops).mean())}


def test_terms_and_measures_over_the_whole_set(tmp_path: Path) -> None:
    run = train(tmp_path, 3, TinyData(valid=4), options={"measures": {"top": Largest()}})
    truth = expected(run.model.eval(), [batch(500 + i) for i in range(4)])  # type: ignore[arg-type]
    for name, value in truth.items():
        assert run.figures[name] == pytest.approx(value, rel=1e-5), name
    assert rows(tmp_path)[-1]["valid/top/mean"] == run.figures["valid/top/mean"]


def test_measures_see_a_stated_part_every_so_often(tmp_path: Path) -> None:
    options = {"measures": {"top": Largest()}, "predict_every": 2, "predict_batches": 2}
    train(tmp_path, 4, TinyData(valid=3), validate_every=1, options=options)
    table = rows(tmp_path)
    assert [row["step"] for row in table if "valid/loss" in row] == [1, 2, 3, 4]
    assert [row["step"] for row in table if "valid/top/mean" in row] == [1, 3]
    assert table[0]["valid/top/utterances"] == sum(len(batch(500 + i)["ids"]) for i in range(2))


def test_measures_need_a_model_that_predicts() -> None:
    class Silent(torch.nn.Module):
        def counts(self, batch: Any) -> dict[str, Tensor]:
            return {}

        def terms(self, batch: Any) -> dict[str, Any]:
            return {}

    with pytest.raises(TypeError, match=r"Silent has no predict\(batch\), which the measures \['top'\] read"):
        TrainModule(Silent(), lambda named: torch.optim.SGD(named, lr=1.0), measures={"top": Largest()})
