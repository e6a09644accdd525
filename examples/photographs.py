"""Write a few real photographs to a folder: the sample pictures that scikit-image ships.

Usage: ``python examples/photographs.py FOLDER``
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image
from skimage import data

# All of them are inside scikit-image's wheel: nothing is downloaded.
PHOTOGRAPHS = {"astronaut": data.astronaut, "cat": data.chelsea, "coffee": data.coffee}


def main(folder: Path) -> None:
    """Write each photograph as ``FOLDER/<name>.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, load in PHOTOGRAPHS.items():
        Image.fromarray(load()).save(folder / f"{name}.png")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/photographs.py FOLDER")
    main(Path(sys.argv[1]))
