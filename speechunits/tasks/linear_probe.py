"""LinearProbe: how much of a label can be read off fixed vectors by a linear map."""

from __future__ import annotations

import logging

import torch
import torch.nn.functional as F
from torch import Tensor, nn

log = logging.getLogger(__name__)


class LinearProbe(nn.Module):
    """Multinomial logistic regression (Bishop 2006, section 4.3.4) on vectors standardised by the training set.

    Minimises mean cross-entropy + l2 / 2 * |weight|^2 with L-BFGS over all rows at once, in float64: a convex problem,
    so the result depends neither on a seed nor on the start. scikit-learn's ``C`` is 1 / (l2 * rows).

    Args:
        dim: length of a vector.
        classes: labels are 0 .. classes - 1.
        l2: strength; biases are free.
        iterations: of L-BFGS at most.
        tolerance: converged when no entry of the gradient is larger.
    """

    def __init__(
        self, dim: int, classes: int, l2: float = 1e-2, iterations: int = 2000, tolerance: float = 1e-5
    ) -> None:
        super().__init__()
        if l2 <= 0:
            raise ValueError(f"l2 is {l2}; without a positive strength separable classes have no optimum")
        self.l2, self.iterations, self.tolerance = l2, iterations, tolerance
        self.register_buffer("mean", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(dim, dtype=torch.float64))
        self.weight = nn.Parameter(torch.zeros(classes, dim, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(classes, dtype=torch.float64))

    def _standard(self, x: Tensor) -> Tensor:
        return (x.double() - self.mean) / self.scale

    def fit(self, x: Tensor, y: Tensor) -> LinearProbe:
        """Fit to vectors (N, D) and labels (N,), starting from the present weights.

        Raises:
            ValueError: the shapes do not fit, or a vector is not finite.
        """
        if x.shape != (len(y), self.weight.size(1)) or not len(y):
            raise ValueError(f"{tuple(x.shape)} vectors and {tuple(y.shape)} labels for {self.weight.size(1)} features")
        if not bool(x.isfinite().all()):
            raise ValueError("a vector to probe is not finite")
        x = x.double()
        self.mean.copy_(x.mean(0))
        scale = x.std(0, correction=0)
        self.scale.copy_(torch.where(scale > 1e-12 * x.abs().amax(0), scale, 1.0))  # a constant tells nothing
        z = self._standard(x)
        solver = torch.optim.LBFGS(
            self.parameters(),
            max_iter=self.iterations,
            max_eval=2 * self.iterations,
            tolerance_grad=self.tolerance,
            tolerance_change=0.0,
            history_size=20,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            solver.zero_grad()
            loss = F.cross_entropy(z @ self.weight.T + self.bias, y) + self.l2 / 2 * self.weight.square().sum()
            loss.backward()
            return loss

        with torch.enable_grad():
            solver.step(closure)
            closure()
        steepest = max(float(p.grad.abs().max()) for p in self.parameters() if p.grad is not None)
        solver.zero_grad()
        if steepest > 100 * self.tolerance:
            log.warning(
                "a probe stopped before its optimum (largest gradient %.1e after %d iterations of L-BFGS)",
                steepest,
                solver.state[self.weight].get("n_iter", 0),
            )
        return self

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, classes) logits, float64."""
        return self._standard(x) @ self.weight.T + self.bias

    @torch.no_grad()
    def accuracy(self, x: Tensor, y: Tensor) -> float:
        """Share of rows whose largest logit is that of their label."""
        return float((self(x).argmax(-1) == y).double().mean())
