"""Stable Diffusion 1.x, of any width: Stable Diffusion 1.5 and the embedded maquette are read by this one class.

Shapes: B batch, C H W picture, D h w latent, L tokens, E width, K chunks.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from likeness.diffusion.family import Conditioning
from likeness.diffusion.folders import load_part, read_table, vocabulary_files, weights_file
from likeness.diffusion.schedule import Schedule

__all__ = ["StableDiffusion15"]

WEIGHTS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
LONGEST_WORD_LIST = 20  # tokens that are looked back over for a comma to break a long prompt at; as A1111 does


class StableDiffusion15:
    """A frozen Stable Diffusion 1.x base.

    The VAE is always float32, since pictures are encoded once and float16 overflows in it; denoiser and text encoder
    are in `dtype`.
    """

    name = "sd15"
    base_version = "sd_v1"  # as kohya-ss names it in a file
    architecture = "stable-diffusion-v1"  # as ModelSpec names it

    def __init__(
        self,
        unet: UNet2DConditionModel,
        vae: AutoencoderKL,
        *,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        schedule: Schedule,
        files: Sequence[Path] = (),
    ) -> None:
        for part in (unet, vae, text_encoder):
            part.eval().requires_grad_(False)
        self.denoiser, self.vae, self.tokenizer, self.schedule = unet, vae, tokenizer, schedule
        self.text_encoders: tuple[nn.Module, ...] = (text_encoder,)
        self.device, self.dtype = unet.device, unet.dtype
        self.pixels_per_latent = 2 ** (len(vae.config["block_out_channels"]) - 1)
        self.latent_channels: int = unet.config["in_channels"]
        side = unet.config["sample_size"] * self.pixels_per_latent
        self.native_size = (side, side)
        self._scaling: float = vae.config["scaling_factor"]
        self._files = tuple(files)

    @classmethod
    def load(cls, path: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Self:
        """The base in a folder that diffusers wrote; only safetensors are read, and only from that folder.

        Raises:
            CheckpointError: where a part is missing, is a pickle, or is not a sound file.
        """
        chosen = {part: weights_file(path / part, stem) for part, stem in WEIGHTS.items()}
        unet = load_part(UNet2DConditionModel, path / "unet", chosen["unet"], dtype)
        vae = load_part(AutoencoderKL, path / "vae", chosen["vae"], torch.float32)
        text_encoder = load_part(CLIPTextModel, path / "text_encoder", chosen["text_encoder"], dtype)
        vocabulary = vocabulary_files(path / "tokenizer")
        tokenizer = CLIPTokenizer.from_pretrained(path / "tokenizer", local_files_only=True)
        scheduler = path / "scheduler" / "scheduler_config.json"
        schedule = Schedule.from_config(read_table(scheduler), device=device)
        configs = [path / part / "config.json" for part in WEIGHTS]
        return cls(
            unet.to(device),
            vae.to(device),
            text_encoder=text_encoder.to(device),
            tokenizer=tokenizer,
            schedule=schedule,
            files=[*chosen.values(), *configs, *vocabulary, scheduler],
        )

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over all files that decide what the base draws, each by its place in the folder."""
        digest = hashlib.sha256()
        for file in sorted(self._files):
            with file.open("rb") as opened:
                digest.update(f"{file.parent.name}/{file.name}:".encode())
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        return digest.hexdigest()

    def encode_posterior(self, pixels_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the scaled latents, float32, (B, D, h, w) each, of pictures in [-1, 1]."""
        posterior = self.vae.encode(pixels_BCHW.to(self.device, torch.float32), return_dict=False)[0]
        return posterior.mean * self._scaling, posterior.std * self._scaling

    def encode_images(self, pixels_BCHW: Tensor) -> Tensor:
        """Scaled latents of pictures in [-1, 1]: the mean of the posterior, float32."""
        return self.encode_posterior(pixels_BCHW)[0]

    def decode_latents(self, latents_BDhw: Tensor) -> Tensor:
        """Pictures, float32, in about [-1, 1] (not clamped), of scaled latents."""
        latents: Any = latents_BDhw.to(self.device, torch.float32) / self._scaling
        return self.vae.decode(latents, return_dict=False)[0]

    def count_chunks(self, prompt: str) -> int:
        """How many windows of the text encoder a prompt fills; at least 1."""
        return len(self._chunks_of(prompt))

    def encode_prompts(self, prompts: Sequence[str], *, chunks: int | None = None) -> Conditioning:
        """The last hidden states of the text encoder, (B, 77 * K, E).

        A prompt of more than 75 tokens takes several windows, each with its own start, end and padding, laid end to
        end: as A1111 and ComfyUI do, so that a LoRA sees in training what it will be asked in use. Shorter prompts of
        the same call are filled up with empty windows.

        Args:
            prompts: one per row.
            chunks: windows per row; by default what the longest of `prompts` needs.
        """
        rows = [self._chunks_of(prompt) for prompt in prompts]
        count = max(map(len, rows)) if chunks is None else chunks
        assert max(map(len, rows)) <= count, "a prompt does not fit; ask count_chunks"
        ids = [self._window(chunk) for row in rows for chunk in row + [[]] * (count - len(row))]
        hidden = self.text_encoders[0](torch.tensor(ids, device=self.device)).last_hidden_state
        return Conditioning(hidden.reshape(len(rows), -1, hidden.shape[-1]))

    def predict(
        self, noisy_BDhw: Tensor, t_B: Tensor, conditioning: Conditioning, sizes_B6: Tensor | None = None
    ) -> Tensor:
        """The denoiser's answer, in its own dtype. `sizes_B6` is not used: this family is not told of sizes."""
        noisy_BDhw, tokens_BLE = noisy_BDhw.to(self.dtype), conditioning.tokens_BLE.to(self.dtype)
        return self.denoiser(noisy_BDhw, t_B, encoder_hidden_states=tokens_BLE, return_dict=False)[0]

    def adapter_targets(self) -> dict[str, nn.Module]:
        """Attention, feed-forward, projection and residual layers of the denoiser, then those of the text encoder.

        The names are kohya-ss's. They stand in files that people keep, so they are spelled out here where a library's
        own names have moved: transformers 5.6 dropped `text_model` from the path of every layer.
        """
        return {**_unet_targets(self.denoiser), **_text_targets(self.text_encoders[0])}

    def _chunks_of(self, prompt: str) -> list[list[int]]:
        """Token ids of a prompt in windows of 75 at most, broken behind a comma where there is one near the end."""
        told = self.tokenizer(prompt, add_special_tokens=False, verbose=False)
        ids = cast("list[int]", told["input_ids"])
        room, comma = self.tokenizer.model_max_length - 2, self.tokenizer.convert_tokens_to_ids(",</w>")
        chunks = []
        while len(ids) > room:
            commas = (at for at in range(room, room - LONGEST_WORD_LIST, -1) if ids[at - 1] == comma)
            cut = next(commas, room)
            chunks.append(ids[:cut])
            ids = ids[cut:]
        return [*chunks, ids]

    def _window(self, ids: list[int]) -> list[int]:
        """A chunk as the text encoder reads it: start, tokens, end, padding."""
        tokens: Any = self.tokenizer
        padding = [tokens.pad_token_id] * (tokens.model_max_length - 2 - len(ids))
        return [tokens.bos_token_id, *ids, tokens.eos_token_id, *padding]


def _unet_targets(unet: nn.Module) -> dict[str, nn.Module]:
    parts = (".attentions.", ".resnets.", ".downsamplers.", ".upsamplers.")
    return {
        "lora_unet_" + path.replace(".", "_"): module
        for path, module in unet.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and any(part in path for part in parts)
    }


def _text_targets(text_encoder: nn.Module) -> dict[str, nn.Module]:
    names = [f"self_attn.{letter}_proj" for letter in ("q", "k", "v", "out")] + ["mlp.fc1", "mlp.fc2"]
    nested = "text_model.encoder.layers" in dict(text_encoder.named_modules())
    layers = text_encoder.get_submodule("text_model.encoder.layers" if nested else "encoder.layers")
    return {
        f"lora_te_text_model_encoder_layers_{index}_{name.replace('.', '_')}": layer.get_submodule(name)
        for index, layer in layers.named_children()
        for name in names
    }
