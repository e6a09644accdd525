"""A hook of mkdocs: what a page links to outside ``docs/`` is not on the site, so its name stays.

In the repository such a link leads to the file, which the tests check.
"""

from __future__ import annotations

import re

_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]*\)")


def on_page_markdown(markdown: str, *, page: object, config: object, files: object) -> str:
    """Return the page with those links replaced by their text."""
    return _OUTSIDE.sub(r"\1", markdown)
