"""The recipe's section on training, the longest one."""

from typing import Annotated, Literal

from pydantic import Field

from likeness.recipe.values import Blocks, Section

__all__ = ["AdapterSet", "TrainConfig"]


class AdapterSet(Section):
    """Blocks that share a rank."""

    blocks: Blocks = Field(description="Name of a set of blocks, or a list of patterns of layer names.")
    rank: int = Field(ge=1, le=256, description="LoRA rank of these blocks.")
    alpha: float = Field(
        default_factory=lambda data: float(data.get("rank", 1)),
        gt=0,
        le=256,
        description="LoRA alpha of these blocks; as rank.",
    )


class TrainConfig(Section):
    """How the adapter is trained. The defaults are for Stable Diffusion 1.5 and 20 to 50 pictures."""

    steps: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="Steps of the optimizer. 1000 of 4 show each of 40 pictures 100 times.",
    )
    batch: int = Field(
        default=4, ge=1, le=256, description="Pictures per step. 4 is the usual size for 512 px on an 8 GB card."
    )
    learning_rate: float = Field(
        default=1e-4,
        gt=0,
        le=1,
        description="Peak AdamW step size of the adapter. 1e-4 is safe at alpha = rank; 3e-4 is fast.",
    )
    weight_decay: float = Field(
        default=0.01, ge=0, lt=1, description="AdamW's pull to zero; 0.01 is its own default, and is small."
    )
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        default=(0.9, 0.99),
        description="AdamW's memory. 0.99 looks back 100 steps; 0.999 is for runs ten times as long.",
    )
    warmup: float = Field(
        default=0.05, ge=0, lt=1, description="Share of steps over which the step size rises from 0; 5% is usual."
    )
    schedule: Literal["cosine", "constant"] = Field(
        default="cosine", description="Step size after the warm-up: falling to 0 as a cosine, or constant."
    )
    prediction: Literal["auto", "epsilon", "v"] = Field(
        default="auto", description="What the base predicts; auto: as its own configuration says."
    )
    min_snr_gamma: float = Field(
        default=5.0, ge=0, le=100, description="SNR at which the loss weight is capped: 5 in the paper; 0 is off."
    )
    ema_decay: float = Field(
        default=0.0, ge=0, lt=1, description="Decay of the adapter's running average, 0.99 say; 0 is off."
    )
    clip_norm: float = Field(
        default=1.0, ge=0, description="Longest gradient; 1 as all trainers have it, a guard against spikes; 0 is off."
    )
    blocks: Blocks = Field(
        default="attention", description="Which blocks learn: a set by name, or a list of patterns of layer names."
    )
    rank: int = Field(
        default=16,
        ge=1,
        le=256,
        description="LoRA rank. File size grows linearly with it; 16 holds a character's details.",
    )
    alpha: float = Field(
        default_factory=lambda data: float(data.get("rank", 1)),
        gt=0,
        le=256,
        description="LoRA alpha: the adapter acts with alpha / rank. Left out, it is the rank, so that this is 1.",
    )
    sets: tuple[AdapterSet, ...] = Field(
        default=(), description="Several sets, each its own rank; instead of blocks, rank and alpha above."
    )
    preserve: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        description="Share of each batch that is given over to keeping the base's own answers without the trigger; 0: "
        "none.",
    )
    preserve_prompts: tuple[str, ...] = Field(
        default=(),
        description="Prompts to which half of these answers are given: what else the base is to draw as before, other "
        "characters say. The other half goes to the captions without the trigger.",
    )
    save_every: int = Field(
        default=250, ge=0, description="Steps between checkpoints, 250: four of 1000 to choose from; 0: only the last."
    )
    sample_every: int = Field(default=0, ge=0, description="Steps between sample strips; 0: none.")
    sample_prompts: tuple[str, ...] = Field(default=(), description="The prompts of a sample strip, a picture each.")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="Number format of the computation; the adapter itself is kept in float32."
    )
    save_dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="float16", description="Number format of the adapter's file; float16 is what all tools load."
    )

    def adapter_sets(self) -> tuple[AdapterSet, ...]:
        """What learns, and with what rank: `sets`, or the one set that `blocks`, `rank` and `alpha` say."""
        return self.sets or (AdapterSet(blocks=self.blocks, rank=self.rank, alpha=self.alpha),)
