"""kohya's flags, one by one: what each is called here, why it is not needed, or what is lost without it.

Source: kohya-ss/sd-scripts, `library/train_util.py`, `train_network.py`, `library/config_util.py`,
`docs/config_README-en.md`; KohakuBlueleaf/LyCORIS, `lycoris/kohya.py`.
"""

from collections.abc import Mapping
from typing import Any

__all__ = [
    "ALGORITHMS",
    "BY_HAND",
    "CONVERTED",
    "LEFT_OUT",
    "LYCORIS_PRESETS",
    "NOT_NEEDED",
    "OPTIMIZERS",
    "SAME",
    "SAMPLERS",
    "SCHEDULES",
    "every_flag",
]

SAME: Mapping[str, str] = {
    "pretrained_model_name_or_path": "base.path",
    "vae": "base.vae",
    "seed": "seed",
    "train_batch_size": "train.batch",
    "gradient_accumulation_steps": "train.accumulate",
    "max_grad_norm": "train.clip_norm",
    "noise_offset": "train.noise_offset",
    "multires_noise_iterations": "train.multires_noise",
    "multires_noise_discount": "train.multires_discount",
    "ip_noise_gamma": "train.input_perturbation",
    "huber_c": "train.huber_c",
    "network_dropout": "train.dropout",
    "save_every_n_steps": "train.save_every",
    "sample_every_n_steps": "train.sample_every",
    "caption_dropout_rate": "encode.caption_dropout",
    "caption_tag_dropout_rate": "encode.tag_dropout",
}
"""The same thing by another name."""

BY_HAND: Mapping[str, str] = {
    "flip_aug": "mirrored pictures: set encode.mirror, and only for a character without a left and a right",
    "masked_loss": "masks: set encode.masks",
    "alpha_mask": "masks: set encode.masks",
    "conditioning_data_dir": "masks: set encode.masks",
    "is_reg": "class pictures: set train.class_share",
    "reg_data_dir": "class pictures: set train.class_share",
    "prior_loss_weight": "class pictures: set train.class_share",
}
"""There is something like it here, which is not taken over: a person decides."""

CACHED = "latents and text embeddings are always kept in cache/, several caption variants of each picture"
BUCKETS = "how pictures are fitted is curation's and [encode]'s"
FAST = "attention is torch's own (sdpa), on every device"
MEMORY = "there is nothing to set for that here"
TEXTS = "captions of any length are read whole, in windows of 75 tokens"
FILES = "a run's files lie in runs/ of the character's folder, as .safetensors"
LOGS = "each run leaves events.jsonl; nothing is sent anywhere"
RESUME = "each run keeps its state, and `likeness train` goes on with one that was stopped"
PICTURES = "pictures belong into images/: likeness add FOLDER SOURCE"
TIMES = "counts into the steps"
FOUND_OUT = "read off the base"

NOT_NEEDED: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("cache_latents", "cache_latents_to_disk", "vae_batch_size", "cache_info", "skip_cache_check"),
            *("cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk", "weighted_captions"),
        ),
        CACHED,
    ),
    **dict.fromkeys(
        ("enable_bucket", "bucket_no_upscale", "bucket_reso_steps", "min_bucket_reso", "max_bucket_reso"), BUCKETS
    ),
    **dict.fromkeys(("xformers", "sdpa", "mem_eff_attn", "diffusers_xformers"), FAST),
    "gradient_checkpointing": "it changes memory and time, and no result",
    **dict.fromkeys(("lowram", "highvram", "fp8_base", "fused_backward_pass"), MEMORY),
    **dict.fromkeys(("max_data_loader_n_workers", "persistent_data_loader_workers"), "no worker processes are used"),
    "max_token_length": TEXTS,
    **dict.fromkeys(
        ("output_dir", "save_model_as", "no_metadata", "training_comment", "metadata_title", "output_config"), FILES
    ),
    **dict.fromkeys(
        (
            *("logging_dir", "log_with", "log_prefix", "log_tracker_name", "log_tracker_config", "log_config"),
            *("wandb_api_key", "wandb_run_name", "console_log_level", "console_log_file", "console_log_simple"),
        ),
        LOGS,
    ),
    **dict.fromkeys(
        (
            *("save_state", "save_state_on_train_end", "save_last_n_epochs_state", "save_last_n_steps_state", "resume"),
            *("skip_until_initial_step", "initial_epoch", "initial_step"),
        ),
        RESUME,
    ),
    **dict.fromkeys(("save_last_n_epochs", "save_last_n_steps", "save_n_epoch_ratio"), "every checkpoint is kept"),
    **dict.fromkeys(("train_data_dir", "image_dir", "in_json", "metadata_file"), PICTURES),
    **dict.fromkeys(("num_repeats", "dataset_repeats"), TIMES),
    "v2": FOUND_OUT,
    "no_half_vae": "the VAE is never in float16, in which that of SDXL overflows",
    "tokenizer_cache_dir": "base.tokenizer, or the hub's cache",
    "caption_separator": "a comma, as here",
    "disable_mmap_load_safetensors": "the base's file is read a tensor at a time",
    "noise_offset_type": "says which of noise_offset and multires_noise is meant",
    "debug_dataset": "likeness curate and audit show the set",
}
"""What likeness does by itself, or has no use for."""

HUB = "nothing is uploaded: publish the finished file yourself"

LEFT_OUT: Mapping[str, str] = {
    "scale_v_pred_loss_like_noise_pred": "it takes weight from the steps that decide light and colour; the v form of "
    "min-snr with train.weight_floor stands for it (docs/recipes.md)",
    "v_pred_like_loss": "no such term here",
    "adaptive_noise_scale": "noise_offset is the same for each picture",
    "noise_offset_random_strength": "noise_offset is the same at each step",
    "ip_noise_gamma_random_strength": "input_perturbation is the same at each step",
    "huber_schedule": "huber_c is the same at each noise level",
    "huber_scale": "losses are not scaled",
    "scale_weight_norms": "norms are not held down; train.weight_decay pulls gently",
    "network_weights": "training starts from nothing; `likeness merge` lays the result over another LoRA",
    "dim_from_weights": "training starts from nothing",
    "base_weights": "merge it into the base first: likeness merge",
    "base_weights_multiplier": "merge it into the base first: likeness merge",
    "network_train_text_encoder_only": "the denoiser always learns",
    "color_aug": "colours are part of the likeness",
    "face_crop_aug_range": "crops are chosen by curation",
    "random_crop": "crops are chosen by curation",
    "random_crop_padding_percent": "crops are chosen by curation",
    "skip_image_resolution": "curate.screen.smallest says what is too small",
    "resize_interpolation": "pictures are always resized with Lanczos",
    "token_warmup_min": "all tags are learnt from the first step",
    "token_warmup_step": "all tags are learnt from the first step",
    "caption_dropout_every_n_epochs": "encode.caption_dropout drops at random",
    "keep_tokens_separator": "the trigger and class words are what stays in front",
    "secondary_separator": "a caption has commas only",
    "enable_wildcard": "caption variants are made by shuffling and leaving out",
    "caption_prefix": "the trigger and class words stand in front of every caption; more: caption.add",
    "lr_scheduler_args": "the schedules here have nothing to set",
    "lr_scheduler_power": "the schedules here have nothing to set",
    "lr_scheduler_timescale": "the schedules here have nothing to set",
    "lr_scheduler_min_lr_ratio": "schedules fall to 0, or stay",
    "lr_decay_steps": "a schedule falls over the whole run",
    "sample_prompts": "a file: write its prompts into train.sample_prompts",
    "sample_at_first": "the base without its LoRA draws with sample.weight = 0",
    **dict.fromkeys(("torch_compile", "dynamo_backend"), "nothing is compiled"),
    **dict.fromkeys(
        ("ddp_timeout", "ddp_gradient_as_bucket_view", "ddp_static_graph", "deepspeed"), "a run has one device"
    ),
    **dict.fromkeys(
        ("metadata_author", "metadata_description", "metadata_license", "metadata_tags"),
        "the file says character, trigger, base and settings; write what else there is to say beside it",
    ),
    **dict.fromkeys(
        (
            *("huggingface_repo_id", "huggingface_repo_type", "huggingface_path_in_repo", "huggingface_token"),
            *("huggingface_repo_visibility", "save_state_to_huggingface", "resume_from_huggingface", "async_upload"),
        ),
        HUB,
    ),
    **dict.fromkeys(
        ("validation_split", "validation_seed", "validate_every_n_steps", "validate_every_n_epochs"),
        "curate.held_out keeps pictures for measuring",
    ),
}
"""What acts in kohya's scripts and has no counterpart, and why."""

CONVERTED = (
    *("network_module", "network_args", "network_dim", "network_alpha", "network_train_unet_only", "output_name"),
    *("learning_rate", "unet_lr", "text_encoder_lr", "text_encoder_lr1", "text_encoder_lr2", "clip_skip", "resolution"),
    *("optimizer_type", "optimizer_args", "use_8bit_adam", "use_lion_optimizer", "lr_scheduler", "lr_scheduler_type"),
    *("lr_warmup_steps", "lr_scheduler_num_cycles", "max_train_steps", "max_train_epochs", "epoch", "batch_size"),
    *("save_every_n_epochs", "sample_every_n_epochs", "min_snr_gamma", "debiased_estimation_loss", "loss_type"),
    *("v_parameterization", "zero_terminal_snr", "min_timestep", "max_timestep", "mixed_precision", "full_fp16"),
    *("full_bf16", "save_precision", "sample_sampler", "shuffle_caption", "keep_tokens", "caption_extension"),
    *("caption_extention", "caption_suffix", "class_tokens", "config_file", "dataset_config"),
)
"""What is more than another name: `likeness.recipe.kohya` says how each is turned into ours."""

OPTIMIZERS: Mapping[str, str] = {
    **dict.fromkeys(("adamw", "torch.optim.adamw"), "adamw"),
    **dict.fromkeys(("adamw8bit", "pagedadamw8bit", "bitsandbytes.optim.adamw8bit"), "adamw8bit"),
    **dict.fromkeys(("prodigy", "prodigyopt.prodigy"), "prodigy"),
    **dict.fromkeys(("adafactor", "transformers.optimization.adafactor"), "adafactor"),
    **dict.fromkeys(("adamwschedulefree", "schedulefree.adamwschedulefree"), "schedule-free"),
}
"""By kohya's name in small letters."""

SCHEDULES: Mapping[str, str] = {
    "constant": "constant",
    "constant_with_warmup": "constant",
    "cosine": "cosine",
    "cosine_with_restarts": "cosine-restarts",
    "linear": "linear",
}

SAMPLERS: Mapping[str, str] = {
    "ddim": "ddim",
    "dpmsolver": "dpm++",
    "dpmsolver++": "dpm++",
    "euler": "euler",
    "k_euler": "euler",
    "euler_a": "euler-a",
    "k_euler_a": "euler-a",
}

ALGORITHMS: Mapping[str, str] = {"lora": "lora", "locon": "lora", "loha": "loha", "lokr": "lokr"}
"""LyCORIS's `algo`, as variants."""

LYCORIS_PRESETS: Mapping[str, Any] = {
    "full": "all",
    "full-lin": "transformer",
    "attn-mlp": "attention-ff",
    "attn-only": "attention",
    "unet-transformer-only": "transformer",
    "unet-convblock-only": "convolutions",
    "unet-only": "all",
}
"""LyCORIS's presets, as block sets."""


def every_flag() -> list[str]:
    """All names that are known, in no order that means anything."""
    return [*SAME, *BY_HAND, *NOT_NEEDED, *LEFT_OUT, *CONVERTED]
