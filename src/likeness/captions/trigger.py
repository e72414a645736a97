"""The trigger: whether a word is one that the base does not know, and words made of a name that it does not know.

A vocabulary is that of CLIP's byte-pair encoding: `</w>` ends a word, and what was merged first is commonest.
Source: Sennrich et al. 2016, https://arxiv.org/abs/1508.07909; a trigger of rare pieces: Ruiz et al. 2022 (DreamBooth),
https://arxiv.org/abs/2208.12242, section 3.2.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from likeness.captions.audit import Finding
from likeness.records import Record
from likeness.seeds import stream

__all__ = ["Tongue", "TriggerCheck", "check_trigger", "suggest_triggers"]

END = "</w>"
MOST_PIECES = 3  # a word of more is spelled out, and each piece says something of its own
KNOWN = 0.8
"""Share of the vocabulary, commonest first, that counts as known words. In CLIP's own, "miku" is at 0.76, "sks" at 0.97
and "ohwx" at 0.97."""
COMMON, LONG_PIECE = 0.3, 4  # a piece of so many letters that is as common as that by itself is a word in the word
CANDIDATES = 200  # tried; of a dozen letters, enough to find several that are good
SHORTEST = 4  # letters; shorter words are abbreviations of something
PART = 3  # letters from which on a word in the word is read as one: "dog" in "dogx"; "of" is in many
PREFERRED = (2, 1, 3, 4)  # pieces: one rare piece may be a name that the base knows, two of them seldom are together
ENDINGS = "bdfgkmnpqrtvwxyz"


@dataclass(frozen=True, slots=True)
class Tongue:
    """How a base reads words.

    Attributes:
        split: a text's pieces, as the base's tokenizer makes them.
        ranks: the number of each piece in the vocabulary; the commonest have the lowest.
    """

    split: Callable[[str], list[str]]
    ranks: Mapping[str, int]

    def place(self, piece: str) -> float:
        """Where a piece stands in the vocabulary, in [0, 1]: 0 the commonest; 1 for one that is not in it."""
        return self.ranks[piece] / len(self.ranks) if piece in self.ranks else 1.0


class TriggerCheck(Record):
    """What there is to say about a word as a trigger.

    Attributes:
        word: the trigger.
        pieces: that the base reads it as.
        findings: what speaks against it; none for a good one.
    """

    word: str
    pieces: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def is_good(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.findings


def check_trigger(
    word: str, tongue: Tongue, *, taken: Mapping[str, str] | None = None, said: Iterable[str] = ()
) -> TriggerCheck:
    """What speaks against a word as a trigger, with what to do about it.

    Args:
        word: as it stands in captions; upper and lower case are one to the base.
        tongue: of the base.
        taken: triggers of other characters, each with the place where it is used.
        said: tags of the pictures and class words, which must stay free of the character.
    """
    pieces = tuple(tongue.split(word))
    other = "Choose another word; `likeness trigger` proposes some."
    faults = [
        *_clashes(word, taken or {}, other),
        *_said_words(word, said, other),
        *_spelling(word, pieces),
        *_known(pieces, tongue, other),
    ]
    if len(pieces) > MOST_PIECES:
        told = " ".join(map(_shown, pieces))
        faults.append(
            Finding(
                kind="many pieces",
                found=f"the base reads {word!r} as {len(pieces)} pieces: {told}",
                advice=f"Choose a shorter word: up to {MOST_PIECES} pieces are learnt as one.",
            )
        )
    return TriggerCheck(word=word, pieces=pieces, findings=tuple(faults))


def _clashes(word: str, taken: Mapping[str, str], other: str) -> list[Finding]:
    theirs = {theirs.lower(): place for theirs, place in taken.items()}
    if word.lower() not in theirs:
        return []
    return [Finding(kind="clash", found=f"{word!r} is the trigger of {theirs[word.lower()]} too", advice=other)]


def _said_words(word: str, said: Iterable[str], other: str) -> list[Finding]:
    if not set(word.lower().split()) & _words(said):
        return []
    return [Finding(kind="a tag", found=f"{word!r} is a word of the captions or the class words", advice=other)]


def _words(said: Iterable[str]) -> set[str]:
    """The words of tags and class words."""
    return {part.lower() for tag in said for part in re.findall(r"[\w-]+", tag)}


def _spelling(word: str, pieces: Sequence[str]) -> list[Finding]:
    faults = []
    if re.search(r"\d", word):
        alone = [piece for piece in pieces if piece.removesuffix(END).isdigit()]
        told = f"; {' and '.join(map(_shown, alone))} become pieces of their own" if alone else ""
        faults.append(
            Finding(
                kind="digits",
                found=f"{word!r} has digits{told}",
                advice="Use letters only: digits are split off, and every number shares them.",
            )
        )
    if re.search(r"[^\w]|_", word):
        faults.append(
            Finding(
                kind="several words",
                found=f"{word!r} is several words to the base, which splits at spaces and signs",
                advice="Write it as one word of letters.",
            )
        )
    return faults


def _known(pieces: Sequence[str], tongue: Tongue, other: str) -> list[Finding]:
    if len(pieces) == 1 and tongue.place(pieces[0]) < KNOWN:
        rank, size = tongue.ranks[pieces[0]], len(tongue.ranks)
        return [
            Finding(
                kind="known word",
                found=f"{_shown(pieces[0])!r} is one piece, number {rank:,} of {size:,}: the base knows it as a word",
                advice=other,
            )
        ]
    words = [piece.removesuffix(END) for piece in pieces] if len(pieces) > 1 else []
    known = [word for word in words if len(word) >= LONG_PIECE and tongue.place(word + END) < COMMON]
    if not known:
        return []
    return [
        Finding(
            kind="a word in it",
            found=f"the base reads {' and '.join(map(repr, known))} in it, which it knows by itself",
            advice=other,
        )
    ]


def _shown(piece: str) -> str:
    return piece.removesuffix(END)


def suggest_triggers(
    name: str,
    tongue: Tongue,
    *,
    taken: Mapping[str, str] | None = None,
    said: Iterable[str] = (),
    refused: str = "",
    count: int = 5,
) -> list[TriggerCheck]:
    """The best words made of a character's name, best first: nothing speaks against them, few pieces, rare ones.

    The same arguments give the same words.

    Args:
        name: the character's.
        tongue: of the base.
        taken: triggers of other characters.
        said: tags of the pictures and class words; none of their longer words is a part of what is proposed.
        refused: a word that is not proposed, whatever it is worth; empty for none.
        count: how many.
    """
    said = list(said)
    parts = {word for word in _words(said) if len(word) >= PART}
    words = [word for word in _candidates(name, parts) if word != refused.lower()]
    checks = [check_trigger(word, tongue, taken=taken, said=said) for word in words]

    def worth(check: TriggerCheck) -> tuple[int, int, float]:
        rarity = min((tongue.place(piece) for piece in check.pieces), default=0.0)
        return len(check.findings), PREFERRED.index(min(len(check.pieces), len(PREFERRED))), -rarity

    return sorted(checks, key=worth)[:count]


def _candidates(name: str, parts: Collection[str]) -> list[str]:
    """Words that remind of a name and are none: its letters with an ending, without vowels, or both.

    None of `parts` is in any of them; each has `PART` letters or more, so that every name has a beginning without it.
    """
    letters = re.sub(r"[^a-z]", "", unicodedata.normalize("NFKD", name).lower()) or "chara"
    start = letters[:5]
    bones = start[0] + re.sub(r"[aeiou]", "", start[1:])
    stems = [_before(parts, stem) for stem in (start[:3], start, bones, start[:4])]
    drawn = stream(0, "trigger", letters)
    words: dict[str, None] = {}
    while len(words) < CANDIDATES:
        stem = str(drawn.choice(stems))
        word = stem + "".join(str(letter) for letter in drawn.choice(list(ENDINGS), size=int(drawn.integers(1, 4))))
        if len(word) >= SHORTEST and not any(part in word for part in parts):
            words[word] = None
    return list(words)


def _before(parts: Collection[str], stem: str) -> str:
    """The longest beginning of a stem that has none of `parts` in it."""
    while any(part in stem for part in parts):
        stem = stem[:-1]
    return stem
