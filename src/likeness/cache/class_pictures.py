"""Class pictures: others of the character's kind, which keep what the class words mean (prior preservation)."""

from collections.abc import Sequence
from pathlib import Path

from likeness.errors import RecipeError
from likeness.images import open_pixels, sha256_of
from likeness.records import Caption, Picture

__all__ = ["KINDS", "class_pictures"]

KINDS = (".png", ".jpg", ".jpeg", ".webp")


def class_pictures(folder: Path, class_words: Sequence[str]) -> list[tuple[Picture, Caption]]:
    """The pictures of a folder in order of their names, each with what the text file of its name says, or else with the
    class words.

    Raises:
        RecipeError: where there are no class words.
        PictureError: for one that cannot be read.

    Source: Ruiz et al. 2023 (DreamBooth), https://arxiv.org/abs/2208.12242, section 3.2.
    """
    if not class_words:
        raise RecipeError(
            "encode.class_pictures asks for pictures of the character's class, and character.class_words says no "
            "class. Say one ('1girl', 'fox'), or set encode.class_pictures = 0."
        )
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in KINDS)
    return [_record(path, folder, class_words) for path in paths]


def _record(path: Path, folder: Path, class_words: Sequence[str]) -> tuple[Picture, Caption]:
    height, width = open_pixels(path).shape[:2]
    said = path.with_suffix(".txt")
    text = said.read_text("utf-8").strip() if said.is_file() else ", ".join(class_words)
    picture = Picture(
        id=sha256_of(path),
        path=path.relative_to(folder).as_posix(),
        width=width,
        height=height,
        use="train",
        decided_by="person",
    )
    return picture, Caption(picture=picture.id, tags=tuple(text.split(", ")), text=text, written_by="person")
