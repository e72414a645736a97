"""What is said about each picture in training."""

__all__: list[str] = []
