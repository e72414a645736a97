"""The pictures of one character: which there are, and what each is used for."""

__all__: list[str] = []
