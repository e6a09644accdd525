"""What every registered head, pooling, loss and token mixer must pass; run it over your own too.

Each ``check_*`` raises ``AssertionError`` with a sentence when the part breaks its contract.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from librehps.heads.pooling import Pooling
from librehps.heads.protocol import AXES, HeadOutput
from librehps.heads.sequences import SequenceHead, Sequences
from librehps.losses import LOSSES, PairLoss, Scores, build_loss, loss_config
from librehps.modeling.config import Qwen3_5TextConfig
from librehps.modeling.mixer import MIXERS
from librehps.testing.tolerances import TOLERANCES, relative_rms
from librehps.typing import Tensor

__all__ = ["check_head", "check_mixer", "check_pair_loss", "check_pooling"]

_WIDTH = 16
_LENGTHS = (5, 1, 70, 3)


def _demand(condition: bool, sentence: str) -> None:
    if not condition:
        raise AssertionError(sentence)


def _demand_gradients(module: nn.Module, total: Tensor) -> None:
    module.zero_grad()
    total.backward()
    for name, parameter in module.named_parameters():
        grad = parameter.grad
        _demand(grad is not None and bool(grad.isfinite().all()), f"{name} gets no gradient")
    module.zero_grad()


def check_head(head_type: type[Any], *, kind: str) -> None:
    """Check a head: shapes, float32, empty batch, independence, losses, config, save and load.

    Args:
        head_type: The class that is registered: a `Head`, which may be a `SequenceHead`.
        kind: The name it is registered under.
    """
    # Of one seed: with some weights a steep loss has no slope left, and whether a contract is kept
    # is no matter of what was drawn before.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head: Any = head_type.from_config({}, hidden_size=_WIDTH)
    _demand(isinstance(head, nn.Module), "a head is an nn.Module")
    # What is random in training, such as dropout, is its own affair.
    head.eval()
    _demand(set(head.axes) <= set(AXES), f"axes {head.axes} are not all in AXES")
    feed = _feed(head)
    out: HeadOutput = head(feed.all())
    shape = (feed.count, len(head.axes))
    _demand(out.axes == head.axes, "the output names its axes as the head does")
    _demand(tuple(out.mean.shape) == shape, f"mean has shape {tuple(out.mean.shape)}, not {shape}")
    _demand(out.mean.dtype == torch.float32, f"mean is {out.mean.dtype}, not float32")
    if out.sigma is not None:
        _demand(tuple(out.sigma.shape) == shape, "sigma has the shape of mean")
        _demand(bool((out.sigma > 0).all()), "sigma is positive")
    low = head(feed.all(torch.bfloat16))
    _demand(low.mean.dtype == torch.float32, "computes in float32 from bfloat16")
    _demand(head(feed.none()).mean.shape == (0, len(head.axes)), "an empty batch gives no rows")
    alone = torch.cat([head(feed.alone(n)).mean for n in range(feed.count)])
    limit = TOLERANCES["packed_alone_float32"].limit
    _demand(relative_rms(out.mean, alone) <= limit, "a row does not depend on the others")
    for n in range(feed.count):
        row = head(feed.among_noise(n)).mean[n]
        _demand(torch.equal(row, out.mean[n]), "a row does not depend on what the others hold")

    total = out.mean.sum() if out.sigma is None else out.mean.sum() + out.sigma.sum()
    _demand_gradients(head, total)

    config = json.loads(json.dumps(head.to_config()))
    _demand(config.get("kind") == kind, f"to_config() says kind {config.get('kind')!r}")
    again: Any = head_type.from_config(config, hidden_size=_WIDTH)
    again.eval()
    again.load_state_dict(head.state_dict())
    _demand(torch.equal(again(feed.all()).mean, out.mean), "the rebuilt head scores the same")
    for loss in map(build_loss, LOSSES):
        if out.sigma is not None or not loss.uses_sigma:
            _demand_learning(again, feed, loss)


class _Pooled:
    """Inputs of a head that reads one vector per sequence."""

    count = 6

    def __init__(self) -> None:
        self.hidden = torch.randn(6, _WIDTH, generator=torch.Generator().manual_seed(0))

    def all(self, dtype: torch.dtype = torch.float32) -> Any:
        return self.hidden.to(dtype)

    def none(self) -> Any:
        return self.hidden[:0]

    def alone(self, row: int) -> Any:
        return self.hidden[row : row + 1].clone()

    def among_noise(self, row: int) -> Any:
        noise = torch.full_like(self.hidden, float("nan"))
        noise[row] = self.hidden[row]
        return noise


class _Sequences:
    """Inputs of a head that reads several tokens, all of a sequence or the last ones."""

    count = len(_LENGTHS)

    def __init__(self, last_tokens: int | None) -> None:
        self.read = last_tokens
        # Sequences of which a head reads all, and some of which it must leave tokens alone.
        lengths = [length - 1 + (self.read or 1) for length in _LENGTHS]
        self.bounds = torch.tensor([0, *lengths]).cumsum(0)
        generator = torch.Generator().manual_seed(0)
        self.hidden = torch.randn(sum(lengths), _WIDTH, generator=generator)

    def all(self, dtype: torch.dtype = torch.float32) -> Any:
        return Sequences(self.hidden.to(dtype), self.bounds)

    def none(self) -> Any:
        return Sequences(self.hidden[:0], self.bounds[:1])

    def alone(self, row: int) -> Any:
        part = self.hidden[self._tokens(row)].clone()
        return Sequences(part, torch.tensor([0, len(part)]))

    def among_noise(self, row: int) -> Any:
        noise = torch.full_like(self.hidden, float("nan"))
        noise[self._tokens(row)] = self.hidden[self._tokens(row)]
        return Sequences(noise, self.bounds)

    def _tokens(self, row: int) -> slice:
        start, end = int(self.bounds[row]), int(self.bounds[row + 1])
        return slice(start if self.read is None else end - self.read, end)


def _feed(head: object) -> _Pooled | _Sequences:
    return _Sequences(head.last_tokens) if isinstance(head, SequenceHead) else _Pooled()


def _demand_learning(head: Any, feed: _Pooled | _Sequences, loss: PairLoss) -> None:
    """Demand that a loss on the scores is symmetric, and falls when its gradient is followed.

    The first half of the sequences are ``a``, the second half ``b``; people prefer ``a``.
    """
    half = feed.count // 2

    def value(parameters: dict[str, Tensor], *, swapped: bool = False) -> Tensor:
        out: HeadOutput = functional_call(head, parameters, (feed.all(),))
        means, sigmas = out.mean.split(half), [None, None]
        if out.sigma is not None:
            sigmas = [*out.sigma.split(half)]
        a, b = Scores(means[0], sigmas[0]), Scores(means[1], sigmas[1])
        target = torch.ones(a.mean.shape)
        return (loss(b, a, 1 - target) if swapped else loss(a, b, target)).mean()

    what = f"the loss {loss_config(loss)['kind']}"
    weights: dict[str, Tensor] = dict(head.named_parameters())
    before = value(weights)
    both = (before, value(weights, swapped=True))
    _demand(torch.allclose(*both, atol=1e-6), f"{what} depends on which item comes first")
    # A loss may leave a part of the head alone, such as a sigma.
    slopes = torch.autograd.grad(before, [*weights.values()], materialize_grads=True)
    size = torch.cat([slope.flatten() for slope in slopes]).square().sum().sqrt()
    _demand(bool(size.isfinite()) and bool(size > 0), f"{what} gives no gradient")
    steps = zip(weights.items(), slopes, strict=True)
    moved = {name: weight - slope * (1e-2 / size) for (name, weight), slope in steps}
    _demand(bool(value(moved) < before), f"{what} does not fall along its gradient")


def check_pooling(pooling: Pooling) -> None:
    """Check a pooling: shape, a convex mix of each sequence's own tokens, gradients.

    Args:
        pooling: The function that is registered.
    """
    hidden = torch.randn(sum(_LENGTHS), _WIDTH, generator=torch.Generator().manual_seed(0))
    bounds = torch.tensor([0, *_LENGTHS]).cumsum(0)
    marked = bounds[:-1] + torch.tensor(_LENGTHS) // 2
    hidden.requires_grad_(True)
    out = pooling(hidden, cu_seqlens=bounds.to(torch.int32), pooled_index=marked)
    _demand(tuple(out.shape) == (len(_LENGTHS), _WIDTH), f"has shape {tuple(out.shape)}")
    for n, part in enumerate(hidden.split(_LENGTHS)):
        alone = pooling(
            part.detach().clone(),
            cu_seqlens=torch.tensor([0, len(part)], dtype=torch.int32),
            pooled_index=marked[n : n + 1] - bounds[n],
        )
        _demand(torch.equal(alone[0], out[n]), f"sequence {n} depends on its neighbours")
    (grad,) = torch.autograd.grad(out[2].sum(), hidden)
    outside = torch.cat([grad[: bounds[2]], grad[bounds[3] :]])
    _demand(bool((outside == 0).all()), "a gradient reaches another sequence")
    inside = grad[bounds[2] : bounds[3]].sum(0)
    _demand(
        torch.allclose(inside, torch.ones(_WIDTH)), "the weights of a sequence's tokens sum to 1"
    )


def check_pair_loss(loss: PairLoss) -> None:
    """Check a loss on pairs: shape, float32, sign of the gradient, symmetry, limits, config.

    Args:
        loss: A loss of a registered class.
    """
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(2, 40, generator=generator, requires_grad=True)
    sigma = (torch.rand(2, 40, generator=generator) + 0.1).requires_grad_()
    target = torch.linspace(0, 1, 40)
    a, b = Scores(mean[0], sigma[0]), Scores(mean[1], sigma[1])

    values = loss(a, b, target)
    _demand(values.shape == target.shape, f"{tuple(values.shape)} is not one value per pair")
    _demand(values.dtype == torch.float32, f"the loss is {values.dtype}, not float32")
    _demand(bool((values >= 0).all()), "a loss of votes is not negative")
    swapped = loss(b, a, 1 - target)
    _demand(bool(torch.allclose(values, swapped, atol=1e-6)), "swapping the items changes nothing")

    (slope,) = torch.autograd.grad(loss(a, b, torch.ones(40)).sum(), mean)
    _demand(bool(slope.isfinite().all()), "every gradient is finite")
    _demand(bool((slope[0] <= 0).all()), "raising the preferred item's score lowers the loss")
    _demand(bool((slope[1] >= 0).all()), "raising the other item's score raises the loss")
    total = sum(float(x.abs().sum()) for x in slope)
    _demand(total > 0, "the gradient reaches the scores")

    none = torch.zeros(0)
    _demand(loss(Scores(none, none), Scores(none, none), none).shape == (0,), "no pairs, no values")
    low = loss(_cast(a, torch.bfloat16), _cast(b, torch.bfloat16), target)
    _demand(low.dtype == torch.float32, "computes in float32 from bfloat16")
    exact = loss(_cast(a, torch.float64), _cast(b, torch.float64), target.double())
    _demand(exact.dtype == torch.float64, "computes in float64 from float64")
    _demand(relative_rms(values, exact) <= 1e-5, "float32 agrees with float64")

    far = torch.tensor([-1e4, 1e4, -3e4, 3e4, -1e6, 1e6, 1e12], requires_grad=True)
    here, ones = Scores(torch.zeros(7), torch.ones(7)), torch.ones(7)
    lost = loss(Scores(far, ones), here, torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0]))
    (slope,) = torch.autograd.grad(lost.sum(), far)
    finite = bool(lost.isfinite().all()) and bool(slope.isfinite().all())
    _demand(finite, "huge differences give finite losses and gradients")

    again = build_loss(json.loads(json.dumps(loss_config(loss))))
    _demand(again == loss, "the loss is rebuilt from its config")
    if not loss.uses_sigma:
        plain = loss(Scores(mean[0]), Scores(mean[1]), target)
        _demand(torch.equal(plain, values), "a loss that uses no sigma ignores it")


def _cast(scores: Scores, dtype: torch.dtype) -> Scores:
    sigma = None if scores.sigma is None else scores.sigma.to(dtype)
    return Scores(scores.mean.to(dtype), sigma)


def check_mixer(name: str, *, config: Qwen3_5TextConfig) -> None:
    """Check a token mixer: causality, boundaries in a pack, hand-over of the state, gradients.

    Args:
        name: The name it is registered under in ``MIXERS``.
        config: A small text config; its ``layer_types`` need not name the mixer.
    """
    mixer = MIXERS[name](config, layer_index=0, attn_impl="auto", kernel_impl="auto")
    if not isinstance(mixer, nn.Module):
        raise AssertionError("a token mixer is an nn.Module")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    total, width = sum(_LENGTHS), config.hidden_size
    x = torch.randn(total, width, generator=generator)
    bounds = torch.tensor([0, *_LENGTHS]).cumsum(0)
    places = torch.cat([torch.arange(length) for length in _LENGTHS])
    angles = places[:, None] * torch.linspace(1.0, 0.01, config.rotary_dim // 2)
    angles = torch.cat([angles, angles], dim=-1)
    rotary = (angles.cos(), angles.sin())

    def run(start: int, end: int, state: object = None) -> tuple[Tensor, object]:
        here = torch.tensor([0, end - start], dtype=torch.int32)
        part = (rotary[0][start:end], rotary[1][start:end])
        return mixer(x[start:end], rotary=part, cu_seqlens=here, state=state, return_state=True)

    limit = TOLERANCES["packed_alone_float32"].limit
    packed, _ = mixer(x, rotary=rotary, cu_seqlens=bounds.to(torch.int32))
    _demand(tuple(packed.shape) == (total, width), f"has shape {tuple(packed.shape)}")
    for n, length in enumerate(_LENGTHS):
        start = int(bounds[n])
        alone, _ = run(start, start + length)
        error = relative_rms(packed[start : start + length], alone)
        _demand(error <= limit, f"sequence {n} in a pack differs from itself alone by {error:.1e}")
    start, end = int(bounds[2]), int(bounds[3])
    whole, _ = run(start, end)
    for cut in (start + 1, start + 33, end - 1):
        head, state = run(start, cut)
        tail, _ = run(cut, end, state)
        error = relative_rms(torch.cat([head, tail]), whole)
        _demand(error <= limit, f"cut after {cut - start} tokens it differs by {error:.1e}")
        _demand(relative_rms(head, whole[: cut - start]) <= limit, "a token sees the future")
    _demand_gradients(mixer, packed.square().sum())
