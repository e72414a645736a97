"""What a training step reads, worked out once: latents and text embeddings."""

__all__: list[str] = []
