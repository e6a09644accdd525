"""Draw one scene six times: as it was asked for, and with something wrong.

The pictures are of the world that the model in the package was trained on. Their names say what is
wrong.

Usage: ``python examples/drawn_scenes.py FOLDER``
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from librehps.data.synthetic import Fault, World

NAMES = {
    "colour": "wrong-colour",
    "shape": "wrong-shape",
    "broken": "broken",
    "blur": "blurred",
    "noise": "noisy",
}
NUMBER = 5


def main(folder: Path) -> None:
    """Write each picture as ``FOLDER/<what is wrong>.png``."""
    world = World(side=128, most_objects=1)
    folder.mkdir(parents=True, exist_ok=True)
    # One number is one scene: the pairs differ by what is wrong alone.
    pairs = {
        name: world.pair("test", NUMBER, fault=Fault(kind), shared=True)
        for kind, name in NAMES.items()
    }
    for name, pair in pairs.items():
        wrong, right = (pair.a, pair.b) if pair.a.faults else (pair.b, pair.a)
        Image.fromarray(world.draw(wrong)).save(folder / f"{name}.png")
        Image.fromarray(world.draw(right)).save(folder / "as-asked.png")
    print(f"drew six pictures of {pairs['broken'].prompt!r} into {folder}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="gets the pictures")
    main(parser.parse_args().folder)
