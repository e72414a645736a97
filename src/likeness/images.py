"""Pictures: decoding files that nobody vouches for, fitting them to a size, and saving our own.

In memory a picture is `Pixels`: uint8, shape (height, width, 3), sRGB.
"""

import hashlib
import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, PngImagePlugin, UnidentifiedImageError

from likeness.errors import PictureError, WorkspaceError
from likeness.records import Box, write_atomically

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "SUFFIXES",
    "Pixels",
    "cropped",
    "fit",
    "jpeg_quality",
    "open_pixels",
    "png_of",
    "save_png",
    "sha256_of",
]

Pixels = NDArray[numpy.uint8]

MAX_PIXELS = 200_000_000
"""The largest picture that is decoded; the largest phone cameras make 199.8 million, 600 MB in memory."""

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "MPO", "PNG", "PPM", "TIFF", "WEBP")
"""What is decoded, by Pillow's names. Others that Pillow knows run programs (EPS) or have seldom-tested decoders."""

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm"}
    | {".tif", ".tiff", ".webp"}
)
"""What the names of files in these formats end in."""

# What Pillow's decoders raise on broken bytes: documented are OSError and SyntaxError, the others escape from parsing.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF orientation -> what turns the picture upright; EXIF 2.32, section 4.6.4

_MEAN_TABLE = 3688  # sum of the standard luminance table, at quality 50; ITU-T T.81, annex K.1

_pillow = threading.Lock()


def open_pixels(path: Path, *, ground: str = "white") -> Pixels:
    """The picture in a file as a viewer shows it, in sRGB; the file is only read.

    It is turned as its EXIF block says and converted from its ICC profile (one that is broken counts as absent, as in
    browsers). 16 bits are scaled to 8. What is transparent is laid on `ground`. Of an animation it is the first frame.

    Raises:
        PictureError: where the file is missing, no picture of one of `FORMATS`, damaged, or of over `MAX_PIXELS`, which
            is seen from its header, before anything is decoded.
    """
    if not path.is_file():
        raise PictureError(f"{path} is {'not a file' if path.exists() else 'missing'}. Check the path.")
    try:
        with _limited_pillow(), Image.open(path, formats=_formats()) as image:
            if image.width * image.height > MAX_PIXELS:  # a plugin whose size is known only after its own check
                raise Image.DecompressionBombError
            image.load()
            return numpy.array(_turned_upright(image, _flattened(image, ground)))
    except Image.DecompressionBombError as bomb:
        raise PictureError(
            f"{path} has more than {MAX_PIXELS // 1_000_000} megapixels, enough to fill the memory; it is not decoded. "
            "Scale it down, or remove it.",
            "too large",
        ) from bomb
    except UnidentifiedImageError as unknown:
        raise PictureError(
            f"{path} is not a picture that can be read. Use one of {', '.join(FORMATS)}, or remove it.",
            "not a picture",
        ) from unknown
    except PermissionError as fault:
        raise PictureError(f"{path} may not be read. Change its permissions.") from fault
    except _BROKEN as fault:
        raise PictureError(
            f"{path} is damaged or cut short ({fault}). Get it again, or remove it.", "truncated"
        ) from fault


def jpeg_quality(path: Path) -> int | None:
    """The quality that a JPEG was saved with, in [1, 100], by its luminance table; None for other formats.

    Programs with tables of their own are compared by how coarse theirs are.

    Source: libjpeg, jcparam.c, `jpeg_quality_scaling`.
    """
    try:
        with _limited_pillow(), Image.open(path, formats=["JPEG"]) as image:
            table = getattr(image, "quantization", {}).get(0)
    except _BROKEN:
        return None
    if not table:
        return None
    percent = 100 * sum(table) / _MEAN_TABLE
    return max(1, min(100, round((200 - percent) / 2 if percent <= 100 else 5000 / percent)))


@contextmanager
def _limited_pillow() -> Iterator[None]:
    """Pillow with our limit instead of its own, and without talk: what a broken file deserves is said once, by us.

    Pillow keeps both for the whole process, so they are put back, and one picture is decoded at a time.
    """
    with _pillow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow refuses at twice this, and warns at once
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]  # a Pillow built without AVIF or WebP has fewer


def _flattened(image: Image.Image, ground: str) -> Image.Image:
    """The picture as opaque 8-bit sRGB."""
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers; save it with 8 or 16 bits a channel")
    if image.mode.startswith("I"):
        deep_HW = numpy.asarray(image).astype(numpy.float64)
        image = _with_profile_of(image, Image.fromarray((deep_HW / 257).round().clip(0, 255).astype(numpy.uint8)))
    if not image.has_transparency_data:
        return _to_srgb(image)
    seen = _with_profile_of(image, image.convert("RGBA"))
    alpha, colours = seen.getchannel("A"), _with_profile_of(image, seen.convert("RGB"))
    return Image.composite(_to_srgb(colours), Image.new("RGB", image.size, ground), alpha)


def _with_profile_of(source: Image.Image, image: Image.Image) -> Image.Image:
    image.info["icc_profile"] = source.info.get("icc_profile")
    return image


def _to_srgb(image: Image.Image) -> Image.Image:
    """An opaque picture in sRGB, by its ICC profile where it has one."""
    profile = image.info.get("icc_profile")
    if image.mode in ("1", "P"):
        image = image.convert("RGB")
    if not profile:
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image.convert("RGB")
    assert converted is not None, "not in place, so a picture comes back"
    return converted


def _turned_upright(image: Image.Image, decoded: Image.Image) -> Image.Image:
    """`decoded`, turned as the EXIF block of `image` says; a broken block is no reason to lose a picture."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except _BROKEN:
        return decoded
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return decoded if turn is None else decoded.transpose(turn)


def cropped(path: Path, box: Box | None) -> Pixels:
    """The part of a picture that lies in `box`, as `open_pixels` reads it; all of it where there is no box.

    Of a box that reaches over the picture's edge it is what the picture has.

    Raises:
        PictureError: where nothing is left, or the picture cannot be read.
    """
    pixels = open_pixels(path)
    if box is None:
        return pixels
    kept = pixels[max(box.top, 0) : max(box.bottom, 0), max(box.left, 0) : max(box.right, 0)]
    if kept.size == 0:
        height, width = pixels.shape[:2]
        raise PictureError(
            f"The crop of {path}, from {box.left},{box.top} to {box.right},{box.bottom}, leaves nothing of the "
            f"picture, which is {width} x {height} px. Mend it in images.jsonl."
        )
    return kept


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, in lower-case hexadecimal.

    Raises:
        WorkspaceError: where the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as fault:
        raise WorkspaceError.of(path, fault) from fault


def fit(pixels: Pixels, width: int, height: int, *, window: tuple[float, float, float, float] | None = None) -> Pixels:
    """A part of a picture, resized to `width` and `height` without aliasing (Lanczos).

    Args:
        window: left, top, right and bottom of the part, px; by default the largest centred one of that shape.
    """
    if window is None:
        rows, columns = pixels.shape[:2]
        scale = min(columns / width, rows / height)
        left, top = (columns - width * scale) / 2, (rows - height * scale) / 2
        window = (left, top, min(left + width * scale, columns), min(top + height * scale, rows))
    return numpy.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS, box=window))


def save_png(path: Path, pixels: Pixels, text: Mapping[str, str] | None = None, *, xmp: str = "") -> None:
    """`path` is a PNG of `pixels`, written atomically.

    Args:
        text: kept in the file by key, as other tools keep a picture's prompt under "parameters".
        xmp: as for `png_of`.

    Raises:
        WorkspaceError: on a full disk or in a read-only folder.
    """
    write_atomically(path, png_of(pixels, text, xmp=xmp))


def png_of(pixels: Pixels, text: Mapping[str, str] | None = None, *, xmp: str = "") -> bytes:
    """A PNG of `pixels`; equal contents give equal bytes.

    Args:
        text: kept in the file by key.
        xmp: a packet that is kept where XMP's specification says, part 3, section 1.1.5.
    """
    info = PngImagePlugin.PngInfo()
    if xmp:
        info.add_itxt("XML:com.adobe.xmp", xmp)
    for key, value in (text or {}).items():
        info.add_text(key, value)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", pnginfo=info)
    return file.getvalue()
