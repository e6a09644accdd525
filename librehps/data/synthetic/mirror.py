"""The other way round: a pair whose wrong picture is right, asked about with its own prompt.

A picture that shows a blue star where a red one was asked for is the right picture of a blue star.
So two pictures and two prompts make two pairs, in which every picture is once the better one:
nobody can tell which from the pictures alone, or from the prompts.
"""

from __future__ import annotations

from dataclasses import replace

from librehps.data.synthetic.layout import Layout
from librehps.data.synthetic.scene import Group, Scene
from librehps.errors import ConfigError

__all__ = ["shown_scene"]

_INVERSE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


def shown_scene(scene: Scene, layout: Layout, kind: str) -> Scene | None:
    """Return the scene that a picture shows whose fault of alignment has strength 1.

    Args:
        scene: What was asked for.
        layout: A picture of it with that fault, at any strength.
        kind: The fault, see `FAULTS`.

    Returns:
        The scene, or ``None`` if nothing that a prompt can say describes it.
    """
    try:
        if kind == "relation":
            return replace(scene, relation=_INVERSE[scene.relation or ""])
        if kind == "count":
            return _counted(scene, layout)
        others = {placed.look: placed.other for placed in layout.objects}
        groups = tuple(
            replace(group, look=others[group.look] or group.look) for group in scene.groups
        )
        return replace(scene, groups=groups)
    except ConfigError:
        return None  # two groups of one shape and colour, too many objects, or none


def _counted(scene: Scene, layout: Layout) -> Scene:
    """Count what is on its way in, and do not count what is on its way out."""
    more = len(layout.objects) > scene.num_objects
    there = [placed.look for placed in layout.objects if more or placed.opacity == 1.0]
    counts = [(group.look, there.count(group.look)) for group in scene.groups]
    groups = tuple(Group(look, count) for look, count in counts if count)
    single = [group.count for group in groups] == [1, 1]
    return Scene(groups, scene.relation if single else None)
