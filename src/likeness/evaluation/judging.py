"""Judging by eye: what a person is asked, blind, where instruments cannot tell, and the page that asks.

The page shows pictures and numbers of questions that say nothing. Who drew what stands in the key alone.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from likeness.evaluation.calibration import bin_of
from likeness.evaluation.questions import Item, Key, Pair, Side, Tick
from likeness.evaluation.scorecard import Judged, Score, paired
from likeness.evaluation.shots import CALLED
from likeness.records import Picture, Reading
from likeness.seeds import stream

__all__ = ["items_of", "plan_key", "sheet_page", "tells"]

PAIRS = 20  # at three seconds each they are half of the two minutes; a preference of 15 in 20 is told from chance
REPEATS = 2  # pairs that are asked twice: enough to see somebody who only clicks
ITEMS = 6  # of the checklist: with their pictures the other half of the two minutes
DRAWN, REAL = 6, 2  # pictures of an item, and real ones among them
NOTHING = ("none", "")


def items_of(scores: Sequence[Score], who: str, checklist: Mapping[str, str]) -> list[Item]:
    """What a person looks at: the checklist, or else the traits that were told least surely of an adapter.

    Args:
        scores: of the evaluation.
        who: the adapter.
        checklist: as `evaluate.checklist` says.
    """
    if checklist:
        return [Item(name=name, wanted=value) for name, value in checklist.items()]
    parts = [one for one in scores if one.who == who and one.axis in ("face", "body", "clothing", "attributes")]
    last = parts[-1].round if parts else ""
    traits = [
        one
        for score in parts
        if score.round == last
        for one in score.details
        if one.wanted not in NOTHING and " or " not in one.wanted and not one.name.endswith(" side")
    ]
    unsure = sorted(traits, key=lambda one: one.low - one.high)[:ITEMS]
    return [Item(name=one.name, wanted=one.wanted) for one in unsure]


def plan_key(
    first: Sequence[Judged], second: Sequence[Judged], real: Sequence[Picture], items: Sequence[Item], *, seed: int
) -> Key:
    """What is asked. The reader's word on the ticks, and the digest, come later.

    Held-out pictures that stand between a pair are never among those of a tick: they would be known to be real.

    Args:
        first: pictures of one adapter.
        second: of the other one, which the ticks are of too.
        real: held-out pictures of the character, at least one.
        items: what is looked at.
        seed: of the order, the sides, and what is picked.
    """
    between, controls = _dealt(real, seed)
    pairs = _plan_pairs(first, second, between, seed)
    shown = {side.picture for one in pairs for side in (one.left, one.right)}
    ticks = _plan_ticks(items, second, [*between, *controls], controls, shown, seed)
    ids = _ids(len(pairs) + len(ticks), seed)
    named = dict(zip((one.id for one in (*pairs, *ticks)), ids, strict=True))
    return Key(
        first=first[0].who,
        second=second[0].who,
        pairs=tuple(
            one.model_copy(update={"id": named[one.id], "repeats": named.get(one.repeats, "")}) for one in pairs
        ),
        ticks=tuple(one.model_copy(update={"id": named[one.id]}) for one in ticks),
    )


def _dealt(real: Sequence[Picture], seed: int) -> tuple[list[Picture], list[Picture]]:
    """Real pictures to stand between pairs, one of each view before any second one, and those for the ticks."""
    mixed = [real[place] for place in stream(seed, "judging", "real").permutation(len(real))]
    so_far, turns = Counter[str | None](), list[int]()
    for one in mixed:
        view = one.reading.view if one.reading else None
        turns.append(so_far[view])
        so_far[view] += 1
    order = [mixed[place] for place in sorted(range(len(mixed)), key=lambda place: turns[place])]
    half = (len(order) + 1) // 2
    views = sum(turn == 0 for turn in turns)
    count = max(half, min(views, len(order) - REAL))  # ticks want some real pictures too
    return order[:count], order[count:]


def _ids(count: int, seed: int) -> list[str]:
    """Different names without a meaning or an order."""
    found: dict[str, None] = {}
    rng = stream(seed, "judging", "ids")
    while len(found) < count:
        found[rng.bytes(5).hex()] = None
    return list(found)


def _plan_pairs(first: Sequence[Judged], second: Sequence[Judged], real: Sequence[Picture], seed: int) -> list[Pair]:
    """The pairs, each prompt once and fresh ones first, each side as often the second's; some of them twice."""
    both = paired(_called(first), _called(second))
    mixed = [both[place] for place in stream(seed, "judging", "pairs").permutation(len(both))]
    by_prompt: dict[str, tuple[Judged, Judged]] = {}
    for pair in sorted(mixed, key=lambda pair: pair[1].round != "fresh"):
        by_prompt.setdefault(pair[1].shot.prompt, pair)
    some, used = list(by_prompt.values())[:PAIRS], Counter[str]()
    turns = stream(seed, "judging", "sides").permutation([number % 2 for number in range(len(some))])
    pairs = []
    for number in stream(seed, "judging", "order").permutation(len(some)):
        left, right = some[number] if turns[number] else some[number][::-1]
        between = min(real, key=lambda one: (_unlike(one, left), used[one.path]))
        used[between.path] += 1
        pairs.append(Pair(id=f"pair {number}", left=_side(left), right=_side(right), real=_place(between)))
    return _with_repeats(pairs, seed)


def _with_repeats(pairs: list[Pair], seed: int) -> list[Pair]:
    """The same, with some of the first half once more in the last quarter, when they are forgotten."""
    rng = stream(seed, "judging", "repeats")
    again = rng.permutation(len(pairs) // 2)[:REPEATS] if len(pairs) > 2 * REPEATS else []
    found = list(pairs)
    for one in (pairs[place] for place in again):
        swapped = Pair(id=f"{one.id} again", left=one.right, right=one.left, real=one.real, repeats=one.id)
        found.insert(int(rng.integers(len(pairs) * 3 // 4, len(found) + 1)), swapped)
    return found


def _called(pictures: Sequence[Judged]) -> list[Judged]:
    """Pictures that are to show the character as it is, and were kept."""
    return [one for one in pictures if one.picture and one.shot.kind in CALLED]


def _side(one: Judged) -> Side:
    return Side(who=one.who, picture=one.picture, values=one.values)


def _place(real: Picture) -> str:
    return f"images/{real.path}"


def _unlike(real: Picture, drawn: Judged) -> int:
    """In how much a real picture shows the character otherwise than a prompt asks: side, view, framing."""
    reading, asked = real.reading, drawn.shot.asked
    if reading is None:
        return 3
    is_other_view = bin_of(reading.view) != bin_of(asked.get("view"))
    return is_other_view + (reading.framing != asked.get("framing")) + (reading.view != asked.get("view"))


def _plan_ticks(
    items: Sequence[Item],
    drawn: Sequence[Judged],
    real: Sequence[Picture],
    controls: Sequence[Picture],
    shown: Collection[str],
    seed: int,
) -> list[Tick]:
    """Item by item, pictures in which it can be seen: those that no pair shows first, real ones among them."""
    ticks = []
    for place in stream(seed, "judging", "items").permutation(len(items)):
        item, rng = items[place], stream(seed, "judging", "ticks", items[place].name)
        able = [one for one in _called(drawn) if _may_show(one, item, real)]
        mixed = sorted((able[number] for number in rng.permutation(len(able))), key=lambda one: one.picture in shown)
        own = [(one.who, one.picture) for one in {one.picture: one for one in mixed}.values()][:DRAWN]
        true = [one for one in controls if one.reading and tells(one.reading, item, real)]
        own += [("", _place(true[number])) for number in rng.permutation(len(true))[:REAL]] if own else []
        for number in rng.permutation(len(own)):
            who, picture = own[number]
            ticks.append(Tick(id=f"{item.name} {number}", item=item, who=who, picture=picture))
    return ticks


def _may_show(drawn: Judged, item: Item, real: Sequence[Picture]) -> bool:
    """Whether a trait is to be seen on a picture, as it should be: real pictures of such a scene show it, or where
    there is none, those of such a framing."""
    asked = drawn.shot.asked
    if asked.get(item.name, item.wanted) != item.wanted:
        return False
    read = [one.reading for one in real if one.reading]
    framed = [one for one in read if asked.get("framing", one.framing) == one.framing]
    turned = [one for one in framed if "view" not in asked or bin_of(one.view) == bin_of(asked["view"])]
    like = turned or framed
    return not like or any(tells(reading, item, real) for reading in like)


def tells(reading: Reading, item: Item, real: Sequence[Picture]) -> bool:
    """Whether a reading tells a trait: it names it, and where it sees nothing, the view does not hide it."""
    value = reading.traits.get(item.name)
    if value not in NOTHING or item.wanted in NOTHING:
        return value is not None
    alike = [one.reading.traits.get(item.name) for one in real if one.reading and one.reading.view == reading.view]
    return value is not None and any(other not in (None, *NOTHING) for other in alike)


def sheet_page(key: Key, addresses: Mapping[str, str]) -> str:
    """The page that asks: HTML that stands alone, with a small script; it holds no name of an adapter, and no path.

    Args:
        key: sealed.
        addresses: of each picture, as a data address.
    """
    numbers = {place: number for number, place in enumerate(key.pictures)}
    questions = [
        {"id": one.id, "pictures": [numbers[place] for place in (one.left.picture, one.real, one.right.picture)]}
        for one in key.pairs
    ]
    ticks = [{"id": one.id, "pictures": [numbers[one.picture]], "item": _words(one.item)} for one in key.ticks]
    pages = Environment(
        loader=PackageLoader("likeness.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sheet = {"page": key.page, "questions": [*questions, *ticks], "pictures": [addresses[one] for one in numbers]}
    return pages.get_template("judging.html").render(sheet=sheet, pairs=len(questions), ticks=len(ticks))


def _words(item: Item) -> str:
    """A trait as a person says it: "left eye: blue"."""
    return f"{item.name}: {item.wanted}".replace("_", " ") if item.name != item.wanted else item.name.replace("_", " ")
