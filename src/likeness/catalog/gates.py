"""Gates: what keeps a LoRA from being published, each with what to do. All that are shut are told at once."""

from collections.abc import Iterator, Mapping

from likeness.catalog.card import Card
from likeness.catalog.licences import LICENCES, check_licence, licence_of
from likeness.catalog.redaction import leaks_in
from likeness.catalog.tree import RESERVED
from likeness.errors import ConsentError, PublishError
from likeness.recipe import RATINGS, CharacterConfig, PublishConfig, check_may_publish

__all__ = ["BANNED_NAMES", "refuse_leaks", "refuse_name", "refuse_unready"]

BANNED_NAMES = ("none", "addams")
"""Names that A1111 takes for something else."""

IGNORED_NAMES = ("scheduler", "optimizer", "checkpoint")
"""Parts of the names of files that diffusers passes over."""

SIGNS = '<>:"/\\|?*,'
"""What no name has: files of some system cannot, and a prompt's <lora:name:1> ends at it."""


def refuse_unready(card: Card, character: CharacterConfig, config: PublishConfig) -> None:
    """Nothing, where nothing is known that keeps it from being published.

    Args:
        card: what the release would say.
        character: who is drawn, with a real person's consent.
        config: where it goes, and what its pictures may show.

    Raises:
        ConsentError: where it is not known who that is, or a real person has not agreed; with all other reasons.
        PublishError: otherwise, with all reasons.
    """
    faults = [*_of_subject(card, config), *_of_rights(card, config), *_of_pictures(card, config), *_of_scores(card)]
    told = "".join(f"\n  {fault}" for fault in faults)
    try:
        check_may_publish(character)
    except ConsentError as fault:
        raise ConsentError(
            f"{fault}\nAnd what else keeps it from being published:{told}" if told else str(fault)
        ) from None
    if faults:
        raise PublishError(f"{card.title} is not published:{told}")


def _of_subject(card: Card, config: PublishConfig) -> Iterator[str]:
    if card.subject.kind == "real-person":
        if config.target == "civitai":
            yield (
                "publish.target = 'civitai': Civitai takes nothing that shows a real person, with consent or without. "
                "Set another target, and do not upload it there."
            )
        if card.rating in ("R", "X"):
            yield f"publish.rating = {card.rating!r}: no such picture of a real person is published, whoever agrees."


def _of_rights(card: Card, config: PublishConfig) -> Iterator[str]:
    base = card.base
    if not base.licence:
        yield (
            f"The licence of the base is not known ({base.file or base.name}). Look at its page, and set "
            f"publish.base_licence: {', '.join(LICENCES)}."
        )
        return
    try:
        own = licence_of(card.rights.licence, config.licence_link, field="publish.licence")
        check_licence(own, licence_of(base.licence, config.licence_link, field="publish.base_licence"))
    except PublishError as fault:
        yield str(fault)


def _of_pictures(card: Card, config: PublishConfig) -> Iterator[str]:
    if card.rating is None:
        yield "publish.rating is not set: look at the pictures, and say what they show: PG, PG13, R or X."
    elif RATINGS.index(card.rating) > RATINGS.index(config.allowed):
        told = "publish.rating" if card.rating == config.rating else "what the reader sees"
        yield (
            f"{told} is {card.rating!r}: its pictures show more than publish.allowed = {config.allowed!r}. Draw milder "
            "ones (evaluate.prompts), or allow more."
        )


def _of_scores(card: Card) -> Iterator[str]:
    if card.evaluated is None:
        yield "It was not measured: nobody could tell how good it is. Measure it first: likeness evaluate"


def refuse_name(name: str) -> None:
    """Nothing, for a name under which every tool finds the file.

    Raises:
        PublishError: otherwise.
    """
    fault = ""
    if name.lower() in BANNED_NAMES:
        fault = "A1111 takes it for something else"
    elif part := next((part for part in IGNORED_NAMES if part in name.lower()), ""):
        fault = f"diffusers passes over files with {part!r} in their name"
    elif sign := next((sign for sign in name if sign in SIGNS or not sign.isprintable()), ""):
        fault = f"{sign!r} may not be in it"
    elif name.split(".")[0].lower() in RESERVED:
        fault = "no file can be called so on Windows"
    elif not name or name.startswith("."):
        fault = "it has no letters, or begins with a dot"
    if fault:
        raise PublishError(f"A LoRA cannot be called {name!r}: {fault}. Change character.name.")


def refuse_leaks(texts: Mapping[str, str], character: CharacterConfig, config: PublishConfig) -> None:
    """Nothing, where nothing in these texts is nobody else's business.

    Args:
        texts: all that a release says, by where it stands.
        character: whose consent names a person.
        config: what a person wrote: a leak is told where it can be mended.

    Raises:
        PublishError: otherwise, with each leak and where it stands.
    """
    names = [character.consent.who] if character.consent else []
    fields = {(leak.what, leak.text): leak.where for leak in leaks_in(_fields(character, config), names)}
    places: dict[tuple[str, str], list[str]] = {}
    for leak in leaks_in(texts, names):
        places.setdefault((leak.what, leak.text), []).append(leak.where)
    if places:
        lines = [f"  {fields.get(key) or some[0]}: {key[0]}: {key[1]!r}" for key, some in places.items()]
        raise PublishError(
            f"{character.name} is not published: it would tell what is nobody else's business. Change it where it is "
            "said: in these fields, in captions, or in the sources of pictures.\n" + "\n".join(lines)
        )


def _fields(character: CharacterConfig, config: PublishConfig) -> dict[str, str]:
    """What a person wrote into the recipe and a release repeats, by field."""
    said = {f"publish.{name}": value for name, value in config if name not in ("certificate", "private_key")}
    said |= {f"character.{name}": getattr(character, name) for name in ("name", "trigger", "class_words")}
    return {
        field: value if isinstance(value, str) else " ".join(map(str, value))
        for field, value in said.items()
        if value and not isinstance(value, int)
    }
