"""Pictures that were drawn elsewhere: measured as they are, each by the LoRAs that its file names."""

from collections.abc import Mapping, Sequence

from likeness.errors import EvaluationError
from likeness.evaluation.choose import Choice
from likeness.evaluation.evaluate import BASE, Evaluation
from likeness.evaluation.foreign import Generation
from likeness.evaluation.instruments import Instruments, Real, measure_with
from likeness.evaluation.languages import Language
from likeness.evaluation.scorecard import judge, judge_base, judged, score
from likeness.evaluation.shots import NO_SEED, Shot, is_called
from likeness.images import Pixels
from likeness.recipe import EvaluateConfig

__all__ = ["candidate_name", "measure_pictures", "shots_by_lora"]

MEASURED = "Pictures from elsewhere are measured; which to publish is chosen among checkpoints that are drawn here."


def candidate_name(lora: str) -> str:
    """What a LoRA of this name is called beside others; a file may have the name that the base goes by."""
    return f"{lora} (LoRA)" if lora == BASE else lora


def shots_by_lora(
    generations: Sequence[Generation], language: Language, *, trigger: str
) -> dict[str, list[tuple[Shot, Generation]]]:
    """What each picture was asked for, by what drew it: "mira" or "mira at 0.8", or the base where no LoRA is named.

    Pictures whose prompt does not hold the trigger are of the class, or of others.
    """
    numbers = {prompt: place for place, prompt in enumerate(dict.fromkeys(one.prompt for one in generations))}
    found: dict[str, list[tuple[Shot, Generation]]] = {}
    for one in generations:
        is_of_it = is_called(one.prompt, trigger)
        shot = Shot(
            kind="yours" if is_of_it else "class",
            number=numbers[one.prompt],
            prompt=one.prompt,
            seed=NO_SEED if one.seed is None else one.seed,
            asked=language.understood(one.prompt) | (language.traits_in(one.prompt) if is_of_it else {}),
        )
        found.setdefault(_drawn_by(one), []).append((shot, one))
    return found


def _drawn_by(one: Generation) -> str:
    words = [name if weight == 1 else f"{name} at {weight:g}" for name, weight in sorted(one.loras.items())]
    return candidate_name(" and ".join(words)) if words else BASE


def measure_pictures(
    pictures: Mapping[str, Sequence[tuple[Shot, Pixels]]],
    real: Real,
    config: EvaluateConfig,
    *,
    instruments: Instruments,
    seed: int,
) -> Evaluation:
    """Scores of everything that drew some of these pictures; nothing is chosen.

    Args:
        pictures: by what drew them, with what they were asked for; those of the base tell what no likeness is.
        real: the character.
        config: with the limits.
        instruments: what looks; nothing is drawn.
        seed: of the resampling.

    Raises:
        EvaluationError: where there is no picture, or no real one.
    """
    if not any(pictures.values()) or not real.held_out:
        missing = "picture of a LoRA" if real.held_out else "real picture of the character"
        raise EvaluationError(f"There is no {missing}: nothing can be measured.")
    drawn = {}
    for who in (BASE, *(who for who in pictures if who != BASE)):
        shots, pixels = [shot for shot, _ in pictures.get(who, ())], [one for _, one in pictures.get(who, ())]
        drawn["full", who] = instruments.look(shots, pixels)
    measure = measure_with(drawn["full", BASE], real.seen(instruments), instruments, config)
    scores, told = [], []
    for (_, who), one in drawn.items():
        if one.shots:
            marks = judge(one, measure) if who != BASE else judge_base(one, measure)
            scores += score(who, None, "full", one, marks, measure, seed=seed, is_planned=False)
            told += judged(who, "full", one, marks)
    return Evaluation(Choice(step=None, reason=MEASURED, axes={}), scores, told, measure.known, drawn)
