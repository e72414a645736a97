"""LoRA files of any trainer: what they are, read, written, converted, merged, resized, and who would load them."""

__all__: list[str] = []
