"""Named random streams: the same seed and names give the same numbers, whatever else a program drew before."""

import hashlib
import json

import numpy

__all__ = ["seed_of", "stream"]


def seed_of(seed: int, *names: str | int) -> int:
    """A seed of its own for what `names` say, in [0, 2**63): it fits torch, numpy and a JSON number that is signed.

    Distinct names give independent seeds: ("a", "b") and ("ab",), 1 and "1" differ.
    """
    parts = json.dumps([seed, *names]).encode()
    return int.from_bytes(hashlib.sha256(parts).digest()[:8], "big") >> 1


def stream(seed: int, *names: str | int) -> numpy.random.Generator:
    """A random generator of its own for what `names` say: `stream(seed, "caption dropout", picture.id, epoch)`."""
    return numpy.random.default_rng(seed_of(seed, *names))
