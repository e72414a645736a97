"""The embedded world: characters drawn by code, and the weights of a small Stable Diffusion that knows them."""

from likeness.maquette.draw import draw
from likeness.maquette.world import Identity, Scene, character

__all__ = ["Identity", "Scene", "character", "draw"]
