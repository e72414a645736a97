"""The one page that holds all that a person can set, a section per stage."""

import datetime
from typing import Literal

from pydantic import Field

from likeness.recipe.captions import CaptionConfig
from likeness.recipe.curate import CurateConfig
from likeness.recipe.evaluate import EvaluateConfig
from likeness.recipe.publish import PublishConfig
from likeness.recipe.train import TrainConfig
from likeness.recipe.values import Device, FileName, Section, Sha256, Tag
from likeness.toml import plain_toml

__all__ = [
    "BaseConfig",
    "CharacterConfig",
    "Consent",
    "EncodeConfig",
    "PerceptionConfig",
    "Recipe",
    "SampleConfig",
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
    publishing: bool = Field(default=False, description="true: they agreed to its being published, too.")
    expires: datetime.date | None = Field(
        default=None, examples=[datetime.date(2030, 1, 31)], description="The last day on which it holds."
    )
    revoked: datetime.date | None = Field(
        default=None,
        examples=[datetime.date(2027, 1, 31)],
        description="The day they took it back: nothing is trained or published any more.",
    )


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
    kind: Literal["original", "fictional", "real-person", "unknown"] = Field(
        description="A real person needs [character.consent], or nothing is trained; what is unknown is not published.",
    )
    consent: Consent | None = Field(default=None, description="A real person's consent, on record.")


class BaseConfig(Section):
    """What the character is taught to."""

    path: str = Field(
        default="maquette",
        min_length=1,
        description="A diffusers folder or one .safetensors file of Stable Diffusion 1.x, 2.x or XL; or 'maquette': "
        "the small base that comes with likeness.",
    )
    device: Device = Field(
        default="auto", description="'cpu', 'cuda', 'cuda:1' or 'mps'; auto takes a GPU where there is one."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto",
        description="Number format of the base's weights; auto: float32 on a CPU, half of that on a GPU.",
    )
    quantise: Literal["none", "int8", "fp8"] = Field(
        default="none",
        description="Linear layers of the denoiser in a byte a weight: half the memory of bfloat16, and slower. int8 "
        "is nearer to the base than fp8. What a LoRA learns on one fits the whole base.",
    )
    prediction: Literal["auto", "epsilon", "v"] = Field(
        default="auto",
        description="What the base predicts, where it does not say so itself; auto: as it says, else epsilon. Before "
        "training its own answers are looked at.",
    )
    zero_terminal: Literal["auto", True, False] = Field(
        default="auto",
        description="true: the base was made with zero terminal SNR, its last step pure noise; auto: as it says.",
    )
    clip_skip: int = Field(
        default=1,
        ge=1,
        le=12,
        description="Layer of the text encoder that is read, from the end; 2 for most anime checkpoints of Stable "
        "Diffusion 1.x. SDXL has its own.",
    )
    vae: str = Field(
        default="", description="A VAE in place of the base's own: a .safetensors file, or a diffusers folder."
    )
    vae_dtype: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="Number format of the VAE; bfloat16 is half the memory. float16 overflows in it.",
    )
    tokenizer: str = Field(
        default="",
        description="A folder with vocab.json and merges.txt, for a single file; none: the one that the hub's cache "
        "holds.",
    )


class PerceptionConfig(Section):
    """Who looks at pictures."""

    reader: str = Field(
        default="plain",
        min_length=1,
        description="'plain' sees how pictures look and leaves views, faces and captions to you; 'maquette' knows "
        "drawings of the maquette's world only; 'photo' and 'anime' need models, as `likeness models` lists them; or "
        "package.module:Class for your own.",
    )


class EncodeConfig(Section):
    """How pictures and captions become what a step reads."""

    size: int = Field(
        default=0, ge=0, le=2048, multiple_of=8, description="Side of the square trained on, px; 0: the base's own."
    )
    shape: Literal["buckets", "square"] = Field(
        default="buckets",
        description="buckets: each picture in the shape nearest to its own, of no more pixels than the "
        "square; square: what reaches over it is cut off. Neither cuts into the subject where it need not.",
    )
    mirror: bool = Field(
        default=False,
        description="true: learnt from mirror images too, but for captions that say left or right. Only for characters "
        "that are the same on both sides, and fewer than 20 pictures: others are refused where the reader can tell.",
    )
    masks: Literal["none", "files", "subject", "face"] = Field(
        default="none",
        description="What of a picture counts in full (train.outside: the rest). files: what is white in masks/, a PNG "
        "of the picture's name; subject, face: the box that the reader saw.",
    )
    class_pictures: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Pictures of the character's class in class/, against its traits becoming those of all others; "
        "what is missing there is drawn by the base. 100 to 200 are usual; 0: none.",
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
    guidance_rescale: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="How much of the contrast that guidance adds is taken back; 0.7 suits zero-terminal bases, 0: off.",
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
    curate: CurateConfig = Field(default=CurateConfig(), description="Which pictures are good enough, and chosen.")
    caption: CaptionConfig = Field(default=CaptionConfig(), description="What is said about each picture.")
    encode: EncodeConfig = Field(
        default=EncodeConfig(), description="How pictures and captions are stored for training."
    )
    train: TrainConfig = Field(default=TrainConfig(), description="How the adapter is trained.")
    evaluate: EvaluateConfig = Field(
        default=EvaluateConfig(), description="How adapters are measured, and which checkpoint is chosen."
    )
    sample: SampleConfig = Field(default=SampleConfig(), description="What `likeness sample` draws.")
    publish: PublishConfig = Field(
        default=PublishConfig(), description="What a release says, and under which terms it is given on."
    )

    def to_toml(self) -> str:
        """The whole recipe as run, every default written out: what `load_recipe` reads back as the same recipe."""
        return plain_toml(self)
