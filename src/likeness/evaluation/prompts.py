"""What is asked of a model that is measured: scenes of the maquette's world, and the prompts that say them."""

from collections.abc import Iterable, Mapping
from itertools import product
from types import MappingProxyType

import numpy

from likeness.maquette.world import SCENE_AXES, Scene, scene_tags, trait_tags, with_view
from likeness.seeds import stream

__all__ = ["prompt_of", "unseen_scenes"]

NO_TRAITS: Mapping[str, str] = MappingProxyType({})


def prompt_of(scene: Scene, *, class_words: str, trigger: str = "", traits: Mapping[str, str] = NO_TRAITS) -> str:
    """The scene as a prompt, in the order in which captions are written: trigger, class words, traits, scene.

    Args:
        traits: what is said of the character, trait to value; the traits of a LoRA's own character go unsaid.
    """
    front = [words for words in (trigger, class_words) if words]
    return ", ".join([*front, *trait_tags(traits), *scene_tags(scene)])


def unseen_scenes(count: int, *, seen: Iterable[Scene], seed: int) -> list[Scene]:
    """Scenes that spread evenly over the world, none of which reads like one of `seen` or like another of them.

    Every pair of view and expression comes equally often, as nearly as `count` allows: 36 scenes hold each pair once.
    Framing, pose and background come equally often within each view. All are seen from the middle of their view,
    without jitter, so that what each can show is certain.

    Raises:
        ValueError: where the world has not so many scenes left.
    """
    rng = stream(seed, "unseen scenes")
    pairs = _view_expression_pairs(count, rng)
    rest = [_dealt([view for view, _ in pairs], SCENE_AXES[axis], rng) for axis in ("framing", "pose", "background")]
    taken = {tuple(scene_tags(scene)) for scene in seen}
    scenes = []
    for (view, expression), framing, pose, background in zip(pairs, *rest, strict=True):
        wanted = Scene(framing=framing, expression=expression, pose=pose, background=background)
        scene = _first_free(with_view(wanted, view), taken, rng)
        taken.add(tuple(scene_tags(scene)))
        scenes.append(scene)
    return scenes


def _view_expression_pairs(count: int, rng: numpy.random.Generator) -> list[tuple[str, str]]:
    """Diagonals of the square of views and expressions, so that any first few of them are as balanced as can be."""
    views, expressions = (list(rng.permutation(SCENE_AXES[axis])) for axis in ("view", "expression"))
    diagonals = [
        (str(view), str(expressions[(row + shift) % len(expressions)]))
        for shift in range(len(expressions))
        for row, view in enumerate(views)
    ]
    return [diagonals[index % len(diagonals)] for index in range(count)]


def _dealt(views: list[str], values: tuple[str, ...], rng: numpy.random.Generator) -> list[str]:
    """A value for each place, equally often within each view and, as nearly as that allows, in all."""
    dealt = [""] * len(views)
    first = 0
    for view in SCENE_AXES["view"]:
        places = [index for index, own in enumerate(views) if own == view]
        hand = [values[(first + index) % len(values)] for index in range(len(places))]
        first += len(places)
        for place, value in zip(places, rng.permutation(hand) if hand else (), strict=True):
            dealt[place] = str(value)
    return dealt


def _first_free(wanted: Scene, taken: set[tuple[str, ...]], rng: numpy.random.Generator) -> Scene:
    """`wanted`, or where a scene that reads the same is taken, one with its view and expression that is free."""
    others = list(product(*(SCENE_AXES[axis] for axis in ("framing", "pose", "background"))))
    for index in [None, *rng.permutation(len(others))]:
        scene = wanted
        if index is not None:
            framing, pose, background = others[index]
            scene = Scene(wanted.view, framing, wanted.expression, pose, background, yaw=wanted.yaw)
        if tuple(scene_tags(scene)) not in taken:
            return scene
    raise ValueError(f"no unseen scene is left with view {wanted.view!r} and expression {wanted.expression!r}")
