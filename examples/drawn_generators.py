"""Draw a generator benchmark whose true ranking is known: five generators, each with its faults.

Every prompt is drawn by all of them, with the same thing wrong, more or less so. How often the
annotators of the drawn world would prefer one to another is known, and with that the strengths that
``librehps leaderboard`` should find; they are printed.

Usage: ``python examples/drawn_generators.py FOLDER [PROMPTS]``, PROMPTS for each category
"""

from __future__ import annotations

import argparse
import json
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

from librehps.data.synthetic import Fault, World
from librehps.data.synthetic.annotators import vote_probability
from librehps.data.synthetic.world import SyntheticPair, SyntheticPicture
from librehps.evaluate.bradley_terry import fit_bradley_terry

# How strong the fault of each is; none for the first.
GENERATORS = {"flawless": 0.0, "careful": 0.15, "fair": 0.35, "hasty": 0.6, "broken": 1.0}
CATEGORIES = {
    "alignment": ("subject", "colour", "count"),
    "coherence": ("melted", "broken", "shuffled"),
    "style": ("noise", "blur", "blocks"),
}


def main(folder: Path, count: int) -> None:
    """Write ``FOLDER/pictures/<generator>/<category>/<number>.png`` and the prompts."""
    world = World(side=128, most_objects=2)
    wins = np.zeros((len(GENERATORS), len(GENERATORS)))
    for place, (category, kinds) in enumerate(CATEGORIES.items()):
        prompts: list[str] = []
        for number in range(count):
            kind = kinds[number % len(kinds)]
            drawn, pair = draw(world, kind, place * count + number)
            prompts.append(pair.prompt)
            for name, picture in drawn.items():
                file = folder / "pictures" / name / category / f"{number:05d}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(world.draw(picture)).save(file)
            quality = [picture.quality("overall") for picture in drawn.values()]
            for one, other in combinations(range(len(quality)), 2):
                won = vote_probability(
                    quality[one] - quality[other], num_objects=pair.scene.num_objects
                )
                wins[one, other] += won
                wins[other, one] += 1.0 - won
        (folder / "prompts").mkdir(exist_ok=True)
        (folder / "prompts" / f"{category}.json").write_text(json.dumps(prompts, indent=1))
    print(f"drew {count * len(CATEGORIES)} prompts for {len(GENERATORS)} generators into {folder}")
    strengths = fit_bradley_terry(wins)
    for place, name in enumerate(GENERATORS):
        share = wins[place].sum() / (wins[place] + wins[:, place]).sum()
        print(f"{name:9} true strength {strengths[place]:+.3f}, would win {share:.3f}")


def draw(world: World, kind: str, number: int) -> tuple[dict[str, SyntheticPicture], SyntheticPair]:
    """Return the picture of each generator, and a pair that says what was asked for."""
    found: dict[str, SyntheticPicture] = {}
    strengths = {name: strength for name, strength in GENERATORS.items() if strength}
    # One number is one scene: the pairs differ by how wrong one of the two pictures is.
    pairs = {
        name: world.pair("test", number, fault=Fault(kind, strength), shared=True)
        for name, strength in strengths.items()
    }
    pair = next(iter(pairs.values()))
    for name in GENERATORS:
        shown = pairs.get(name, pair)
        wrong, right = (shown.a, shown.b) if shown.a.faults else (shown.b, shown.a)
        found[name] = wrong if name in pairs else right
    return found, pair


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="gets a folder for each generator")
    parser.add_argument("prompts", type=int, nargs="?", default=60)
    options = parser.parse_args()
    main(options.folder, options.prompts)
