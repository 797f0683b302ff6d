"""align: as torchaudio's forced alignment, for many texts at once."""

from __future__ import annotations

import pytest
import torch
import torchaudio.functional as AF

from speechunits.decode.alignment import align
from speechunits.seq import pad
from tests.decode.scored import batch, chances


@pytest.mark.filterwarnings("ignore:.*forced_align.*")
def test_it_is_torchaudios() -> None:
    g = torch.Generator().manual_seed(0)
    rows = [chances(seed, n, 5) for seed, n in enumerate((12, 9, 30))]
    texts, of = [], []
    for b in range(len(rows)):
        for n in (0, 1, 3, 5):
            texts.append(torch.randint(4, (n,), generator=g))
            of.append(b)
    scores = batch(*rows)
    spans, sure, possible = align(scores, pad(texts, None), torch.tensor(of))
    for i, (text, b) in enumerate(zip(texts, of, strict=True)):
        need = len(text) + int((text[1:] == text[:-1]).sum())
        assert bool(possible[i]) == (need <= len(rows[b]))
        if not len(text) or not possible[i]:
            continue
        path, said = AF.forced_align(rows[b][None].float(), text[None].int(), blank=4)
        merged = AF.merge_tokens(path[0], said[0].exp(), blank=4)
        assert spans[i, : len(text)].tolist() == [[s.start, s.end] for s in merged]
        assert sure[i, : len(text)].tolist() == pytest.approx([s.score for s in merged], abs=1e-6)


def test_a_text_longer_than_its_frames_has_no_path() -> None:
    texts = pad([torch.tensor([0, 0]), torch.tensor([0, 1]), torch.tensor([0, 1, 0])], None)
    _, _, possible = align(batch(chances(0, 2, 3)), texts, torch.zeros(3, dtype=torch.int64))
    assert possible.tolist() == [False, True, False]


def test_chances_of_zero_are_no_path() -> None:
    x = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]]).log()
    spans, sure, possible = align(
        batch(x), pad([torch.tensor([0, 1]), torch.tensor([1, 0])], None), torch.zeros(2).long()
    )
    assert possible.tolist() == [True, False] and spans[0].tolist() == [[0, 1], [2, 3]] and sure[0].tolist() == [1, 1]
