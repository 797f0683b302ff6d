"""LayerConvolution: against loops over layers, the sizes of the paper's own code, and frames that do not mix."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from speechunits.heads.layer_convolution import LayerConvolution


def layers(depth: int, dim: int) -> list[torch.Tensor]:
    return [torch.randn(2, 3, dim, dtype=torch.float64) * (i + 1) for i in range(depth + 1)]


def reference(x: list[np.ndarray], made: LayerConvolution, stride: int) -> np.ndarray:
    """One frame, (D,) of each layer: every output of every convolution summed by hand, layers outside are zero."""
    for conv in made.convs:
        weight, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()
        kernel = weight.shape[2]
        out = []
        for centre in range(0, len(x), stride):
            total = bias.copy()
            for k in range(kernel):
                if 0 <= (layer := centre + k - kernel // 2) < len(x):
                    total += weight[:, :, k] @ x[layer]
            out.append(np.maximum(total, 0))
        x = out
    return np.stack(x, 1).reshape(-1)  # of each feature its layers, side by side


@pytest.mark.parametrize(("depth", "kernel", "stride"), [(12, 5, 3), (4, 3, 2), (2, 5, 3)])
def test_each_frame_is_convolved_over_layers(depth: int, kernel: int, stride: int) -> None:
    x = layers(depth, 8)
    made = LayerConvolution(kernel, stride, depth=depth, dim=8).double()
    given = made(x)
    for b in range(2):
        for t in range(3):
            expected = reference([each[b, t].numpy() for each in x], made, stride)
            np.testing.assert_allclose(given[b, t].detach().numpy(), expected, rtol=1e-12, atol=1e-12)
    given.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())


@pytest.mark.parametrize(
    ("depth", "dim", "shapes", "gives"),
    [(12, 768, [(768, 768, 5), (384, 768, 5)], 768), (24, 1024, [(1024, 1024, 5), (341, 1024, 5)], 1023)],
)
def test_sizes_for_base_and_large_encoders(depth: int, dim: int, shapes: list[tuple[int, ...]], gives: int) -> None:
    """13 layers leave 5, then 2; 25 leave 9, then 3: what the interface that the paper released builds."""
    with torch.device("meta"):
        made = LayerConvolution(depth=depth, dim=dim)
    assert [tuple(conv.weight.shape) for conv in made.convs] == shapes and made.dim == gives


def test_every_layer_normalised() -> None:
    x, made = layers(4, 8), LayerConvolution(normalize=True, depth=4, dim=8).double()
    torch.testing.assert_close(made(x), made([each * 7 + 3 for each in x]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("bad", [{"kernel": 4}, {"stride": 1}, {"stride": 6}])
def test_what_cannot_be_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be odd, and stride"):
        LayerConvolution(**bad, depth=4, dim=8)  # type: ignore[arg-type]
