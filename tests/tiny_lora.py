"""A tiny LoRA, as if trained."""

from pathlib import Path

import torch

from likeness.diffusion.adapter import attach
from likeness.diffusion.blocks import BlockSet
from likeness.diffusion.family import DiffusionModel
from likeness.diffusion.files.lora_files import save_lora
from likeness.diffusion.files.metadata import LoraMetadata


def tiny_lora(model: DiffusionModel, path: Path, *, trigger: str = "") -> Path:
    """The file of an adapter of the middle and the upper blocks, with weights as if trained."""
    adapter = attach(model.adapter_targets(), [BlockSet("mid-upper", 2)])
    adapter.detach()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    notes = LoraMetadata(title="Mira", base_name="tiny", prediction="epsilon", resolution=(32, 32), trigger=trigger)
    save_lora(path, adapter, metadata=notes)
    return path
