"""Tests of the comparison of an implementation with its definition."""

from __future__ import annotations

import torch
from torch import Tensor

from librehps.testing.agreement import disagreement, results_and_gradients


def product(a: Tensor, b: Tensor, *, twice: bool = False) -> tuple[Tensor, Tensor]:
    return a * b * (1 + twice), a + b


def test_results_and_gradients_go_by_name_and_keep_strides() -> None:
    a, b = torch.randn(5, 3).T, torch.randn(3, 5)
    seen: list[tuple[int, ...]] = []

    def function(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(a.stride())
        return product(a, b)

    found = results_and_gradients(function, {"a": a, "b": b})
    assert seen == [a.stride()]
    assert list(found) == ["y0", "y1", "a", "b"]
    assert torch.equal(found["y0"], a * b)
    again = results_and_gradients(product, {"a": a.double(), "b": b.double()})
    torch.testing.assert_close(found["a"].double(), again["a"])
    assert not a.requires_grad


def test_what_nothing_depends_on_has_a_gradient_of_zeros() -> None:
    a, b = torch.randn(3, 5), torch.randn(4)
    found = results_and_gradients(lambda a, b: 2 * a, {"a": a, "b": b})
    assert torch.equal(found["b"], torch.zeros(4))
    assert found["a"].any()


def test_the_same_function_agrees_and_another_does_not() -> None:
    tensors = {"a": torch.randn(7, 3), "b": torch.randn(7, 3)}
    assert max(disagreement(product, product, tensors).values()) < 1e-6
    wrong = disagreement(lambda a, b: (a * b, a - b), product, tensors)
    assert wrong["y0"] < 1e-6
    assert min(wrong["y1"], wrong["b"]) > 0.1


def test_memory_that_was_not_written_is_an_infinite_error() -> None:
    def forgets(a: Tensor) -> Tensor:
        out = torch.empty_like(a)
        out[1:] = 2 * a[1:]
        return out

    assert disagreement(forgets, lambda a: 2 * a, {"a": torch.randn(4)})["y0"] == float("inf")
