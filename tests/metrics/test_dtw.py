from __future__ import annotations

import pytest
import torch

from speechunits.metrics.dtw import dtw, warp


def plain_dtw(frames: list[list[float]]) -> float:
    """Cumulative cost, then a walk back that counts the path, as Libri-Light's dtw.pyx does."""
    n, m = len(frames), len(frames[0])
    cost = [[0.0] * m for _ in range(n)]
    for i in range(n):
        for j in range(m):
            ways = [cost[a][b] for a, b in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if a >= 0 and b >= 0]
            cost[i][j] = frames[i][j] + (min(ways) if ways else 0)
    i, j, length = n - 1, m - 1, 1
    while i or j:
        if not i:
            j -= 1
        elif not j:
            i -= 1
        else:
            diagonal, up, left = cost[i - 1][j - 1], cost[i - 1][j], cost[i][j - 1]
            if diagonal <= left and diagonal <= up:
                i, j = i - 1, j - 1
            elif left <= up:
                j -= 1
            else:
                i -= 1
        length += 1
    return cost[-1][-1] / length


@pytest.mark.parametrize("ties", [False, True])
def test_against_a_plain_loop(ties: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    frames = torch.rand(7, 6, 60, generator=generator, dtype=torch.float64)
    if ties:  # 0/1 distances, as between units: which of equally cheap paths is taken decides the length
        frames = (frames > 0.5).double()
    rows = torch.randint(1, 8, (60,), generator=generator)
    cols = torch.randint(1, 7, (60,), generator=generator)
    sizes = zip(rows.tolist(), cols.tolist(), strict=True)
    want = [plain_dtw(frames[:n, :m, p].tolist()) for p, (n, m) in enumerate(sizes)]
    assert torch.allclose(dtw(frames, rows, cols), torch.tensor(want, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_the_path_has_the_mean_of_dtw(ties: bool) -> None:
    generator = torch.Generator().manual_seed(5)
    for n, m in [(1, 1), (1, 5), (6, 1), (2, 9), (7, 7), (13, 4)]:
        frames = torch.rand(n, m, generator=generator, dtype=torch.float64)
        if ties:
            frames = (frames > 0.5).double()
        rows, columns = warp(frames)
        steps = torch.stack([rows.diff(), columns.diff()], 1)
        assert (int(rows[0]), int(columns[0]), int(rows[-1]), int(columns[-1])) == (0, 0, n - 1, m - 1)
        assert all(step in ([0, 1], [1, 0], [1, 1]) for step in steps.tolist())
        want = dtw(frames[..., None], torch.tensor([n]), torch.tensor([m]))
        assert float(frames[rows, columns].mean()) == pytest.approx(float(want), abs=1e-12)


def test_no_path_is_cheaper() -> None:
    frames = torch.rand(5, 4, generator=torch.Generator().manual_seed(6), dtype=torch.float64)

    def costs(i: int, j: int) -> list[float]:
        if (i, j) == (4, 3):
            return [float(frames[i, j])]
        ways = [(i + 1, j), (i, j + 1), (i + 1, j + 1)]
        return [float(frames[i, j]) + rest for a, b in ways if a < 5 and b < 4 for rest in costs(a, b)]

    assert float(frames[warp(frames)].sum()) == pytest.approx(min(costs(0, 0)), abs=1e-12)
