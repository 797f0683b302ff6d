from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import homogeneity_score

from speechunits.metrics.contingency import cluster_purity, contingency, entropy, mean_run, phone_purity, pnmi


def test_hand_made_table() -> None:
    # phones 0 and 1, units 0..2:      unit 0  1  2
    #                        phone 0        4  0  0
    #                        phone 1        1  2  1
    phones = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, -1, -1])
    units = torch.tensor([0, 0, 0, 0, 0, 1, 1, 2, 1, 0])
    counts = contingency(phones, units)
    assert counts.tolist() == [[4, 0, 0], [1, 2, 1]]
    assert phone_purity(counts) == (4 + 2 + 1) / 8
    assert cluster_purity(counts) == (4 + 2) / 8
    # H(phone) = 1 bit; H(phone | unit) = 5/8 H(1/5), the other units being pure
    conditional = 5 / 8 * (-0.8 * math.log2(0.8) - 0.2 * math.log2(0.2))
    assert pnmi(counts) == pytest.approx(1 - conditional)


def test_pnmi_is_homogeneity() -> None:
    generator = torch.Generator().manual_seed(0)
    phones = torch.randint(0, 9, (500,), generator=generator)
    units = (phones + torch.randint(0, 4, (500,), generator=generator)) * 3
    assert pnmi(contingency(phones, units)) == pytest.approx(homogeneity_score(phones.numpy(), units.numpy()))


def test_extremes() -> None:
    phones = torch.tensor([0, 1, 2, 0, 1, 2])
    assert pnmi(contingency(phones, phones)) == pytest.approx(1)
    assert pnmi(contingency(phones, torch.zeros(6, dtype=torch.long))) == pytest.approx(0)
    assert entropy(torch.tensor([3, 0, 3])) == pytest.approx(math.log(2))


def test_one_phone_has_no_pnmi() -> None:
    assert math.isnan(pnmi(contingency(torch.zeros(4, dtype=torch.long), torch.tensor([0, 1, 2, 3]))))


def test_no_label_is_an_error() -> None:
    with pytest.raises(ValueError, match="no frame carries a phone label"):
        contingency(torch.tensor([-1, -1]), torch.tensor([0, 1]))


def test_mean_run() -> None:
    # runs 3, 2 | 1, 4; the two frames of -1 and the utterance border break runs
    rows = [torch.tensor([5, 5, 5, -1, -1, 5, 5]), torch.tensor([5, 7, 7, 7, 7])]
    assert mean_run(rows) == 10 / 4
    assert math.isnan(mean_run([torch.tensor([-1, -1])]))
