"""The recipe's section on training, the longest one."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from likeness.recipe.values import Blocks, Section

__all__ = ["AdapterSet", "TrainConfig"]

Share = Annotated[float, Field(ge=0, lt=1)]


class AdapterSet(Section):
    """Blocks that are adapted alike."""

    blocks: Blocks = Field(description="Name of a set of blocks, or a list of patterns of layer names.")
    rank: int = Field(ge=1, le=256, description="LoRA rank of these blocks.")
    alpha: float = Field(
        default_factory=lambda data: float(data.get("rank", 1)),
        gt=0,
        le=256,
        description="LoRA alpha of these blocks; as rank.",
    )
    learning_rate: float = Field(
        default=0.0, ge=0, le=1, description="Peak step size of these blocks; 0: that of all others."
    )


class TrainConfig(Section):
    """How the adapter is trained, with 20 to 50 pictures. What the preset of the base says goes before a default."""

    steps: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="Steps of the optimizer. 1000 of 4 show each of 40 pictures 100 times.",
    )
    batch: int = Field(
        default=4, ge=1, le=256, description="Pictures at once. 4 is the usual size for 512 px on an 8 GB card."
    )
    accumulate: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Batches to a step of the optimizer: 2 of 2 learn as 1 of 4, in less memory.",
    )
    microbatch: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Pictures of a batch that are computed at once; a step still learns from all of them. 0: the whole "
        "batch, and where memory runs out half of it, and so on.",
    )
    checkpointing: Literal["auto", "blocks", "none"] = Field(
        default="auto",
        description="Whether blocks of the base are computed anew for backward, which takes less memory and a third "
        "more time and gives the same result. auto: where memory runs out; blocks: from the first step; none: never.",
    )
    optimizer: Literal["adamw", "adamw8bit", "prodigy", "adafactor", "schedule-free"] = Field(
        default="adamw",
        description="adamw: what all settings here were found with. adamw8bit: a quarter of its memory (bitsandbytes). "
        "prodigy: finds its own step size. adafactor: next to no memory. schedule-free: needs no schedule.",
    )
    learning_rate: float = Field(
        default_factory=lambda data: 1.0 if data.get("optimizer") == "prodigy" else 1e-4,
        gt=0,
        le=10,
        description="Peak step size of the adapter. 1e-4 is safe at alpha = rank; 3e-4 is fast. With prodigy a factor "
        "on what it finds: 1.",
    )
    text_encoder_rates: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        default=(),
        max_length=2,
        description="Peak step size of each text encoder's layers, which are adapted with the rank and alpha of the "
        "others; 0: that one stays as it is. [5e-5] for Stable Diffusion 1.5, [1e-5, 0] for SDXL are usual; none is "
        "safest.",
    )
    weight_decay: float = Field(
        default=0.01, ge=0, lt=1, description="Pull to zero; 0.01 is AdamW's own default, and is small."
    )
    betas: tuple[Share, Share] = Field(
        default=(0.9, 0.99),
        description="The optimizer's memory. 0.99 looks back 100 steps; 0.999 is for runs ten times as long.",
    )
    warmup: float = Field(
        default=0.05, ge=0, lt=1, description="Share of steps over which the step size rises from 0; 5% is usual."
    )
    schedule: Literal["auto", "cosine", "cosine-restarts", "linear", "constant"] = Field(
        default="auto",
        description="Step size after the warm-up: falling to 0 as a cosine (once, or thrice anew) or straight; or "
        "constant. auto: cosine, and constant for schedule-free.",
    )
    up_rate_ratio: float = Field(
        default=1.0,
        ge=1,
        le=64,
        description="LoRA+: how many times faster the half that begins at zero learns; 16 in the paper, 1 is off.",
    )
    weighting: Literal["min-snr", "debiased", "none"] = Field(
        default="min-snr",
        description="Which noise levels count: min-snr holds back the slightest noise, debiased favours what a picture "
        "is seen by, none counts each alike.",
    )
    min_snr_gamma: float = Field(
        default=5.0, gt=0, le=100, description="SNR at which the weight of min-snr is capped: 5 in the paper."
    )
    weight_floor: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Least weight of a step where the base predicts v and ends in pure noise: there the others fall to "
        "0, and what decides light and colour would go untaught.",
    )
    loss: Literal["mse", "huber"] = Field(
        default="mse", description="mse: the square of the error. huber: large errors count less, for noisy sets."
    )
    huber_c: float = Field(
        default=0.1, gt=0, le=10, description="The error from which on huber grows straight; 0.1 as kohya-ss has it."
    )
    timesteps: Literal["uniform", "logit-normal", "high-noise", "low-noise"] = Field(
        default="uniform",
        description="How often each noise level is drawn: alike, the middle most (style and content), the high ones "
        "(composition) or the low ones (texture).",
    )
    timestep_range: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = Field(
        default=(0, 0), description="First and last timestep that is trained at; [0, 0]: all."
    )
    noise_offset: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Noise that shifts a whole channel, so that dark and light pictures can be learnt: 0.0357 in "
        "Stability's own; 0 is off. Never for a base that ends in pure noise.",
    )
    multires_noise: int = Field(
        default=0, ge=0, le=10, description="Coarser layers of noise on top, 6 is usual; 0 is off. As noise_offset."
    )
    multires_discount: float = Field(
        default=0.3, gt=0, lt=1, description="How much weaker each coarser layer is than the one before."
    )
    input_perturbation: float = Field(
        default=0.0, ge=0, le=1, description="More noise than is to be found, so that errors do not add up; 0.1 or 0."
    )
    ema_decay: float = Field(
        default=0.0, ge=0, lt=1, description="Decay of the adapter's running average, 0.99 say; 0 is off."
    )
    clip_norm: float = Field(
        default=1.0, ge=0, description="Longest gradient; 1 as all trainers have it, a guard against spikes; 0 is off."
    )
    variant: Literal["lora", "rslora", "dora", "loha", "lokr"] = Field(
        default="lora",
        description="How a layer is changed. lora: every tool loads it. rslora: stronger at high ranks, loads alike. "
        "dora: direction and length apart. loha, lokr: more with fewer numbers; diffusers does not load them.",
    )
    init: Literal["kaiming", "gaussian"] = Field(
        default="kaiming", description="How the half that is not zero begins: as in the paper's code, or as in peft's."
    )
    dropout: Share = Field(
        default=0.0, description="Share of a layer's inputs that the adapter does without; 0 is off."
    )
    rank_dropout: Share = Field(default=0.0, description="Share of its ranks that it does without, per picture.")
    layer_dropout: Share = Field(default=0.0, description="Share of its layers that it does without, per step.")
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
    balance: Literal["views", "none"] = Field(
        default="views",
        description="views: a round shows pictures of rare views twice or thrice, as far as the reader told views; "
        "none: each picture once.",
    )
    outside: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="How much counts what lies outside of a mask (encode.masks). At 0 backgrounds are left to chance.",
    )
    class_share: float = Field(
        default=0.3,
        ge=0,
        le=0.5,
        description="Share of the batches that are of the character's class, where encode.class_pictures asks for any; "
        "0.5 in the paper, which has no other guard.",
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
    early_stop: int = Field(
        default=0,
        ge=0,
        le=100,
        description="Checkpoints in a row, none of them better than one before, after which training ends; each is "
        "looked at as [evaluate] says. 3 is patient; 0: train to the end.",
    )
    sample_every: int = Field(default=0, ge=0, description="Steps between sample strips; 0: none.")
    sample_prompts: tuple[str, ...] = Field(default=(), description="The prompts of a sample strip, a picture each.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto",
        description="Number format of the computation; the adapter itself is kept in float32. float16 is for cards "
        "without bfloat16.",
    )
    save_dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="float16", description="Number format of the adapter's file; float16 is what all tools load."
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        for is_wrong, words in _contradictions(self):
            if is_wrong:
                raise ValueError(words)
        return self

    def drops_out(self) -> bool:
        """Whether anything of the adapter is left out at random."""
        return bool(self.dropout or self.rank_dropout or self.layer_dropout)

    def adapter_sets(self) -> tuple[AdapterSet, ...]:
        """What learns, and with what rank: `sets`, or the one set that `blocks`, `rank` and `alpha` say."""
        return self.sets or (AdapterSet(blocks=self.blocks, rank=self.rank, alpha=self.alpha),)


def _contradictions(train: TrainConfig) -> list[tuple[Any, str]]:
    """What cannot be together whatever the base is, each with what to do."""
    prodigy, free = train.optimizer == "prodigy", train.optimizer == "schedule-free"
    several = {some.learning_rate for some in train.sets if some.learning_rate} or any(train.text_encoder_rates)
    first, last = train.timestep_range
    return [
        (free and train.schedule not in ("auto", "constant"), "schedule-free needs none: leave schedule at 'auto'"),
        (free and train.ema_decay, "schedule-free averages by itself: set ema_decay = 0"),
        (prodigy and several, "prodigy finds one step size for all: leave out rates of their own, or use adamw"),
        (prodigy and train.up_rate_ratio != 1, "prodigy finds one step size for all: set up_rate_ratio = 1"),
        (
            train.up_rate_ratio != 1 and train.variant in ("loha", "lokr"),
            f"up_rate_ratio is LoRA's, and a {train.variant} has no such halves: set it to 1",
        ),
        (
            train.rank_dropout and train.variant in ("loha", "lokr"),
            f"rank_dropout is LoRA's, and the ranks of a {train.variant} cannot be left out: set it to 0",
        ),
        (train.noise_offset and train.multires_noise, "noise_offset and multires_noise do the same: use one of them"),
        (train.early_stop and not train.save_every, "early_stop looks at checkpoints: set save_every too"),
        (first > last, f"timestep_range = [{first}, {last}] ends before it begins"),
    ]
