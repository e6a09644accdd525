"""The whole way of the data: images and prompts in, scores out. Everything else hangs off it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, cast, overload

import torch

from librehps.calibration import (
    Calibration,
    Calibrator,
    default_calibration,
    preference_probability,
)
from librehps.device import choose_device, choose_dtype
from librehps.errors import ConfigError, InputError
from librehps.heads import HeadOutput
from librehps.hub import find_checkpoint
from librehps.inputs.batch import Batch, Sample
from librehps.inputs.image import ImageSource
from librehps.inputs.pairing import ImageSources, Pair, Prompt, Prompts, as_list, pair
from librehps.inputs.processor import Processor
from librehps.kernels.backend import choose_attention, choose_kernels, warn_of_fallback
from librehps.model import PreferenceModel
from librehps.processing import load_processor
from librehps.progress import ignore, progress_bar
from librehps.results import AXIS_FIELDS, AxisScore, Comparison, Ranking, Score

__all__ = ["LibreHPS"]

DEFAULT_BATCH_TOKENS = 8192
IMAGE_AXES = tuple(name for name in AXIS_FIELDS if name != "temporal")
T = TypeVar("T")


class LibreHPS:
    """Scores images against prompts with a preference model.

    Args:
        model: What computes the scores. It is put in evaluation mode.
        processor: What turns an image and a prompt into the model's input.
        deterministic: Compute every image by itself: a score is then the same to the last bit
            whatever else is scored with it. Otherwise it is the same within a stated tolerance.
        calibration: What ``compare_images`` takes for a calibrator where it is given none, on the
            axis that it is for.
    """

    def __init__(
        self,
        model: PreferenceModel,
        processor: Processor,
        *,
        deterministic: bool = False,
        calibration: Calibration | None = None,
    ) -> None:
        self.model = model.eval()
        self.processor = processor
        self.deterministic = deterministic
        self.calibration = calibration

    @classmethod
    def from_pretrained(
        cls,
        path_or_id: str | os.PathLike[str],
        *,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        attn_impl: str = "auto",
        kernel_impl: str = "auto",
        backbone: str = "native",
        revision: str | None = None,
        local_files_only: bool = False,
        deterministic: bool = False,
        calibration: Calibration | Literal["own"] | None = "own",
    ) -> LibreHPS:
        """Load a checkpoint.

        Args:
            path_or_id: A folder; a Hugging Face id, which is downloaded to the cache; or
                ``"nano"``, the small model in the package, which knows drawn shapes and no more.
            device: ``"auto"`` is the first CUDA device, or the CPU.
            dtype: ``"auto"`` is bfloat16 where the device multiplies it natively, or float32.
            attn_impl: ``"auto"``, ``"sdpa"``, ``"eager"``, ``"fa4"`` or ``"fa2"``.
            kernel_impl: ``"auto"``, ``"torch"`` or ``"triton"``.
            backbone: ``"native"``, or ``"transformers"`` for the stock model under the same heads.
            revision: Branch, tag or commit of a Hugging Face id.
            local_files_only: Never use the network.
            deterministic: See the class.
            calibration: ``"own"`` is the ``calibration.json`` that lies in the checkpoint's folder
                if one does; ``None`` is none, and that file is not read then.

        Raises:
            CheckpointError: The checkpoint is missing, damaged or not understood.
            ConfigError: A name that means nothing, such as another word for ``calibration`` (code
                ``calibration_unknown``), or an own calibration that is of another model
                (``calibration_other_model``).
            BackendError: A device or an implementation that is not available here.
        """
        folder = find_checkpoint(path_or_id, revision=revision, local_files_only=local_files_only)
        place = choose_device(device)
        # Asked before gigabytes are read: what cannot run here is an error now, not at the end.
        number_format = choose_dtype(dtype, place)
        choice = choose_attention(attn_impl, place, dtype=number_format)
        choose_kernels(kernel_impl, place, dtype=number_format)
        if backbone == "native":
            warn_of_fallback(choice)
        given = cast("object", calibration)
        if not (given is None or given == "own" or isinstance(given, Calibration)):
            raise ConfigError(
                f"calibration is {calibration!r}; it must be 'own', None or a Calibration, such as "
                "librehps.calibration.load_calibration returns",
                code="calibration_unknown",
            )
        own = default_calibration(folder) if calibration == "own" else calibration
        model = PreferenceModel.from_pretrained(
            folder,
            device=place,
            dtype=number_format,
            attn_impl=attn_impl,
            kernel_impl=kernel_impl,
            backbone=backbone,
        )
        processor = load_processor(folder)
        return cls(model, processor, deterministic=deterministic, calibration=own)

    @property
    def trained(self) -> bool:
        """False when the checkpoint says that it was never trained: its scores mean nothing."""
        return self.model.trained

    def score_image(self, *, image: ImageSource, prompt: Prompt) -> Score:
        """Score one image: a path, bytes, a Pillow image, an array or a tensor.

        Raises:
            InputError: The image or the prompt cannot be scored.
        """
        return self._score_all([Pair(image, prompt, "image", "prompt")])[0]

    @overload
    def score_images(
        self,
        *,
        images: ImageSources,
        prompts: Prompts,
        progress: bool = False,
        on_error: Literal["raise"] = "raise",
        max_batch_tokens: int = DEFAULT_BATCH_TOKENS,
    ) -> list[Score]: ...

    @overload
    def score_images(
        self,
        *,
        images: ImageSources,
        prompts: Prompts,
        progress: bool = False,
        on_error: Literal["return"],
        max_batch_tokens: int = DEFAULT_BATCH_TOKENS,
    ) -> list[Score | InputError]: ...

    def score_images(
        self,
        *,
        images: ImageSources,
        prompts: Prompts,
        progress: bool = False,
        on_error: str = "raise",
        max_batch_tokens: int = DEFAULT_BATCH_TOKENS,
    ) -> list[Score] | list[Score | InputError]:
        """Score images, in order, each against its prompt.

        Images are decoded batch by batch: memory does not grow with the length of the list.

        Args:
            images: A list of what :meth:`score_image` takes, or a tensor ``[N, C, H, W]``.
            prompts: One for all, or a list with one for each image.
            progress: Show a bar on stderr.
            on_error: ``"raise"`` stops at the first item that cannot be scored and names it;
                ``"return"`` puts the error in its place and scores the others.
            max_batch_tokens: Most tokens computed at a time; a longer item goes alone.

        Returns:
            A score for each image, or with ``on_error="return"`` the error where there is none.

        Raises:
            InputError: See ``on_error``; or the lists do not match (code ``length_mismatch``).
            ConfigError: ``on_error`` is neither of the two (code ``on_error_unknown``), or
                ``max_batch_tokens`` is below 1 (code ``max_batch_tokens``).
        """
        if on_error not in ("raise", "return"):
            raise ConfigError(
                f"on_error is {on_error!r}; it must be 'raise' or 'return'", code="on_error_unknown"
            )
        if max_batch_tokens < 1:
            raise ConfigError(
                f"max_batch_tokens is {max_batch_tokens}; it must be at least 1",
                code="max_batch_tokens",
            )
        pairs = pair(images, prompts)
        with progress_bar("scoring", len(pairs), shown=progress) as advance:
            return list(
                self._scores(
                    pairs, strict=on_error == "raise", max_tokens=max_batch_tokens, advance=advance
                )
            )

    def compare_images(
        self,
        *,
        image_a: ImageSource,
        image_b: ImageSource,
        prompt: Prompt,
        calibrator: Calibrator | None = None,
        axis: str = "overall",
    ) -> Comparison:
        """Say which of two images a person would prefer, with a probability.

        Each image is computed by itself, so that an image ties with itself and the two ways round
        add up to one to the last bit.

        Args:
            image_a: One image.
            image_b: The other.
            prompt: What both should show.
            calibrator: Turns two scores into a probability; the checkpoint's own ``calibration`` if
                it has one for the axis. Without any it is the probability that the difference of
                two normal variables with these means and sigmas is positive: ask for that with
                ``GaussianDifference()``.
            axis: The axis that decides.

        Raises:
            InputError: An image or the prompt cannot be scored.
            ConfigError: The checkpoint does not score that axis (code ``axis_missing``), or the
                calibrator is none (``calibration_unknown``).
        """
        self.check_axis(axis)
        given = cast("object", calibrator)
        if not (given is None or isinstance(given, Calibrator)):
            raise ConfigError(
                f"calibrator is {calibrator!r:.100}; it must have a method probability(score_a, "
                "score_b), as those of librehps.calibration have",
                code="calibration_unknown",
            )
        if calibrator is None and self.calibration is not None:
            # Older files do not name the axis; they are for the only one that there was.
            fits = (self.calibration.axis or "overall") == axis
            calibrator = self.calibration if fits else None
        images = {"image_a": image_a, "image_b": image_b}
        score_a, score_b = self._score_all(
            [Pair(image, prompt, name, "prompt") for name, image in images.items()], alone=True
        )
        probability_a = preference_probability(
            score_a.axis(axis), score_b.axis(axis), calibrator=calibrator
        )
        return Comparison(probability_a, score_a=score_a, score_b=score_b, axis=axis)

    def rank_images(
        self, *, images: ImageSources, prompt: Prompt, axis: str = "overall"
    ) -> Ranking:
        """Order the images of one prompt, best first; equal scores keep the order of the input.

        Raises:
            InputError: An image or the prompt cannot be scored.
            ConfigError: The checkpoint does not score that axis (code ``axis_missing``).
        """
        self.check_axis(axis)
        pairs = [
            Pair(image, prompt, f"images[{index}]", "prompt")
            for index, image in enumerate(as_list(images))
        ]
        return Ranking.of(self._score_all(pairs), axis=axis)

    def check_axis(self, axis: str) -> None:
        """Refuse an axis before images are scored for it.

        Raises:
            ConfigError: The checkpoint does not score that axis of images (code ``axis_missing``).
        """
        known = [name for name in self.model.axes if name in IMAGE_AXES]
        if axis not in known:
            raise ConfigError(
                f"this checkpoint does not score {axis!r} of images; "
                f"it scores {', '.join(known) or 'nothing'}",
                code="axis_missing",
            )

    def _score_all(self, pairs: Sequence[Pair], *, alone: bool = False) -> list[Score]:
        """Score every pair, each packed with nothing if ``alone``, or raise the first error."""
        max_tokens = 1 if alone else DEFAULT_BATCH_TOKENS
        found = self._scores(pairs, strict=True, max_tokens=max_tokens, advance=ignore)
        return [score for score in found if isinstance(score, Score)]

    def _scores(
        self,
        pairs: Iterable[Pair],
        *,
        strict: bool,
        max_tokens: int,
        advance: Callable[[int], None],
    ) -> Iterator[Score | InputError]:
        """Prepare, pack and score pairs, lazily and in order; ``strict`` raises the first error."""
        if not set(IMAGE_AXES).intersection(self.model.axes):
            raise ConfigError(
                f"this checkpoint scores {', '.join(self.model.axes)}, and nothing of images",
                code="axis_missing",
            )
        prepared = _checked(map(self._prepare, pairs), strict=strict)
        for group in _groups(prepared, max_tokens):
            yield from _checked(self._score_group(group), strict=strict)
            advance(len(group))

    def _prepare(self, one: Pair) -> _Ready | InputError:
        """Turn a pair into a sequence of tokens and patches."""
        try:
            prepared = self.processor.prepare(one.image, one.prompt)
        except InputError as error:
            return one.name(error)
        return _Ready(one, prepared.sample, prepared.notes)

    def _score_group(self, group: Sequence[_Ready | InputError]) -> Iterator[Score | InputError]:
        """Compute a group in one pass; the errors in it stay where they are."""
        ready = [part for part in group if isinstance(part, _Ready)]
        columns: dict[str, list[AxisNumbers]] = {}
        if ready:
            with torch.inference_mode():
                batch = Batch.pack([part.sample for part in ready])
                batch = batch.to(device=self.model.device, dtype=self.model.dtype)
                columns = _by_axis(self.model(batch, deterministic=self.deterministic))
        rows = iter(range(len(ready)))
        for part in group:
            if isinstance(part, InputError):
                yield part
                continue
            row = next(rows)
            try:
                axes = {name: _axis_score(name, column[row]) for name, column in columns.items()}
            except InputError as error:
                yield part.pair.name(error)
                continue
            yield Score(**axes, notes=part.notes, trained=self.trained)


AxisNumbers = tuple[float, float | None]


def _axis_score(name: str, numbers: AxisNumbers) -> AxisScore:
    """Build the score of an axis; the error for a bad number says which axis."""
    try:
        return AxisScore(*numbers)
    except InputError as error:
        raise InputError(f"on {name}, {error.message}", code=error.code) from error


@dataclass(frozen=True)
class _Ready:
    """A pair that can be scored."""

    pair: Pair
    sample: Sample
    notes: tuple[str, ...]


def _checked(outcomes: Iterable[T | InputError], *, strict: bool) -> Iterator[T | InputError]:
    """Pass outcomes on; where ``strict``, raise the first error among them."""
    for outcome in outcomes:
        if strict and isinstance(outcome, InputError):
            raise outcome
        yield outcome


def _groups(
    parts: Iterable[_Ready | InputError], max_tokens: int
) -> Iterator[list[_Ready | InputError]]:
    """Cut a stream into runs of at most ``max_tokens`` tokens; a longer part goes alone."""
    group: list[_Ready | InputError] = []
    tokens = 0
    for part in parts:
        size = part.sample.num_tokens if isinstance(part, _Ready) else 0
        if group and tokens + size > max_tokens:
            yield group
            group, tokens = [], 0
        group.append(part)
        tokens += size
    if group:
        yield group


def _by_axis(outputs: Mapping[str, HeadOutput]) -> dict[str, list[AxisNumbers]]:
    """Return mean and sigma of each sequence by axis; where heads share one the first counts."""
    columns: dict[str, list[AxisNumbers]] = {}
    for output in outputs.values():
        for name in output.axes:
            if name in IMAGE_AXES and name not in columns:
                mean, sigma = output.axis(name)
                sigmas: list[float | None] = [None] * len(mean) if sigma is None else sigma.tolist()
                columns[name] = list(zip(mean.tolist(), sigmas, strict=True))
    return columns
