from __future__ import annotations

import re

import numpy as np

from librehps.data.synthetic.scene import COLOURS, SHAPES, Group, Look, Scene, sample_scene
from librehps.data.synthetic.wording import describe


def prompts(scene: Scene, count: int = 200) -> set[str]:
    rng = np.random.default_rng(0)
    return {describe(scene, rng) for _ in range(count)}


def test_articles_and_plurals_are_right() -> None:
    rng = np.random.default_rng(1)
    for _ in range(500):
        prompt = describe(sample_scene(rng, split="train"), rng)
        assert prompt.isascii()
        for article, word in re.findall(r"\b(an?) (\w+)", prompt):
            assert (article == "an") == (word[0] in "aeiou"), prompt
        for number, words in re.findall(r"\b(two|three|four|[234]|pair of) ([^,]*)", prompt):
            first = re.split(r" and | on | to ", words)[0].split()
            assert any(word.endswith("s") for word in first), (number, prompt)
        assert not re.search(r"crosss|\bboxs|  ", prompt), prompt


def test_every_wording_says_everything() -> None:
    scene = Scene(
        (Group(Look("cross", "orange", "dotted", "small"), 3), Group(Look("ring", "black")))
    )
    found = prompts(scene)
    assert len(found) > 50
    for prompt in found:
        assert re.search(r"\b(three|3) (small|little|tiny) ", prompt)
        assert re.search(r"(dotted orange|orange dotted) crosses\b", prompt)
        assert "a black ring" in prompt


def test_a_relation_keeps_its_order() -> None:
    scene = Scene((Group(Look("star", "red")), Group(Look("heart", "blue"))), "above")
    for prompt in prompts(scene):
        assert re.search(r"a red star (above|over|higher than) a blue heart", prompt), prompt


def test_one_object_lies_so_to_the_middle() -> None:
    for prompt in prompts(Scene((Group(Look("star", "red")),), "below")):
        assert re.search(r"a red star (below|under|lower than) the middle", prompt), prompt


def test_there_is_and_there_are() -> None:
    one = Scene((Group(Look("star", "red")),))
    two = Scene((Group(Look("star", "red"), 2),))
    related = Scene((Group(Look("star", "red")), Group(Look("ring", "blue"))), "below")
    assert not any("there are" in prompt for prompt in prompts(one) | prompts(related))
    assert any("there is a red star" in prompt for prompt in prompts(one))
    assert any("there are two red stars" in prompt for prompt in prompts(two))
    said = [prompt for prompt in prompts(two) if "there is" in prompt]
    assert said
    assert all("there is a pair of red stars" in prompt for prompt in said)


def test_no_meaning_hides_in_filler_words() -> None:
    named = set(SHAPES) | set(COLOURS)
    scene = Scene((Group(Look("star", "red")),))
    for prompt in prompts(scene):
        words = set(re.findall(r"\w+", prompt))
        assert words & named == {"star", "red"}
