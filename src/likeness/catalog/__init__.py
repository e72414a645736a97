"""The catalog: a chosen LoRA becomes a release that every tool shows rightly, and releases become a site."""

__all__: list[str] = []
