"""ContourPredictor: its terms are their definitions, count what they sum and reach every parameter."""

from __future__ import annotations

from fractions import Fraction

import torch
import torch.nn.functional as F

from speechunits.heads.contours import ContourPredictor
from speechunits.nn.prosody_scale import own_scale
from speechunits.seq import Seq, pad, unpad
from speechunits.term import loss
from tests.nn.test_prosody_scale import rows

HOP = Fraction(1, 50)
FRAMES = (20, 9, 14)


def made() -> ContourPredictor:
    return ContourPredictor(hidden=8, dim=4).double().eval()


def given() -> tuple[Seq, Seq]:
    spoken = pad(rows(*FRAMES), HOP)
    return pad([torch.randn(n, 4, dtype=torch.float64) for n in FRAMES], HOP), own_scale(spoken).standardise(spoken)


def test_terms_are_their_definitions() -> None:
    head, (x, standard) = made(), given()
    terms, counts = head.terms(x, standard), head.counts(standard)
    found, wanted = head(x)[x.valid], standard.data[standard.valid]
    voiced = wanted[:, 1] > 0.5
    torch.testing.assert_close(terms["pitch/loss"].value, F.mse_loss(found[voiced, 0], wanted[voiced, 0]))
    torch.testing.assert_close(terms["voicing/loss"].value, F.binary_cross_entropy(found[:, 1].sigmoid(), wanted[:, 1]))
    torch.testing.assert_close(terms["energy/loss"].value, F.mse_loss(found[:, 2], wanted[:, 2]))
    assert {n: int(t.den) for n, t in terms.items()} == {n: int(c) for n, c in counts.items()}
    assert int(counts["pitch/loss"]) == int(voiced.sum()) and int(counts["energy/loss"]) == sum(FRAMES)
    loss(terms, counts).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in head.parameters())


def test_contours_of_a_batch_are_those_of_its_utterances() -> None:
    head, (x, _) = made(), given()
    together = head.standard(x)
    for row, own in zip(unpad(x), unpad(together), strict=True):
        torch.testing.assert_close(own, head.standard(pad([row], HOP)).data[0])
    voiced = together.data[..., 1] > 0.5
    assert voiced.any() and not together.data[..., 0][~voiced].any() and not together.data[1, 9:].any()
