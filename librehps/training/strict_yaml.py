"""YAML as people mean it: no key twice, and numbers that look like numbers."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["read_strict_yaml"]

_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)\Z")
_FLOAT = re.compile(
    r"([-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z"
)
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
# Taken as texts, which a folder called 2024-10-01 is.
_DATES = "tag:yaml.org,2002:timestamp"


def read_strict_yaml(text: str) -> Any:
    """Read a document of plain data.

    As ``yaml.safe_load``, but a key that is there twice is an error, ``1e-4`` is a number, and
    ``010`` and ``1:30``, which YAML 1.1 takes for 8 and 90, and dates are texts.

    Raises:
        yaml.YAMLError: It is no YAML, has a key twice, or something in it is not what its tag says.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """With tables of its own: those of the class are shared by everybody in the process."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            """Refuse a key that is there twice; it would silently replace the first."""
            seen: set[Any] = set()
            for key, _ in node.value:
                if key.tag == "tag:yaml.org,2002:merge" or not isinstance(key, yaml.ScalarNode):
                    continue
                name = self.construct_object(key)
                if name in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {name!r} is there twice", key.start_mark
                    )
                seen.add(name)
            return super().construct_mapping(node, deep=deep)

    # Which kinds of values to try, by the first letter.
    Loader.yaml_implicit_resolvers = {
        letter: [(tag, form) for tag, form in kinds if tag not in (*_NUMBERS, _DATES)]
        for letter, kinds in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    for tag, form in zip(_NUMBERS, (_INT, _FLOAT), strict=True):
        Loader.add_implicit_resolver(tag, form, list("-+.0123456789"))
    try:
        return yaml.load(text, Loader=Loader)
    except yaml.YAMLError:
        raise
    except Exception as error:
        # A tag such as !!int lets the reader take whatever stands there for one.
        raise yaml.YAMLError(f"a value is not what its tag says: {error}") from error
