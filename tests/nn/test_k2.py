"""The door to k2: a sentence where it is missing, and, where it is installed, the sums of ``transducer_sum``."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from speechunits.errors import UserError
from speechunits.heads.full_sum import FullSum
from speechunits.heads.pruned_sum import PrunedSum
from speechunits.heads.transducer import Transducer
from speechunits.nn import k2, transducer_sum
from speechunits.seq import Seq, pad

with_k2 = [pytest.mark.k2, pytest.mark.skipif(not k2.installed(), reason="k2 is not installed: tools/k2.sh")]
without_k2 = pytest.mark.skipif(k2.installed(), reason="k2 is installed")
FRAMES, DIM, VOCAB = (30, 17, 5), 8, 5


def text(*items: list[int]) -> Seq:
    return pad([torch.tensor(x, dtype=torch.int64) for x in items], None)


SAID = text([0, 1, 1, 4, 2, 2, 3, 0], [2], [4, 0, 3, 1, 2, 0, 3])


def frames() -> Seq:
    g = torch.Generator().manual_seed(0)
    return pad([torch.randn(n, DIM, generator=g) for n in FRAMES], None)


@without_k2
@pytest.mark.parametrize("sum", [partial(FullSum, "k2"), partial(PrunedSum, by="k2")])
def test_absent_but_asked_for(sum: partial[torch.nn.Module]) -> None:
    """A head is made and read without it, since transcribing needs no loss; only the loss asks."""
    head = Transducer(loss=sum, dim=DIM, vocab=(VOCAB,))
    assert head.counts(frames().lengths, SAID)["loss"] == 3
    with pytest.raises(
        UserError, match=r"k2 is asked for and not installed: run tools/k2\.sh, or choose a way without"
    ):
        head(frames(), SAID)
    with pytest.raises(UserError, match="k2 is asked for and not installed"):
        head.train()
    assert not head.eval().training


@without_k2
def test_built_for_another_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "k2").mkdir()
    (tmp_path / "k2" / "__init__.py").write_text("raise ImportError('_k2.so: undefined symbol: _ZN3c10')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"cannot be loaded with torch .*undefined symbol.*run tools/k2\.sh"):
        k2.need()
    assert "k2" not in sys.modules


@pytest.mark.parametrize("said", [SAID, text([], [], [])])
def test_a_band_of_all_symbols_is_no_matter_of_k2(said: Seq) -> None:
    """k2 knows bands of U numbers at most, where there are U + 1."""
    occupied = torch.rand(3, said.data.size(1), 31), torch.rand(3, said.data.size(1) + 1, 30)
    ours = tuple(each.transpose(1, 2)[:, :30] for each in occupied)
    width = said.data.size(1) + 1
    found = k2.bounds(occupied, said, torch.tensor(FRAMES), width)
    want = transducer_sum.bounds(ours, said, torch.tensor(FRAMES), width)
    assert torch.equal(found, want) and found.shape == (3, 30, width)


class TestWithK2:
    pytestmark = with_k2

    def test_full(self) -> None:
        logits = torch.randn(3, 30, 9, VOCAB + 1, requires_grad=True)
        both = [way.full(logits, SAID, torch.tensor(FRAMES)) for way in (k2, transducer_sum)]
        torch.testing.assert_close(*both, rtol=1e-5, atol=1e-4)
        grads = [torch.autograd.grad(nats.sum(), logits)[0] for nats in both]
        torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-5)

    @pytest.mark.parametrize("said_share", [0.0, 0.25])
    def test_smoothed(self, said_share: float) -> None:
        """Without a share of frames alone, for which k2 averages over the batch."""
        heard, said = torch.randn(3, 30, VOCAB + 1), torch.randn(3, 9, VOCAB + 1)
        found = [way.smoothed(heard, said, SAID, torch.tensor(FRAMES), 0.0, said_share) for way in (k2, transducer_sum)]
        torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(found[0][1][0][..., :-1].transpose(1, 2), found[1][1][0], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(found[0][1][1].transpose(1, 2), found[1][1][1], rtol=1e-3, atol=1e-4)

    def test_frames_alone_of_one_utterance(self) -> None:
        heard, said, frames, one = (
            torch.randn(1, 9, VOCAB + 1),
            torch.randn(1, 3, VOCAB + 1),
            torch.tensor([9]),
            text([1, 4]),
        )
        found = [way.smoothed(heard, said, one, frames, 0.2, 0.25)[0] for way in (k2, transducer_sum)]
        torch.testing.assert_close(*found, rtol=1e-5, atol=1e-4)

    @pytest.mark.parametrize("width", [3, 5, 9])
    def test_bounds_and_pruned(self, width: int) -> None:
        heard, said = torch.randn(3, 30, VOCAB + 1), torch.randn(3, 9, VOCAB + 1)
        bands = []
        for way in (k2, transducer_sum):
            _, occupied = way.smoothed(heard, said, SAID, torch.tensor(FRAMES), 0.0, 0.25)
            bands.append(way.bounds(occupied, SAID, torch.tensor(FRAMES), width))
        for row, n in enumerate(FRAMES):
            assert torch.equal(bands[0][row, :n], bands[1][row, :n])
        logits = torch.randn(3, 30, width, VOCAB + 1)
        nats = [way.pruned(logits, SAID, torch.tensor(FRAMES), bands[1]) for way in (k2, transducer_sum)]
        torch.testing.assert_close(*nats, rtol=1e-5, atol=1e-4)

    @pytest.mark.parametrize("sum", [partial(FullSum), partial(PrunedSum, 9, warm=0), partial(PrunedSum, 3, warm=0)])
    def test_heads_agree(self, sum: partial[torch.nn.Module]) -> None:
        torch.manual_seed(0)
        ours = Transducer(loss=partial(sum, by="torch"), dim=DIM, vocab=(VOCAB,))
        theirs = Transducer(loss=partial(sum, by="k2"), dim=DIM, vocab=(VOCAB,))
        theirs.load_state_dict(ours.state_dict())
        # More symbols than a band of 3 lets through, no frames, no symbols.
        x = Seq(torch.randn(6, 30, DIM), torch.tensor([*FRAMES, 2, 0, 4]), None)
        said = text([0, 1, 1, 4, 2, 2, 3, 0], [2], [4, 0, 3, 1, 2, 0, 3], [1] * 5, [1], [])
        found = [head(x, said) for head in (ours, theirs)]
        for name, term in found[0].items():
            torch.testing.assert_close(found[1][name].num, term.num, rtol=1e-5, atol=1e-4)
            assert int(found[1][name].den) == int(term.den)
        for terms in found:
            terms["loss"].num.backward()
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            if a.grad is not None:
                torch.testing.assert_close(b.grad, a.grad, rtol=1e-3, atol=1e-5)

    @pytest.mark.parametrize("sum", [partial(FullSum), partial(PrunedSum, warm=0)])
    def test_texts_of_nothing(self, sum: partial[torch.nn.Module]) -> None:
        nums = []
        for by in ("torch", "k2"):
            torch.manual_seed(0)
            nums.append(
                Transducer(loss=partial(sum, by=by), dim=DIM, vocab=(VOCAB,))(frames(), text([], [], []))["loss"].num
            )
        torch.testing.assert_close(*nums, rtol=1e-5, atol=1e-4)
