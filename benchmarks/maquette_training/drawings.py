"""The drawings that the maquette learns from: pictures as uint8 arrays, and the truth of each as label indices."""

from __future__ import annotations

from multiprocessing import Pool
from pathlib import Path

import numpy as np

from likeness.maquette.draw import draw
from likeness.maquette.world import (
    SCENE_AXES,
    TRAITS,
    Identity,
    Scene,
    random_identity,
    random_scene,
    visible_axes,
    visible_traits,
)
from likeness.seeds import stream

AXES: dict[str, tuple[str, ...]] = {**TRAITS, **SCENE_AXES}  # everything that can be read off a picture
CHUNK = 500
SIZE = 64


def labels_of(identity: Identity, scene: Scene) -> np.ndarray:
    """One class index per name of `AXES`, int64; -1 where the picture does not show it."""
    seen = set(visible_traits(identity, scene))
    labels = [TRAITS[name].index(identity[name]) if name in seen else -1 for name in TRAITS]
    shown = set(visible_axes(scene))
    labels += [values.index(getattr(scene, axis)) if axis in shown else -1 for axis, values in SCENE_AXES.items()]
    return np.array(labels)


def truth_of(index: int, *, seed: int, seen_only: bool) -> tuple[Identity, Scene]:
    """Who drawing `index` shows and how; drawings 2k and 2k + 1 show the same character."""
    identity = random_identity(stream(seed, "identity", index // 2), seen_only=seen_only)
    return identity, random_scene(stream(seed, "scene", index))


def _draw_chunk(job: tuple[int, int, bool]) -> tuple[np.ndarray, np.ndarray]:
    start, seed, seen_only = job
    truths = [truth_of(i, seed=seed, seen_only=seen_only) for i in range(start, start + CHUNK)]
    return np.stack([draw(*truth, size=SIZE) for truth in truths]), np.stack([labels_of(*truth) for truth in truths])


def make_drawings(
    folder: Path, name: str, count: int, *, seed: int, seen_only: bool, workers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (count, 64, 64, 3) uint8 and labels (count, axes) int64, read from disk where they were drawn before."""
    pictures_path, labels_path = folder / f"{name}-pictures.npy", folder / f"{name}-labels.npy"
    if not labels_path.exists():
        jobs = [(start, seed, seen_only) for start in range(0, count, CHUNK)]
        pictures = np.lib.format.open_memmap(pictures_path, "w+", np.uint8, (count, SIZE, SIZE, 3))
        labels = np.empty((count, len(AXES)), np.int64)
        with Pool(workers) as pool:
            for (start, *_), (some, truth) in zip(jobs, pool.imap(_draw_chunk, jobs), strict=True):
                pictures[start : start + CHUNK], labels[start : start + CHUNK] = some, truth
        pictures.flush()
        np.save(labels_path, labels)
    return np.load(pictures_path, mmap_mode="r"), np.load(labels_path)
