"""The one page that holds all that a person can set, a section per stage."""

import datetime
from typing import Annotated, Literal

from pydantic import Field

from likeness.recipe.values import Blocks, Device, FileName, Section, Sha256, Tag
from likeness.toml import plain_toml

__all__ = [
    "AdapterSet",
    "BaseConfig",
    "CaptionConfig",
    "CharacterConfig",
    "Consent",
    "EncodeConfig",
    "PerceptionConfig",
    "Recipe",
    "SampleConfig",
    "TrainConfig",
]


class Consent(Section):
    """A real person's consent, on record. What is missing is told by `check_may_train`."""

    who: str = Field(default="", description="The person's name, or the name they are to be known by.")
    basis: str = Field(default="", description="On what basis: 'signed release', 'own likeness' and the like.")
    scope: str = Field(default="", description="What they agreed to: uses, audience, until when.")
    date: datetime.date | None = Field(
        default=None, examples=[datetime.date(2026, 1, 31)], description="The day they agreed."
    )
    evidence_sha256: Sha256 = Field(
        default="", description="sha256 of the signed paper or recording; the file itself stays with you."
    )
    adult: bool = Field(default=False, description="true: the person was an adult on that day.")


class CharacterConfig(Section):
    """Who is learnt."""

    name: FileName = Field(
        min_length=1,
        max_length=80,
        description="The character's name; it is the title that the LoRA's file carries.",
    )
    trigger: Tag = Field(
        min_length=1,
        max_length=80,
        description="The word that calls the character up in a prompt; best one that the base does not know.",
    )
    class_words: str = Field(
        default="",
        description="What the character is, in the base's words: '1girl', 'fox'.",
    )
    kind: Literal["original", "fictional", "real-person"] = Field(
        description="A real person needs [character.consent], or nothing is trained.",
    )
    consent: Consent | None = Field(default=None, description="A real person's consent, on record.")


class BaseConfig(Section):
    """What the character is taught to."""

    path: str = Field(
        default="maquette",
        min_length=1,
        description="A diffusers folder, or 'maquette': the small base that comes with likeness.",
    )
    device: Device = Field(
        default="auto", description="'cpu', 'cuda', 'cuda:1' or 'mps'; auto takes a GPU where there is one."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto",
        description="Number format of the base's weights; auto: float32 on a CPU, half of that on a GPU.",
    )


class PerceptionConfig(Section):
    """Who looks at pictures."""

    reader: str = Field(
        default="none",
        min_length=1,
        description="'none': captions are your own; 'maquette' reads drawings of the maquette's world, and all else "
        "wrongly; or package.module:Class for your own.",
    )


class CaptionConfig(Section):
    """What is said about each picture."""

    source: Literal["auto", "files", "reader"] = Field(
        default="auto",
        description="files: NAME.txt beside NAME.png. reader: what the reader sees. auto: the file where there is one.",
    )
    traits: Literal["bind", "say"] = Field(
        default="bind",
        description="bind: what belongs to the character goes unsaid, so that the trigger takes it. say: it is said.",
    )
    say: tuple[str, ...] = Field(
        default=(), description="Traits that are written all the same, because they must stay free: ['garment']."
    )
    add: tuple[Tag, ...] = Field(default=(), description="Tags that every caption gets.")
    drop: tuple[Tag, ...] = Field(default=(), description="Tags that no caption gets, whoever wrote them.")
    min_confidence: float = Field(
        default=0.5, ge=0, le=1, description="What the reader is less sure of goes unsaid; 0.5: more likely than not."
    )


class EncodeConfig(Section):
    """How pictures and captions become what a step reads."""

    size: int = Field(
        default=0, ge=0, le=2048, multiple_of=8, description="Side of the square trained on, px; 0: the base's own."
    )
    variants: int = Field(
        default=8,
        ge=1,
        le=64,
        description="Caption variants per picture. 8 differ enough for 100 passes and cost 8 text embeddings each.",
    )
    shuffle: bool = Field(
        default=True, description="Tags in another order in each variant, so that order means nothing."
    )
    tag_dropout: float = Field(
        default=0.1, ge=0, lt=1, description="Share of tags left out of a variant; 0.1 leaves nine of ten words bound."
    )
    trigger_first: bool = Field(default=True, description="The trigger and class words stay in front of shuffled tags.")
    caption_dropout: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Share of examples without their caption: half see no words, half the trigger and class words "
        "alone. 0.05 as kohya's character presets have it.",
    )


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


class SampleConfig(Section):
    """What `likeness sample` draws."""

    prompts: tuple[str, ...] = Field(
        default=(),
        description="What to draw. None: the trigger and class words alone.",
    )
    negative: str = Field(default="", description="What not to draw.")
    steps: int = Field(default=25, ge=1, le=1000, description="Steps of the sampler; past 25, dpm++ changes little.")
    guidance: float = Field(
        default=5.0,
        ge=0,
        le=30,
        description="How hard the prompt pulls; 1 is off. 5: a LoRA burns sooner than its base.",
    )
    sampler: Literal["dpm++", "dpm++-karras", "ddim", "euler", "euler-a"] = Field(
        default="dpm++", description="dpm++ needs the fewest steps; ddim is the one that papers compare with."
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of a prompt's first picture; the next has seed + 1.")
    count: int = Field(default=4, ge=1, le=1000, description="Pictures per prompt; 4 show what varies and what holds.")
    width: int = Field(default=0, ge=0, le=4096, multiple_of=8, description="px; 0: the base's own.")
    height: int = Field(default=0, ge=0, le=4096, multiple_of=8, description="px; 0: the base's own.")
    weight: float = Field(default=1.0, ge=-4, le=4, description="Strength of the LoRA; 0 switches it off.")


class Recipe(Section):
    """All that a person can set for one character."""

    seed: int = Field(default=0, ge=0, lt=2**63, description="Where all randomness starts: same seed, same LoRA.")
    character: CharacterConfig = Field(description="Who is learnt.")
    base: BaseConfig = Field(default=BaseConfig(), description="What the character is taught to.")
    perception: PerceptionConfig = Field(default=PerceptionConfig(), description="Who looks at pictures.")
    caption: CaptionConfig = Field(default=CaptionConfig(), description="What is said about each picture.")
    encode: EncodeConfig = Field(
        default=EncodeConfig(), description="How pictures and captions are stored for training."
    )
    train: TrainConfig = Field(default=TrainConfig(), description="How the adapter is trained.")
    sample: SampleConfig = Field(default=SampleConfig(), description="What `likeness sample` draws.")

    def to_toml(self) -> str:
        """The whole recipe as run, every default written out: what `load_recipe` reads back as the same recipe."""
        return plain_toml(self)
