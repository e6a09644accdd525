from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from librehps.data import Comparison, PairBatch, PairLoader, Position
from librehps.errors import ConfigError, InputError
from librehps.inputs.processor import Processor
from librehps.testing.tiny import tiny_processor

AXES = ("overall", "style")


@pytest.fixture(scope="module")
def processor() -> Processor:
    return tiny_processor()


@pytest.fixture(scope="module")
def comparisons(tmp_path_factory: pytest.TempPathFactory) -> list[Comparison]:
    """Eleven pairs of flat pictures, each image with a grey of its own."""
    folder = tmp_path_factory.mktemp("pairs")
    for grey in range(22):
        pixels = np.full((40, 50, 3), 10 * grey, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{grey}.png")
    return [
        Comparison(
            prompt=f"grey {number}",
            image_a=folder / f"{2 * number}.png",
            image_b=folder / f"{2 * number + 1}.png",
            target=number / 10,
            axis_targets={"style": 1.0} if number % 2 else {},
            confidence=0.5 if number == 3 else None,
            key=str(number),
        )
        for number in range(11)
    ]


def greys(batch: PairBatch) -> list[int]:
    """Return which picture each sequence of a batch shows."""
    assert batch.batch.patches is not None
    counts = batch.batch.grid_thw.prod(dim=1).tolist()
    parts = batch.batch.patches.split(counts)
    return [round(float(part.mean() + 1) * 127.5 / 10) for part in parts]


@pytest.mark.parametrize("workers", [0, 3])
def test_both_images_of_every_pair_come_once_with_what_was_said(
    comparisons: list[Comparison], processor: Processor, workers: int
) -> None:
    loader = PairLoader(comparisons, processor, batch_pairs=4, axes=AXES, workers=workers)
    seen: dict[str, tuple[int, int]] = {}
    batches = list(loader.batches())
    assert [len(batch.keys) for batch in batches] == [4, 4, 3]
    assert len(loader) == 3
    for batch in batches:
        count, shown = len(batch.keys), greys(batch)
        for place, key in enumerate(batch.keys):
            number, pair = int(key), (shown[place], shown[place + count])
            seen[key] = pair
            swapped = pair[0] > pair[1]
            assert sorted(pair) == [2 * number, 2 * number + 1]
            overall, style = batch.target[place].tolist()
            share = number / 10
            assert overall == pytest.approx(1 - share if swapped else share)
            if number % 2:
                assert style == (0.0 if swapped else 1.0)
            else:
                assert np.isnan(style)
            assert batch.weights[place].item() == (0.5 if number == 3 else 1.0)
    assert len(seen) == 11
    assert len({first > second for first, second in seen.values()}) == 2


def same(left: PairBatch, right: PairBatch) -> bool:
    return (
        left.keys == right.keys
        and left.after == right.after
        and torch.equal(left.batch.input_ids, right.batch.input_ids)
        and torch.equal(left.batch.patches, right.batch.patches)
        and torch.equal(left.target.nan_to_num(-1.0), right.target.nan_to_num(-1.0))
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_goes_on_from_any_batch(
    comparisons: list[Comparison], processor: Processor, workers: int
) -> None:
    loader = PairLoader(comparisons, processor, batch_pairs=3, seed=7, workers=workers)
    whole = list(loader.batches(Position(epoch=2)))
    assert whole[-1].after == Position(epoch=3)
    for number, batch in enumerate(whole[:-1]):
        other = PairLoader(comparisons, processor, batch_pairs=3, seed=7)
        rest = list(other.batches(batch.after))
        assert len(rest) == len(whole) - number - 1
        assert all(same(a, b) for a, b in zip(rest, whole[number + 1 :], strict=True))


def test_epochs_and_seeds_have_orders_of_their_own(
    comparisons: list[Comparison], processor: Processor
) -> None:
    def order(seed: int, epoch: int, **options: bool) -> tuple[str, ...]:
        loader = PairLoader(comparisons, processor, batch_pairs=11, seed=seed, **options)
        return next(loader.batches(Position(epoch=epoch))).keys

    orders = {order(0, 0), order(0, 1), order(1, 0), order(1, 1)}
    assert len(orders) == 4
    given = tuple(comparison.key for comparison in comparisons)
    assert order(0, 0, shuffle=False) == order(5, 3, shuffle=False) == given
    loader = PairLoader(comparisons, processor, batch_pairs=11, shuffle=False, swap=False)
    shown = greys(next(loader.batches()))
    assert shown == [*range(0, 22, 2), *range(1, 22, 2)]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_processes_share_every_batch_and_go_on_together(
    comparisons: list[Comparison], processor: Processor, count: int
) -> None:
    whole = list(PairLoader(comparisons, processor, batch_pairs=2 * count, seed=3).batches())
    parts = [
        list(PairLoader(comparisons, processor, batch_pairs=2, seed=3, share=share).batches())
        for share in ((index, count) for index in range(count))
    ]
    # All have as many batches; a rest that does not go round is the whole epoch's last.
    assert {len(part) for part in parts} == {len(parts[0])}
    for together, *shares in zip(whole, *parts, strict=False):
        assert sorted(together.keys) == sorted(key for share in shares for key in share.keys)
        assert {share.after for share in shares} == {together.after}
    # 11 comparisons: with 2 and 5 the last batch has one pair for a single process.
    assert len(whole) - len(parts[0]) == (11 % (2 * count) < count)
    measured = [
        key
        for index in range(count)
        for batch in PairLoader(
            comparisons, processor, batch_pairs=2, shuffle=False, share=(index, count)
        ).batches()
        for key in batch.keys
    ]
    assert sorted(measured) == sorted(one.key for one in comparisons)


def test_rows_about_the_same_two_images_stay_in_one_batch(
    comparisons: list[Comparison], processor: Processor
) -> None:
    twice = [
        replace(one, key=f"{one.key}{suffix}") for one in comparisons for suffix in ("", "-mirror")
    ]
    loader = PairLoader(twice, processor, batch_pairs=4, seed=1)
    seen: list[str] = []
    for batch in loader.batches():
        keys = set(batch.keys)
        assert all(f"{key.removesuffix('-mirror')}-mirror" in keys for key in keys)
        seen += batch.keys
    assert sorted(seen) == sorted(one.key for one in twice)
    assert seen != [one.key for one in twice]


def test_each_process_stops_at_its_share_of_bad_images(
    comparisons: list[Comparison], processor: Processor, tmp_path: Path
) -> None:
    bad = [
        replace(one, image_a=tmp_path / "gone.png") if number % 2 == 0 and number < 4 else one
        for number, one in enumerate(comparisons[:10])
    ]

    # Two of ten: of the first process's five they are 40 %, of the other's none.
    def go(index: int, most: float) -> int:
        loader = PairLoader(
            bad, processor, batch_pairs=5, shuffle=False, share=(index, 2), max_bad_share=most
        )
        return sum(len(batch.keys) for batch in loader.batches())

    assert (go(0, 0.4), go(1, 0.0)) == (3, 5)
    with pytest.raises(InputError, match="of 5 comparisons"):
        go(0, 0.3)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_image_costs_its_pair_and_no_other_takes_its_place(
    comparisons: list[Comparison], processor: Processor, tmp_path: Path, workers: int
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    bad = Comparison(
        prompt="x", image_a=comparisons[0].image_a, image_b=broken, target=1.0, key="bad"
    )
    loader = PairLoader(
        [bad, *comparisons], processor, batch_pairs=1, max_bad_share=0.1, workers=workers
    )
    batches = list(loader.batches())
    keys = [key for batch in batches for key in batch.keys]
    assert sorted(keys, key=int) == [str(number) for number in range(11)]
    (noted,) = loader.bad
    assert (noted.key, noted.epoch) == ("bad", 0)
    assert "broken.png" in noted.reason
    assert list(loader.batches(Position(epoch=1)))
    # Going through an epoch again counts nothing twice.
    assert list(loader.batches())
    assert [bad.epoch for bad in loader.bad] == [0, 1]
    strict = PairLoader([bad, *comparisons], processor, batch_pairs=4, workers=workers)
    with pytest.raises(InputError, match="1 of 12 comparisons") as caught:
        list(strict.batches())
    assert (caught.value.code, caught.value.item) == ("data_bad_rows", "bad")


def test_pairs_of_one_key_are_left_out_one_by_one(
    comparisons: list[Comparison], processor: Processor, tmp_path: Path
) -> None:
    # Without keys, and one of them twice, so that it counts for more.
    gone = [replace(one, key="", image_b=tmp_path / "gone.png") for one in comparisons[:4]]
    mixed = [*gone, gone[-1], *(replace(one, key="") for one in comparisons[5:10])]
    with pytest.raises(InputError, match="of 10 comparisons") as caught:
        list(PairLoader(mixed, processor, batch_pairs=5, max_bad_share=0.4).batches())
    assert caught.value.code == "data_bad_rows"
    loader = PairLoader(mixed, processor, batch_pairs=5, max_bad_share=0.5)
    assert sum(len(batch.keys) for batch in loader.batches()) == 5
    assert sorted(bad.index or 0 for bad in loader.bad) == [0, 1, 2, 3, 4]
    assert sum(len(batch.keys) for batch in loader.batches()) == 5
    assert len(loader.bad) == 5


def test_what_was_left_out_before_a_stop_still_counts_after_it(
    comparisons: list[Comparison], processor: Processor, tmp_path: Path
) -> None:
    mixed = [
        replace(one, key="", image_b=tmp_path / "gone.png") if number in (0, 6) else one
        for number, one in enumerate(comparisons[:10])
    ]

    def loader(most: float) -> PairLoader:
        return PairLoader(mixed, processor, batch_pairs=5, shuffle=False, max_bad_share=most)

    stopped = loader(0.1)
    after = next(stopped.batches()).after
    for most, index in ((0.2, 0), (0.2, None)):
        resumed = loader(most)
        # An earlier version did not note which it was.
        resumed.bad = [replace(bad, index=index) for bad in stopped.bad]
        assert [len(batch.keys) for batch in resumed.batches(after)] == [4]
        assert [bad.index for bad in resumed.bad] == [index, 6]
    resumed = loader(0.1)
    resumed.bad = list(stopped.bad)
    with pytest.raises(InputError, match="2 of 10 comparisons"):
        list(resumed.batches(after))


def tokens(batch: PairBatch) -> int:
    return batch.batch.num_tokens


@pytest.mark.parametrize("share", [(0, 1), (1, 2)])
def test_parts_hold_no_more_tokens_than_are_allowed_and_together_are_the_batch(
    comparisons: list[Comparison], processor: Processor, share: tuple[int, int]
) -> None:
    # Prompts of other lengths, so that parts have other numbers of pairs.
    mixed = [
        replace(one, prompt=one.prompt + " and more of it" * (number % 3))
        for number, one in enumerate(comparisons)
    ]
    free = PairLoader(mixed, processor, batch_pairs=4, axes=AXES, seed=3, share=share)
    longest = max(2 * processor.prepare(one.image_a, one.prompt).sample.num_tokens for one in mixed)
    capped = PairLoader(
        mixed, processor, batch_pairs=4, axes=AXES, seed=3, share=share, max_tokens=2 * longest
    )
    cut = 0
    for whole, same_pairs in zip(free.batches(), capped.batches(), strict=True):
        assert same(whole, same_pairs)
        assert whole.parts() == [whole]
        parts = same_pairs.parts()
        cut += len(parts) > 1
        assert all(tokens(part) <= 2 * longest for part in parts)
        # As few as that allows: a part that could have taken the next one's first pair would have.
        for part, following in pairwise(parts):
            first = following.batch.take([0, len(following.keys)])
            assert tokens(part) + first.num_tokens > 2 * longest
        assert tuple(key for part in parts for key in part.keys) == whole.keys
        assert [grey for part in parts for grey in greys(part)[: len(part.keys)]] == greys(whole)[
            : len(whole.keys)
        ]
        assert [grey for part in parts for grey in greys(part)[len(part.keys) :]] == greys(whole)[
            len(whole.keys) :
        ]
        torch.testing.assert_close(
            torch.cat([part.target for part in parts]), whole.target, equal_nan=True
        )
        assert torch.equal(torch.cat([part.weights for part in parts]), whole.weights)
        assert {part.after for part in parts} == {whole.after}
    assert cut


def test_a_pair_that_is_too_long_is_left_out_and_never_cut(
    comparisons: list[Comparison], processor: Processor
) -> None:
    long = replace(comparisons[0], prompt="word " * 40, key="long")
    usual = 2 * processor.prepare(long.image_a, comparisons[10].prompt).sample.num_tokens
    loader = PairLoader(
        [long, *comparisons], processor, batch_pairs=4, max_tokens=usual, max_bad_share=0.1
    )
    keys = [key for batch in loader.batches() for key in batch.keys]
    assert sorted(keys, key=int) == [str(number) for number in range(11)]
    (bad,) = loader.bad
    assert bad.key == "long"
    assert f"and {usual} are allowed at once" in bad.reason
    strict = PairLoader(comparisons, processor, batch_pairs=4, max_tokens=usual // 2)
    with pytest.raises(InputError, match="allowed at once") as caught:
        list(strict.batches())
    assert caught.value.code == "data_bad_rows"


def test_leaving_early_stops_the_workers(
    comparisons: list[Comparison], processor: Processor
) -> None:
    batches = PairLoader(comparisons, processor, batch_pairs=1, workers=2).batches()
    next(batches)
    batches.close()


def test_what_makes_no_sense_is_refused(
    comparisons: list[Comparison], processor: Processor
) -> None:
    for options in (
        {"batch_pairs": 0},
        {"batch_pairs": 1, "workers": -1},
        {"batch_pairs": 1, "max_tokens": 0},
        {"batch_pairs": 1, "max_bad_share": float("nan")},
    ):
        with pytest.raises(ConfigError) as caught:
            PairLoader(comparisons, processor, **options)
        assert caught.value.code == "loader_value"
    with pytest.raises(ConfigError, match="no comparisons"):
        PairLoader([], processor, batch_pairs=1)
    for axes, code in (
        (("overall", "styel"), "axis_unknown"),
        (("style", "style"), "axes_repeated"),
        ((), "axes_repeated"),
    ):
        with pytest.raises(ConfigError) as caught:
            PairLoader(comparisons, processor, batch_pairs=1, axes=axes)
        assert caught.value.code == code
    loader = PairLoader(comparisons, processor, batch_pairs=1)
    for position in (Position(0, 11), Position(-1, 0), Position(0, -1)):
        with pytest.raises(ConfigError, match="no place in an epoch"):
            list(loader.batches(position))


def test_an_epoch_without_a_batch_for_every_process_is_refused(
    comparisons: list[Comparison], processor: Processor
) -> None:
    for index in range(3):
        with pytest.raises(ConfigError, match="do not go round 3 processes") as caught:
            PairLoader(comparisons[:2], processor, batch_pairs=1, share=(index, 3))
        assert caught.value.code == "loader_empty"
    # Whoever measures goes through all of them, though not every process has one.
    parts = [
        PairLoader(comparisons[:2], processor, batch_pairs=1, share=(index, 3), shuffle=False)
        for index in range(3)
    ]
    assert [len(list(part.batches())) for part in parts] == [1, 1, 0]
