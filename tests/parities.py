"""One adapter file in many programs: how far each one's answer is from ours. For tests, and for the table of them.

Shapes: B batch, D h w latent, L tokens, E width.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy
import torch
from client_formulas import FORMULAS
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from peft import PeftModel
from tiny import tiny_base
from torch import Tensor

from likeness.diffusion import load_model
from likeness.diffusion.adapter import attach
from likeness.diffusion.blocks import BlockSet
from likeness.diffusion.files.compat import compat_of
from likeness.diffusion.files.conversion import read_lora
from likeness.diffusion.files.exports import to_peft
from likeness.diffusion.files.lora_files import adapter_from, load_lora, save_lora
from likeness.diffusion.files.metadata import LoraMetadata
from likeness.diffusion.sampling import sample

PREDICTIONS = {
    "sd15": ("epsilon", "v"),
    "sd2": ("epsilon", "v"),
    "sdxl": ("epsilon", "v", "v, zero terminal SNR"),
}
"""What the bases of each family predict."""

VARIANTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "LoRA": ("lora", ("*_attn[12]_to_*", "*_ff_net_*", "*_proj_in", "lora_te*")),
    "LoCon": (
        "lora",
        ("*_attn[12]_to_*", "*_resnets_*", "*_in_layers_2", "*_emb_layers_1", "*samplers_0_conv", "*_0_op"),
    ),
    "rsLoRA": ("rslora", ("*_attn[12]_to_*", "lora_te*")),
    "DoRA": ("dora", ("*_attn[12]_to_*", "*_in_layers_2", "*_resnets_*_conv*")),
    "LoHa": ("loha", ("*_attn[12]_to_*", "*_in_layers_2", "*_resnets_*_conv*")),
    "LoKr": ("lokr", ("*_attn[12]_to_*", "*_in_layers_2", "*_resnets_*_conv*")),
}
"""Our variant and the layers that are adapted, by what the table calls them."""

VERSIONS = {"sd15": "sd_v1", "sd2": "sd_v2", "sdxl": "sdxl_base_v1-0"}
PIPELINES = {"sd15": StableDiffusionPipeline, "sd2": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline}
PROMPT, SIDE, STEPS, GUIDANCE, SEED = "a blue fox", 32, 4, 3.0, 7


@dataclass
class Case:
    """A tiny base, and an adapter file for it, as if trained."""

    family: str
    folder: Path
    model: Any
    file: Path

    @cached_property
    def changes(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Of each layer of the file: its weight in the base, and what our adapter adds to it."""
        targets = self.model.adapter_targets()
        adapter = adapter_from(load_lora(self.file), targets)
        adapter.detach()
        return {
            name: (targets[name].get_parameter("weight").detach(), layer.delta_weight().detach())
            for name, layer in adapter.layers.items()
        }

    @cached_property
    def layers(self) -> Any:
        """What the file holds of each layer."""
        return read_lora(self.file).layers()

    @cached_property
    def verdicts(self) -> dict[str, Any]:
        """What we say that each program takes of the file."""
        return {one.client: one for one in compat_of(self.file)}


def built(root: Path, family: str, prediction: str) -> Any:
    """A tiny base of a family, loaded; and its folder."""
    told: Any = "epsilon" if prediction == "epsilon" else "v_prediction"
    folder = tiny_base(root / f"{family} {prediction}", family, prediction=told, zero_terminal="zero" in prediction)
    return folder, load_model(folder, device="cpu", dtype="float32")


def case_of(folder: Path, model: Any, family: str, variant: str) -> Case:
    """The base with a file of one variant beside it."""
    kind, patterns = VARIANTS[variant]
    targets = model.adapter_targets()
    sets = [BlockSet(one, 3, 2.0) for one in patterns if any(fnmatchcase(name, one) for name in targets)]
    adapter = attach(targets, sets, variant=kind)
    adapter.detach()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.06)
    file = folder / f"{variant}.safetensors"
    about = LoraMetadata(title="x", base_name="tiny", prediction=model.schedule.prediction, resolution=(SIDE, SIDE))
    save_lora(file, adapter, metadata=replace(about, base_version=VERSIONS[family]), dtype=torch.float32)
    return Case(family, folder, model, file)


@contextmanager
def beside(case: Case) -> Iterator[None]:
    """Our adapter of the file is beside the base."""
    adapter = adapter_from(load_lora(case.file), case.model.adapter_targets())
    try:
        yield
    finally:
        adapter.detach()


def picture(case: Case) -> numpy.ndarray:
    """Our picture: (H, W, 3), in [0, 255]."""
    asked: Any = {"width": SIDE, "height": SIDE, "steps": STEPS, "guidance": GUIDANCE}
    return sample(case.model, [PROMPT], seeds=[SEED], **asked)[0].astype(float)


def with_diffusers(case: Case) -> tuple[numpy.ndarray, Any]:
    """diffusers' picture with the file loaded by `load_lora_weights`, and its pipeline."""
    pipeline = cast("Any", PIPELINES[case.family].from_pretrained(case.folder, local_files_only=True))
    pipeline.set_progress_bar_config(disable=True)
    if pipeline.scheduler.config.rescale_betas_zero_snr:  # our sampler begins at the last step then, as Lin et al. do
        pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, timestep_spacing="trailing")
    pipeline.load_lora_weights(str(case.file.parent), weight_name=case.file.name, local_files_only=True)
    made = pipeline(
        PROMPT,
        negative_prompt="",
        generator=torch.Generator().manual_seed(SEED),
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        width=SIDE,
        height=SIDE,
        output_type="np",
    )
    return (made.images[0] * 255).round(), pipeline


def answer(unet: Any, case: Case, tokens_BLE: Tensor, pooled_BE: Tensor | None) -> Tensor:
    """A denoiser's answer to a fixed question, told these tokens."""
    noisy = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    more: dict[str, Any] = {}
    if case.family == "sdxl":
        sizes = torch.tensor([[SIDE, SIDE, 0, 0, SIDE, SIDE]]).float()
        more = {"added_cond_kwargs": {"text_embeds": pooled_BE, "time_ids": sizes}}
    with torch.no_grad():
        return unet(noisy, torch.tensor([400]), encoder_hidden_states=tokens_BLE, return_dict=False, **more)[0]


def ours(case: Case) -> tuple[Tensor, Tensor, Any]:
    """Our answer with the adapter, how much it moves the base's, and what text said to it."""
    with torch.no_grad():
        plain = case.model.encode_prompts([PROMPT])
        before = answer(case.model.denoiser, case, plain.tokens_BLE, plain.pooled_BE)
        with beside(case):
            told = case.model.encode_prompts([PROMPT])
            after = answer(case.model.denoiser, case, told.tokens_BLE, told.pooled_BE)
    return after, (after - before).abs().max(), told


def digits(theirs: Tensor, exact: Tensor, moved: Tensor) -> int:
    """To how many digits of what the adapter adds two answers are equal."""
    error = ((theirs - exact).abs().max() / moved).item()
    return min(7, max(0, int(-math.log10(max(error, 1e-9)))))  # float32 holds 7


def peft_digits(case: Case) -> int:
    """Of peft's answer, its adapters in the UNet and in the text encoders, to ours.

    What is asked is a copy of the base, as peft changes what it wraps.
    """
    exact, moved, _ = ours(case)
    out = case.file.with_suffix("")
    to_peft(read_lora(case.file), out)
    model = deepcopy(case.model)
    names = {"unet": model.denoiser, "text_encoder": model.text_encoders[0], "text_encoder_2": model.text_encoders[-1]}
    for name, network in names.items():
        if (out / name).is_dir():
            renamed_for(network, out / name)
            PeftModel.from_pretrained(network, str(out / name))
    with torch.no_grad():
        told = model.encode_prompts([PROMPT])
    return digits(answer(model.denoiser, case, told.tokens_BLE, told.pooled_BE), exact, moved)


def renamed_for(network: Any, folder: Path) -> None:
    """peft finds layers by their path in the very network: of transformers since 5.6 without "text_model" in it."""
    if hasattr(network, "text_model") or "text" not in folder.name:
        return
    from safetensors.torch import load_file, save_file

    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    config.write_text(config.read_text().replace("text_model.", ""))
    save_file({name.replace("text_model.", ""): tensor for name, tensor in load_file(weights).items()}, weights)


def formula_digits(case: Case, client: str) -> int:
    """Of the weights that a program's formula gives, to those that ours does, over all layers."""
    worst = 7
    for name, parts in case.layers.items():
        weight, change = case.changes[name]
        theirs = FORMULAS[client](weight.clone(), parts)
        worst = min(worst, digits(theirs, weight + change, change.abs().max()))
    return worst


def verdict(case: Case, client: str) -> Any:
    """What we say that a program takes of the file."""
    return case.verdicts[client]
