"""``python -m librehps`` is the ``librehps`` command."""

from __future__ import annotations

from librehps.cli.main import main

if __name__ == "__main__":
    main()
