from __future__ import annotations

import torch

from speechunits.metrics.measure import merge


def test_sums_add_and_rows_count_once() -> None:
    one = {"errors": torch.tensor(3), "units/a": torch.tensor([1, 2])}
    two = {"errors": torch.tensor(4), "units/a": torch.tensor([1, 2]), "units/b/c": torch.tensor([5])}
    out = merge([one, two])
    assert out["errors"] == 7
    assert sorted(out) == ["errors", "units/a", "units/b/c"]
    assert out["units/a"].tolist() == [1, 2]
    assert one["errors"] == 3  # the ranks' own states are left alone
