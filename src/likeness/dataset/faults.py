"""Faults: what pictures are rejected for, in words that a person can act on."""

__all__ = ["FAULTS"]

FAULTS = {
    "not needed": ("Good, but not needed", "Others show more together. curate.count says how many are chosen."),
    "too alike": ("Too alike", "As many of their scenes are chosen as curate.alike allows."),
    "too small": ("Too small", "Enlarged for training, they would be soft. Look for larger copies."),
    "blur": ("Blurred", "A LoRA learns blur as part of the character. Look for sharper pictures."),
    "noise": ("Noisy", "A LoRA learns grain as part of the character."),
    "heavy JPEG": ("Heavily compressed", "A LoRA learns the blocks. Look for copies of better quality."),
    "too dark": ("Too dark", "Brightened, they may do."),
    "blown out": ("Too bright", "Darkened, they may do, if detail is left."),
    "flat": ("Hardly any contrast", "Little of the character can be made out."),
    "letterbox": ("Bars at the edges", "Cropped, they may do; otherwise the bars would be drawn."),
    "text": ("Text, or a stamp of letters", "It would be drawn. Look for copies without it, or crop it off."),
    "two characters": ("More than one character", "Cropped to the character, they may do."),
    "other character": (
        "Another character",
        "Unlike who most pictures show. If that is wrong, name pictures that surely show the character in "
        "curate.references.",
    ),
    "duplicate": ("Copies of others", "The better picture stays; both are side by side under Copies."),
    "unreadable": ("Cannot be read", "Get these files again, or remove them."),
    "person": ("Rejected by you", "To take that back: likeness label FOLDER PATH use="),
}
"""Heading and advice by fault, in the order of a page. All kinds of copies are one fault here, and so are all
files that cannot be read."""
