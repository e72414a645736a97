"""Judgement: what a person's answers say of two adapters, of a checklist, and of the instruments."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from likeness.evaluation.agreement import nominal_alpha, sign_test
from likeness.evaluation.questions import Answers, Item, Key, Pair, Said, Side
from likeness.evaluation.scorecard import KINDS
from likeness.messages import counted, listed
from likeness.records import Record
from likeness.statistics import wilson

__all__ = ["Agreement", "Judgement", "Preference", "Rate", "Share", "judgement"]

RELIABLE, TENTATIVE = 0.8, 0.667  # of alpha: Krippendorff's own customary limits
SURE = 0.05  # of p: what papers call told from chance
TWICE = 2.0  # what an axis counts that sees what a person sees: twice as much shifts a choice among equals


class Share(Record):
    """How many of how many, and the 95% interval of that share."""

    count: int
    of: int
    low: float
    high: float

    @classmethod
    def told(cls, count: int, of: int) -> "Share | None":
        """The share; None of nothing."""
        low, high = wilson(count, of) if of else (0.0, 0.0)
        return cls(count=count, of=of, low=low, high=high) if of else None


class Preference(Record):
    """Which of two adapters is more like the character, to a person.

    Attributes:
        for_first: pairs in which the first is.
        for_second: those in which the second is.
        ties: those without a difference; they are in no share and no test.
        share: of the second among the others.
        p: chance of so uneven a count or a more uneven one where neither is better; 1 of nothing.
    """

    first: str
    second: str
    for_first: int
    for_second: int
    ties: int
    share: Share | None
    p: float


class Rate(Record):
    """How often a trait is right, to a person.

    Attributes:
        drawn: of the adapter's pictures in which it could be told.
        real: of real pictures that lay among them, unmarked: what drawn ones can reach.
        untold: pictures in which it could not be told, drawn or real.
    """

    item: Item
    drawn: Share | None
    real: Share | None
    untold: int


class Agreement(Record):
    """In how many pairs an axis prefers what a person prefers; of those in which both prefer any."""

    axis: str
    share: Share


class Judgement(Record):
    """All that a person's answers say.

    Attributes:
        page: digest of the page.
        sha256: of what was judged, as the key says.
        asked: questions on it.
        answered: of those.
        preference: None where no pair was answered.
        consistency: repeated pairs with the same answer once sides were swapped.
        items: by trait of the checklist.
        agreements: by axis.
        alpha: agreement of the person with the reader on ticks, 1 being all and 0 chance; None where it cannot be told.
        compared: ticks that it rests on.
        told: in words, what follows.
    """

    page: str
    sha256: str = ""
    asked: int
    answered: int
    preference: Preference | None
    consistency: Share | None
    items: tuple[Rate, ...]
    agreements: tuple[Agreement, ...]
    alpha: float | None
    compared: int
    told: tuple[str, ...]


def judgement(key: Key, answers: Answers, weights: Mapping[str, float]) -> Judgement:
    """What answers say.

    Args:
        key: of the page that they are of.
        answers: some or all.
        weights: what each axis counts for in a choice.
    """
    said: dict[str, Said] = {one.id: answers.ticks[one.id] for one in key.ticks if one.id in answers.ticks}
    both = [
        (said[one.id], one.seen)
        for one in key.ticks
        if one.id in said and "cannot tell" not in (said[one.id], one.seen)
    ]
    found = Judgement(
        page=key.page,
        sha256=key.sha256,
        asked=len(key.pairs) + len(key.ticks),
        answered=len(answers.pairs) + len(said),
        preference=_preference(key, answers),
        consistency=_consistency(key, answers),
        items=tuple(_rates(key, said)),
        agreements=tuple(_agreements(key, answers)),
        alpha=nominal_alpha(both),
        compared=len(both),
        told=(),
    )
    return found.model_copy(update={"told": tuple(_told(found, key, weights))})


def _preferred(pair: Pair, answers: Answers) -> tuple[Side, Side] | None:
    """The side that a person prefers, and the other one; None for no difference, or no answer."""
    said = answers.pairs.get(pair.id)
    return {"left": (pair.left, pair.right), "right": (pair.right, pair.left)}.get(said or "")


def _decided(key: Key, answers: Answers) -> list[tuple[Side, Side]]:
    """Of the pairs that are asked first, the sides that are preferred, each with the other one."""
    return [sides for one in key.pairs if not one.repeats and (sides := _preferred(one, answers))]


def _preference(key: Key, answers: Answers) -> Preference | None:
    answered = sum(one.id in answers.pairs for one in key.pairs if not one.repeats)
    decided = _decided(key, answers)
    second = sum(better.who == key.second for better, _ in decided)
    first = len(decided) - second
    if not answered:
        return None
    return Preference(
        first=key.first,
        second=key.second,
        for_first=first,
        for_second=second,
        ties=answered - len(decided),
        share=Share.told(second, len(decided)),
        p=sign_test(first, second),
    )


def _consistency(key: Key, answers: Answers) -> Share | None:
    """Of the repeated pairs, those in which the same picture was preferred, or none both times."""
    by_id = {one.id: one for one in key.pairs}
    again = [(one, by_id[one.repeats]) for one in key.pairs if one.repeats]
    both = [pair for pair in again if all(one.id in answers.pairs for one in pair)]
    same = sum(_preferred(one, answers) == _preferred(other, answers) for one, other in both)
    return Share.told(same, len(both))


def _rates(key: Key, said: Mapping[str, Said]) -> Iterator[Rate]:
    for item in dict.fromkeys((one.item.name, one.item.wanted) for one in key.ticks):
        own = [one for one in key.ticks if (one.item.name, one.item.wanted) == item and one.id in said]
        drawn, real = (Counter(said[one.id] for one in own if bool(one.who) is is_drawn) for is_drawn in (True, False))
        yield Rate(
            item=Item(name=item[0], wanted=item[1]),
            drawn=Share.told(drawn["yes"], drawn["yes"] + drawn["no"]),
            real=Share.told(real["yes"], real["yes"] + real["no"]),
            untold=drawn["cannot tell"] + real["cannot tell"],
        )


def _agreements(key: Key, answers: Answers) -> Iterator[Agreement]:
    """Of each axis that prefers any picture of a pair in which a person does."""
    for axis, kind in KINDS.items():
        gains = [
            better.values[axis] - other.values[axis]
            for better, other in _decided(key, answers)
            if axis in better.values and axis in other.values and better.values[axis] != other.values[axis]
        ]
        share = Share.told(sum((gain < 0) if kind == "harm" else (gain > 0) for gain in gains), len(gains))
        if share:
            yield Agreement(axis=axis, share=share)


def _told(found: Judgement, key: Key, weights: Mapping[str, float]) -> Iterator[str]:
    if found.preference:
        yield _preference_words(found.preference, key.chosen)
    same = found.consistency
    if same and same.count < same.of:
        pairs = counted(same.of, "pair", "pairs")
        yield f"Of {pairs} that you saw twice you answered {same.count} alike: take the rest as that unsure."
    yield from _agreement_words(found.agreements, weights)
    yield from _item_words(found.items)
    if found.alpha is not None:
        yield _alpha_words(found.alpha, found.compared)


def _preference_words(told: Preference, chosen: str) -> str:
    of = told.for_first + told.for_second
    ties = f", {counted(told.ties, 'tie', 'ties')} apart" if told.ties else ""
    if told.p >= SURE:
        counts = f"{told.second} in {told.for_second} of {of} pairs, {told.first} in {told.for_first}{ties}"
        return f"You prefer neither for sure: {counts} (p = {told.p:.2g}). So many pairs show a large difference only."
    best, count = max((told.second, told.for_second), (told.first, told.for_first), key=lambda pair: pair[1])
    words = f"{best} is more like the character to you in {count} of {of} pairs{ties} (p = {told.p:.2g})"
    if not chosen:
        return f"{words}."
    return f"{words}; the evaluation chose {'it too' if best == chosen else chosen}."


def _agreement_words(agreements: Sequence[Agreement], weights: Mapping[str, float]) -> Iterator[str]:
    """How far the likeness axes see what a person sees, and what to set where that is sure."""
    change, unsure = {}, []
    for one in agreements:
        share, pairs = one.share, f"{one.share.count} of {one.share.of} pairs"
        if KINDS[one.axis] != "likeness":
            continue
        agrees, differs = share.count, share.of - share.count
        is_sure = sign_test(agrees, differs) < SURE
        if is_sure and agrees > differs:
            change[one.axis] = TWICE * (weights[one.axis] or 0.5)
            yield f"You and `{one.axis}` agree in {pairs}: it sees what you see."
        elif is_sure:
            change[one.axis] = 0.0
            yield f"You and `{one.axis}` agree in {pairs} only: it does not see what you see."
        else:
            unsure.append(f"`{one.axis}` {share.count} of {share.of}")
    if unsure:
        yield f"Agreement that may be chance: {listed(unsure, len(unsure))}."
    if change:
        said = " ".join(f"--set evaluate.weights.{axis}={weight:g}" for axis, weight in change.items())
        yield f"To choose more as you see: set evaluate.weights, as in {said}"


def _item_words(rates: Sequence[Rate]) -> Iterator[str]:
    for one in rates:
        name = f"{one.item.name}: {one.item.wanted}".replace("_", " ")
        if one.real and one.real.count < one.real.of:
            yield (
                f"{name} is right in {one.real.count} of {one.real.of} real pictures to you: "
                "look whether the checklist says what you mean."
            )
        elif not one.drawn and one.untold:
            yield f"{name} cannot be told by eye either, in {counted(one.untold, 'picture', 'pictures')}."


def _alpha_words(alpha: float, compared: int) -> str:
    if alpha >= RELIABLE:
        follows = "on traits its word can stand for yours"
    elif alpha >= TENTATIVE:
        follows = "on traits take its word as a hint"
    else:
        follows = "on traits trust your eyes before it"
    return f"Krippendorff's alpha with the reader is {alpha:.2f} over {compared} pictures: {follows}."
