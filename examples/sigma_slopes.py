"""Print how each loss moves sigma, for pairs from badly wrong to surely right.

    python examples/sigma_slopes.py

The slope of the loss by the logarithm of sigma, both items with sigma 1, ``a`` preferred. Positive:
training lowers sigma; negative: training raises it.
"""

from __future__ import annotations

import torch

from librehps.losses import LOSSES, Scores, build_loss

DIFFERENCES = (-3.0, -1.0, 0.0, 1.0, 3.0)


def slopes(name: str) -> list[float]:
    """Return the slope by log sigma at each difference of means."""
    log_sigma = torch.zeros(len(DIFFERENCES), dtype=torch.float64, requires_grad=True)
    mean = torch.tensor(DIFFERENCES, dtype=torch.float64)
    a, b = Scores(mean, log_sigma.exp()), Scores(torch.zeros_like(mean), log_sigma.exp())
    build_loss(name)(a, b, torch.ones_like(mean)).sum().backward()
    assert log_sigma.grad is not None
    return log_sigma.grad.tolist()


if __name__ == "__main__":
    print("mean_a - mean_b".ljust(20) + "".join(f"{d:+9.0f}" for d in DIFFERENCES))
    for name in LOSSES:
        if build_loss(name).uses_sigma:
            print(name.ljust(20) + "".join(f"{slope:+9.3f}" for slope in slopes(name)))
