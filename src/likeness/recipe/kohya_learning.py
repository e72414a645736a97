"""kohya's terms for how it is learnt, put into ours."""

from typing import Any

from likeness.recipe.kohya import Desk, number, numbers, pairs
from likeness.recipe.kohya_flags import OPTIMIZERS, SCHEDULES

__all__ = ["convert_objective", "convert_optimizer", "convert_rates", "convert_schedule"]

TEXT_RATES = ("text_encoder_lr", "text_encoder_lr1", "text_encoder_lr2")


def convert_optimizer(desk: Desk) -> bool:
    """The optimizer; whether its step size means the same here."""
    flag = next((name for name in ("optimizer_type", "use_8bit_adam", "use_lion_optimizer") if desk.value(name)), "")
    short = {"use_8bit_adam": "AdamW8bit", "use_lion_optimizer": "Lion", "": "AdamW"}
    named = short.get(flag) or str(desk.value("optimizer_type"))
    ours, low = OPTIMIZERS.get(named.lower()), named.lower().rpartition(".")[2]
    if flag and ours:
        why = "" if ours == named else f"{named}, by our name"
        desk.take(flag, "train.optimizer", ours, why)
    elif flag and low.startswith("dadapt"):
        desk.take(flag, "train.optimizer", "prodigy", "of the same kind, and its heir")
    elif flag:
        desk.leave(flag, f"{named} is not here: adamw learns instead, and its step size is left to the preset")
    _optimizer_arguments(desk)
    return bool(ours or not flag or low.startswith("dadapt"))


def _optimizer_arguments(desk: Desk) -> None:
    given, optimizer = pairs(desk.value("optimizer_args")), desk.get("train.optimizer", "adamw")
    if optimizer == "adafactor" and given.get("relative_step", "True") != "False":
        desk.leave("optimizer_args", "kohya's Adafactor then finds its own step; here it goes by train.learning_rate",
                   of=f"relative_step={given.pop('relative_step', 'True')}")  # fmt: skip
    for name, value in given.items():
        said = f"{name}={value}"
        if name == "weight_decay":
            desk.take("optimizer_args", "train.weight_decay", number(value), of=said)
        elif name == "betas":
            desk.take("optimizer_args", "train.betas", numbers(value)[:2], of=said)
        elif name == "d_coef":
            desk.leave("optimizer_args", f"train.learning_rate = {value} does nearly the same for prodigy", of=said)
        elif (name, value) in AS_HERE:
            desk.leave("optimizer_args", "as here", "not needed", of=said)
        else:
            desk.leave("optimizer_args", "fixed here, as the optimizer's authors advise", of=said)
    if "betas" not in given and optimizer in ("adamw", "adamw8bit", "prodigy"):
        desk.take("optimizer_args betas", "train.betas", [0.9, 0.999], "the optimizer's own")


AS_HERE = {
    *(("decouple", "True"), ("use_bias_correction", "True"), ("safeguard_warmup", "True"), ("eps", "1e-8")),
    *(("scale_parameter", "False"), ("relative_step", "False"), ("warmup_init", "False")),
}


def convert_rates(desk: Desk, *, is_known: bool) -> None:
    """Step sizes of the denoiser and of the text encoders; `is_known`: of an optimizer that is here too."""
    flag = "unet_lr" if desk.value("unet_lr") is not None else "learning_rate"
    rate = desk.figure(flag)
    if rate is None:
        desk.leave("learning_rate", "kohya's 2e-6 teaches a LoRA next to nothing: left to the preset")
    elif is_known:
        desk.take(flag, "train.learning_rate", rate)
    else:
        desk.leave(flag, "it is another optimizer's")
    if flag == "unet_lr" and desk.entries("learning_rate"):
        desk.leave("learning_rate", "unet_lr and text_encoder_lr say it", "not needed")
    if is_known:
        _text_encoders(desk, rate)
        return
    for name in TEXT_RATES:
        if desk.entries(name):
            desk.leave(name, "it is another optimizer's")


def _text_encoders(desk: Desk, rate: float | None) -> None:
    """kohya trains text encoders unless told otherwise, at the rate of the rest unless told another."""
    flags = [name for name in TEXT_RATES if desk.entries(name)]
    off = next((n for n in ("network_train_unet_only", "cache_text_encoder_outputs") if desk.value(n)), "")
    flag = off or (flags[0] if flags else "text_encoder_lr")
    said = (
        desk.value("text_encoder_lr") if flags[:1] == ["text_encoder_lr"] else [desk.value(name) or 0 for name in flags]
    )
    rates = [number(str(part)) for part in (said if isinstance(said, list) and said else [said or 0])]
    if not flags:
        rates = [rate or 0.0]
    if desk.is_sdxl and len(rates) == 1:
        rates *= 2
    if not flags and not off and rate is None:
        desk.leave(flag, "kohya trains text encoders too, at 2e-6: next to nothing. They stay as they are")
    elif off or not any(rates):
        desk.take(flag, "train.text_encoder_rates", [], "text encoders stay as they are")
    elif desk.get("train.optimizer", "") == "prodigy":
        desk.leave(flag, "prodigy finds one step size for all: text encoders stay as they are")
    else:
        why = "" if flags else "kohya trains text encoders too, unless network_train_unet_only is set"
        desk.take(
            flag, "train.text_encoder_rates", rates[: 2 if desk.is_sdxl else 1], why or "one rate per text encoder"
        )
    for name in flags:
        if name != flag:
            desk.leave(name, f"{flag} says it", "not needed")


def convert_schedule(desk: Desk, steps: int | None) -> None:
    """The schedule and its warm-up, which is a share of `steps` here."""
    named = str(desk.value("lr_scheduler") or "constant")
    custom, why = desk.value("lr_scheduler_type"), "" if desk.entries("lr_scheduler") else "kohya's default"
    free = desk.get("train.optimizer", "") == "schedule-free"
    if custom:
        desk.take("lr_scheduler_type", "train.schedule", "cosine", f"{custom} is not here: the nearest")
        desk.leave("lr_scheduler", "lr_scheduler_type goes before it", "not needed")
    elif named in SCHEDULES and not free:
        desk.take("lr_scheduler", "train.schedule", SCHEDULES[named], why)
    elif free:
        desk.leave("lr_scheduler", "schedule-free needs none", "not needed")
    else:
        nearest = "linear" if named in ("polynomial", "inverse_sqrt") else "cosine" if "cosine" in named else "constant"
        desk.take("lr_scheduler", "train.schedule", nearest, f"{named} is not here: the nearest")
    if desk.entries("lr_scheduler_num_cycles"):
        words = "cosine-restarts has three cosines" if named == "cosine_with_restarts" else "there is one cycle"
        outcome = "not needed" if desk.value("lr_scheduler_num_cycles") in (1, 3) else "left out"
        desk.leave("lr_scheduler_num_cycles", words, outcome)
    _warmup(desk, steps)


def _warmup(desk: Desk, steps: int | None) -> None:
    given = desk.figure("lr_warmup_steps") or 0.0
    if given and given < 1:
        desk.take("lr_warmup_steps", "train.warmup", given)
    elif given and not steps:
        desk.leave("lr_warmup_steps", "a share of all steps here, and how many there are is not known: 5%")
    else:
        words = f"{given:g} of {steps} steps" if given else "kohya has none, unless it is asked for"
        desk.take("lr_warmup_steps", "train.warmup", round(given / steps, 4) if steps else 0.0, words)


def convert_objective(desk: Desk) -> None:
    """Weights, loss, noise levels, and noise that a zero-terminal base forbids."""
    gamma = desk.figure("min_snr_gamma")
    if gamma:
        desk.take("min_snr_gamma", "train.min_snr_gamma", gamma)
    if desk.value("debiased_estimation_loss"):
        desk.take("debiased_estimation_loss", "train.weighting", "debiased", "by our name")
    elif gamma:
        desk.take("min_snr_gamma", "train.weighting", "min-snr", "with the schedule's own SNR, zero-terminal or not")
    else:
        desk.take("min_snr_gamma", "train.weighting", "none", "without min_snr_gamma all noise levels count alike")
    _loss(desk)
    first, last = (int(desk.figure(name) or default) for name, default in (("min_timestep", 0), ("max_timestep", 1000)))
    for name in ("min_timestep", "max_timestep"):
        if desk.entries(name) and (first, last) == (0, 1000):
            desk.leave(name, "all noise levels, as here", "not needed")
        elif desk.entries(name):
            desk.take(name, "train.timestep_range", [first, last - 1], "first and last, both of them in")
    for name in ("noise_offset", "multires_noise_iterations"):
        if desk.value(name) and desk.value("zero_terminal_snr"):
            desk.leave(name, "a base that ends in pure noise draws dark and light by itself; this would tint its noise")


def _loss(desk: Desk) -> None:
    kind: Any = desk.value("loss_type")
    if kind in ("l2", "huber"):
        desk.take("loss_type", "train.loss", {"l2": "mse"}.get(kind, kind), "by our name" if kind == "l2" else "")
    elif kind == "smooth_l1":
        desk.take("loss_type", "train.loss", "huber", "the nearest: small errors squared, large ones straight")
    elif kind:
        desk.leave("loss_type", "mse or huber")
