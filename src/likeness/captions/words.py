"""What kind of thing a tag names: short tables of the booru vocabulary's commonest words.

Source: the tag groups that Danbooru describes in its public wiki (https://danbooru.donmai.us/wiki_pages/tag_groups);
chosen and grouped for captions, and no copy of a list. A tag that no table knows is "other".
"""

import re

__all__ = ["BOTH_EYES", "COLOURS", "FACIAL", "GARMENTS", "IMPLIED", "KINDS", "LENGTHS", "head_of", "is_meta", "kind_of"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KINDS = ("people", "trait", "clothing", "expression", "pose", "view", "framing", "background", "other")
"""The kinds of tags, in the order in which they are said."""

COLOURS = _words(
    "black white grey gray silver brown blonde red orange yellow green aqua teal blue purple pink gold tan dark light"
    " fair"
)
LENGTHS = frozenset({"absurdly long", "very long", "long", "medium", "short", "very short"})
BOTH_EYES = "heterochromia"

TRAITS = _words(
    "hair eye eyes pupils skin ear ears tail tails horn horns wing wings halo antenna antennae fang fangs freckles mole"
    " scar scars beard mustache stubble sideburns eyelashes eyebrows bangs braid braids ponytail twintails ahoge bun"
    " sidelocks streak lips nose muzzle snout beak fur scales markings mark tattoo heterochromia cheek head build"
    " height"
)
TRAIT_TAGS = _words(
    "tall short slim stout muscular fat chubby petite elf furry dark-skinned bob pigtails drill hime mohawk"
) | {"bob cut", "hime cut", "double bun", "medium height"}

GARMENTS = (
    *("dress", "gown", "uniform", "kimono", "yukata", "robe", "armor", "suit", "swimsuit", "bikini", "leotard"),
    *("bodysuit", "overalls", "pajamas", "serafuku", "coat", "hoodie", "jacket", "sweater", "cardigan", "vest"),
    *("blouse", "shirt", "t-shirt", "top"),
)
"""What makes an outfit; of several worn at once, the first of these names it."""

CLOTHING = frozenset(GARMENTS) | _words(
    "skirt shorts pants jeans trousers leggings thighhighs pantyhose socks kneehighs shoes boots sandals sneakers"
    " footwear gloves mittens sleeves collar hood cape cloak poncho scarf shawl hat cap beret helmet crown tiara"
    " headband hairband headphones headwear goggles glasses sunglasses eyewear monocle mask eyepatch necktie bowtie"
    " necklace pendant choker earrings jewelry ring bracelet watch belt sash ribbon ribbons bow ornament ornaments"
    " hairclip hairpin scrunchie flower bag backpack apron underwear armband wristband clothes clothing outfit costume"
    " garment pattern accessory bandage bandages"
)

EXPRESSIONS = _words("smile grin frown blush tears smirk pout wink expression face teeth mouth tongue")
EXPRESSION_TAGS = _words(
    "smiling laughing crying angry sad surprised neutral happy expressionless embarrassed scared nervous annoyed"
    " sleepy serious sweatdrop drooling shouting screaming"
) | {"closed eyes", "one eye closed", "half-closed eyes", "wide-eyed", "parted lips", "tongue out"}

POSES = _words(
    "standing sitting lying kneeling squatting crouching walking running jumping flying leaning waving pointing"
    " sleeping dancing fighting stretching bowing bending floating swimming reading eating drinking salute v"
) | {"peace sign", "on back", "on side", "on stomach", "all fours", "seiza", "wariza", "indian style"}
POSE_STARTS = ("holding ", "hand ", "hands ", "arm ", "arms ", "crossed ", "outstretched ", "spread ", "own hands ")

VIEWS = frozenset(
    {"profile", "profile left", "profile right", "front view", "back view", "side view", "three-quarter view"}
    | {"facing viewer", "facing away", "facing left", "facing right", "turned left", "turned right", "dutch angle"}
)
VIEW_STARTS = ("from ", "looking ", "three-quarter ", "profile ")
FRAMINGS = frozenset(
    {"close-up", "portrait", "upper body", "lower body", "full body", "cowboy shot", "wide shot", "bust"}
    | {"head out of frame", "feet out of frame", "very wide shot"}
)
BACKGROUNDS = _words(
    "background outdoors indoors sky cloud clouds night day sunset sunrise evening beach ocean sea water lake river"
    " meadow field grass forest tree trees flowers mountain garden park city cityscape building street road alley room"
    " bedroom classroom kitchen bathroom office window wall floor bed chair couch table snow rain star stars moon sun"
    " desert cave ruins space scenery"
)

META = _words(
    "general sensitive questionable explicit safe nsfw sfw highres absurdres lowres incredibly-absurdres watermark"
    " signature username dated commentary translated duplicate revision cropped scan photoshop"
) | {"artist name", "copyright name", "character name", "web address", "jpeg artifacts", "sample watermark"}
META_FORMS = re.compile(
    r"rating[: ].*|score[_ ]\d.*|.* (username|commentary|watermark|request|id)|(bad|year|newest|masterpiece)\b.*"
)
_PEOPLE = re.compile(r"(\d\+?|multiple )?(girls?|boys?|others?|people)|solo( focus)?|no humans")
_JOINTS = re.compile(r" (?:on|in|of|with|over|under|behind|between|around|at|to) ")
_ANIMALS = _words("cat dog fox rabbit wolf bear horse cow mouse tiger lion sheep goat deer dragon squirrel")

FACIAL = _words(
    "eye eyes pupils nose muzzle snout mole freckles scar beard mustache stubble fang fangs lips eyebrows eyelashes"
    " glasses sunglasses eyewear monocle mask eyepatch mark heterochromia bangs"
)
"""Nouns of what is not seen from behind."""

IMPLIED: dict[str, tuple[str, ...]] = {
    "absurdly long hair": ("very long hair", "long hair"),
    "very long hair": ("long hair",),
    "very short hair": ("short hair",),
    "grin": ("smile",),
    "laughing": ("smile", "open mouth"),
    "smirk": ("smile",),
    "twin braids": ("braid",),
    "serafuku": ("school uniform",),
    "sunglasses": ("eyewear",),
    "heterochromia": ("eyes",),
    "one eye closed": ("wink",),
    "close-up": ("portrait", "face"),
    "very wide shot": ("wide shot",),
    **{f"{animal} ears": ("animal ears", "kemonomimi") for animal in sorted(_ANIMALS)},
    **{f"{colour} background": ("simple background",) for colour in sorted(COLOURS)},
}
"""Tags that another one says already."""


def head_of(tag: str) -> str:
    """The noun that a tag is about: "hair" of "long hair", "scar" of "scar on cheek"."""
    return _JOINTS.split(tag, maxsplit=1)[0].rpartition(" ")[2]


def is_meta(tag: str) -> bool:
    """Whether a tag is about the file, its maker or its rating, and not about what is seen."""
    return tag in META or META_FORMS.fullmatch(tag) is not None


def kind_of(tag: str) -> str:
    """One of `KINDS`."""
    named = {
        "people": bool(_PEOPLE.fullmatch(tag)),
        "framing": tag in FRAMINGS,
        "view": tag in VIEWS or tag.startswith(VIEW_STARTS),
        "expression": tag in EXPRESSION_TAGS or _is_emoticon(tag),
        "pose": tag in POSES or tag.startswith(POSE_STARTS),
        "trait": tag in TRAIT_TAGS,
    }
    head = head_of(tag)
    by_noun = {
        "expression": EXPRESSIONS,
        "background": BACKGROUNDS,
        "clothing": CLOTHING,
        "trait": TRAITS,
        "pose": POSES,
    }
    found = [kind for kind, is_named in named.items() if is_named]
    found += [kind for kind, nouns in by_noun.items() if head in nouns]
    return found[0] if found else "other"


def _is_emoticon(tag: str) -> bool:
    return len(tag) <= 4 and re.search(r"[a-z0-9]{2}", tag) is None and re.search(r"[\W_]", tag) is not None
