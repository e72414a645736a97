"""Teaches a base a character: the loop, and what it is made of."""

__all__: list[str] = []
