"""Says in numbers, with intervals, how well a LoRA holds its character, and shows it on a page."""

__all__: list[str] = []
