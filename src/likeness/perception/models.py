"""The models that readers need: what each is, where it comes from, under which licence, and where it lies here.

Nothing is downloaded unless a person asks for it: `likeness models fetch`. A file is compared with its sha256 each time
that it is opened.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from likeness.errors import LikenessError
from likeness.images import sha256_of

__all__ = ["MODELS", "PROFILES", "MissingModel", "Model", "checked", "digest", "models_folder", "models_named"]

_ZOO = "https://github.com/opencv/opencv_zoo"
_ZOO_FILES = "https://media.githubusercontent.com/media/opencv/opencv_zoo/47534e27c9851bb1128ccc0102f1145e27f23f98"
_HUB = "https://huggingface.co"
_YOLO_TERMS = "Its card says MIT; the file's own metadata names AGPL-3.0, the licence of the program that trained it."


class MissingModel(LikenessError):
    """A model that a reader needs and that is not here, or not whole.

    Attributes:
        cure: the command that fetches it.
    """

    def __init__(self, message: str, cure: str) -> None:
        self.cure = cure
        super().__init__(f"{message} Fetch it with: {cure}")


@dataclass(frozen=True, slots=True)
class Model:
    """One file that a reader needs.

    Attributes:
        name: what a person types.
        task: what it does, in words.
        file: its name in the models folder.
        licence: of the weights, as their authors state it.
        commercial: whether that licence allows commercial use.
        size: bytes.
        sha256: of its bytes; empty where no source for it was found: then the first download fixes it (`recorded`).
        url: where it is downloaded from, at a fixed revision.
        page: where its authors describe it.
        form: what it takes: layout, size in px, colour order, range.
        note: what else a person should know about its terms.
    """

    name: str
    task: str
    file: str
    licence: str
    commercial: bool
    size: int
    sha256: str
    url: str
    page: str
    form: str
    note: str = ""

    @property
    def terms(self) -> str:
        """Its licence, and that it forbids commercial use where it does; `note` may say more."""
        return self.licence + ("" if self.commercial else ", NOT COMMERCIAL")

    def path(self, folder: Path) -> Path:
        """Where it lies in a models folder, whether or not it is there."""
        return folder / self.file

    def recorded(self, folder: Path) -> Path:
        """Where the hash of its first download is kept, for a model whose own is not known."""
        return folder / f"{self.file}.sha256"

    def expected(self, folder: Path) -> str:
        """The sha256 that its file must have; empty where nothing is known yet."""
        recorded = self.recorded(folder)
        return self.sha256 or (recorded.read_text(encoding="utf-8").strip() if recorded.is_file() else "")


# Hashes and sizes of the OpenCV Zoo are those of its Git LFS pointers; the others are pinned alike by several
# independent public projects. None of the files was at hand when this was written.
MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        Model(
            name="yunet",
            task="finds faces in photos, with eyes, nose and mouth corners",
            file="face_detection_yunet_2023mar.onnx",
            licence="MIT",
            commercial=True,
            size=232_589,
            sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
            url=f"{_ZOO_FILES}/models/face_detection_yunet/face_detection_yunet_2023mar.onnx",
            page=f"{_ZOO}/tree/main/models/face_detection_yunet",
            form="NCHW, 640 x 640, BGR, 0 to 255",
        ),
        Model(
            name="sface",
            task="tells whose face it is, in photos: 128 numbers",
            file="face_recognition_sface_2021dec.onnx",
            licence="Apache-2.0",
            commercial=True,
            size=38_696_353,
            sha256="0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
            url=f"{_ZOO_FILES}/models/face_recognition_sface/face_recognition_sface_2021dec.onnx",
            page=f"{_ZOO}/tree/main/models/face_recognition_sface",
            form="NCHW, 112 x 112, aligned by five points, RGB, 0 to 255",
        ),
        Model(
            name="photo-expression",
            task="names the expression of a face in photos (optional)",
            file="facial_expression_recognition_mobilefacenet_2022july.onnx",
            licence="Apache-2.0",
            commercial=True,
            size=4_791_892,
            sha256="4f61307602fc089ce20488a31d4e4614e3c9753a7d6c41578c854858b183e1a9",
            url=f"{_ZOO_FILES}/models/facial_expression_recognition/"
            "facial_expression_recognition_mobilefacenet_2022july.onnx",
            page=f"{_ZOO}/tree/main/models/facial_expression_recognition",
            form="NCHW, 112 x 112, aligned by five points, RGB, -1 to 1",
        ),
        Model(
            name="anime-head",
            task="finds heads in drawings, also from behind",
            file="anime_head_detect_v2.0_s.onnx",
            licence="MIT",
            commercial=True,
            size=44_585_386,
            sha256="6679f9b71192298bbf174d82e9e5581c3237b0c3dc67deace7cdbf686b070a00",
            url=f"{_HUB}/deepghs/anime_head_detection/resolve/06604feee81983792a57c21081e539c0ae229833/"
            "head_detect_v2.0_s/model.onnx",
            page=f"{_HUB}/deepghs/anime_head_detection",
            form="NCHW, 640 x 640, RGB, 0 to 1",
            note=_YOLO_TERMS,
        ),
        Model(
            name="anime-person",
            task="finds whole figures in drawings",
            file="anime_person_detect_v1.3_s.onnx",
            licence="MIT",
            commercial=True,
            size=44_583_231,
            sha256="6da88929438cd442e31e45ff4f934dd2d7eb9cf7a423c22885d650ee52550f90",
            url=f"{_HUB}/deepghs/anime_person_detection/resolve/e39c744c22432ad01f91dd254fe2b02c8d878b8c/"
            "person_detect_v1.3_s/model.onnx",
            page=f"{_HUB}/deepghs/anime_person_detection",
            form="NCHW, 640 x 640, RGB, 0 to 1",
            note=_YOLO_TERMS,
        ),
        Model(
            name="anime-face",
            task="finds faces in drawings, which tells the side of a profile (optional)",
            file="anime_face_detect_v1.4_s.onnx",
            licence="MIT",
            commercial=True,
            size=44_583_229,
            sha256="403b5bc93b6ff789b7d183418df4a1364049bac00c24acd927604a7ff6891483",
            url=f"{_HUB}/deepghs/anime_face_detection/resolve/784dc4c0bb692351ddcdbe6131a050b17d3025d5/"
            "face_detect_v1.4_s/model.onnx",
            page=f"{_HUB}/deepghs/anime_face_detection",
            form="NCHW, 640 x 640, RGB, 0 to 1",
            note=_YOLO_TERMS,
        ),
        Model(
            name="wd-vit-tagger-v3",
            task="says in booru tags what a drawing shows",
            file="wd-vit-tagger-v3.onnx",
            licence="Apache-2.0",
            commercial=True,
            size=378_536_310,
            sha256="35f23693620b668f4d53fd3c62bf65e40af739bc52c7eb0fbc49258b58d065b6",
            url=f"{_HUB}/SmilingWolf/wd-vit-tagger-v3/resolve/7f6b584d0bd3f55c4531f14ba3d4761b2bccdc0f/model.onnx",
            page=f"{_HUB}/SmilingWolf/wd-vit-tagger-v3",
            form="NHWC, 448 x 448, padded white to a square, BGR, 0 to 255",
        ),
        Model(
            name="wd-tags-v3",
            task="the tagger's words, one a line",
            file="wd-vit-tagger-v3.csv",
            licence="Apache-2.0",
            commercial=True,
            size=308_468,
            sha256="298633d94d0031d2081c0893f29c82eab7f0df00b08483ba8f29d1e979441217",
            url=f"{_HUB}/SmilingWolf/wd-vit-tagger-v3/resolve/7f6b584d0bd3f55c4531f14ba3d4761b2bccdc0f/"
            "selected_tags.csv",
            page=f"{_HUB}/SmilingWolf/wd-vit-tagger-v3",
            form="CSV: tag_id, name, category (0 general, 4 character, 9 rating), count",
        ),
        Model(
            name="ccip",
            task="tells which character it is, in drawings: 768 numbers",
            file="ccip-caformer-24-randaug-pruned.onnx",
            licence="OpenRAIL",
            commercial=True,
            size=150_248_245,
            sha256="4ea118d16496274f4f6e08d3afc768cc592389e8f7f32f8732ce2215c228ac5f",
            url=f"{_HUB}/deepghs/ccip_onnx/resolve/eb2acdd29af1703388d3d0c04221add322bc9110/"
            "ccip-caformer-24-randaug-pruned/model_feat.onnx",
            page=f"{_HUB}/deepghs/ccip_onnx",
            form="NCHW, 384 x 384, stretched, RGB, 0 to 1 less CLIP's mean, over CLIP's deviation",
            note="OpenRAIL forbids some uses, whoever pays for them; read it.",
        ),
    )
}
"""Every model that a reader of `likeness.perception.READERS` can use, by name."""

PROFILES: Mapping[str, tuple[str, ...]] = {
    "photo": ("yunet", "sface"),
    "anime": ("anime-head", "anime-person", "wd-vit-tagger-v3", "wd-tags-v3", "ccip"),
}
"""The models without which a reader cannot work, by the reader's name. What is optional is used where it is there."""


def models_folder() -> Path:
    """Where models are kept: LIKENESS_MODELS, else likeness/models in XDG_CACHE_HOME or ~/.cache."""
    chosen = os.environ.get("LIKENESS_MODELS")
    if chosen:
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "likeness" / "models"


def models_named(names: Iterable[str], *, among: Mapping[str, Model] = MODELS) -> list[Model]:
    """The models of these names, each once; a reader's name stands for all that it needs.

    Raises:
        LikenessError: for a name that is not known.
    """
    wanted = dict.fromkeys(part for name in names for part in PROFILES.get(name, (name,)))
    for name in wanted:
        if name not in among:
            raise LikenessError(
                f"no model is called {name!r}. Use one of {', '.join(among)}; or a reader, for all that it needs: "
                f"{', '.join(PROFILES)}."
            )
    return [among[name] for name in wanted]


def checked(
    names: Iterable[str], folder: Path, *, why: str, among: Mapping[str, Model] = MODELS
) -> dict[str, tuple[Path, str]]:
    """Path and sha256 of each of these models, by name, with every file compared with what it must be.

    Args:
        why: who needs them, as in "perception.reader = 'photo'".

    Raises:
        MissingModel: where files are missing or are not what they must be; all are named, with licence and cure.
    """
    models = models_named(names, among=among)
    absent = [model for model in models if not model.path(folder).is_file()]
    if absent:
        told = "; ".join(f"{model.name} ({model.size / 1e6:.1f} MB, licence {model.terms})" for model in absent)
        raise MissingModel(
            f"{why} needs models that are not in {folder}: {told}. {_notes(absent)}"
            "Nothing is downloaded unless you ask for it.",
            _fetching(absent),
        )
    return {model.name: (model.path(folder), _checked_sha256(model, folder)) for model in models}


def _notes(models: Iterable[Model]) -> str:
    """What else there is to know about the terms of models, each note once: "a, b: Its card says otherwise. "."""
    names: dict[str, list[str]] = {}
    for model in models:
        names.setdefault(model.note, []).append(model.name)
    return "".join(f"{', '.join(of)}: {note} " for note, of in names.items() if note)


def _checked_sha256(model: Model, folder: Path) -> str:
    found, expected = sha256_of(model.path(folder)), model.expected(folder)
    if expected and found != expected:
        raise MissingModel(
            f"{model.path(folder)} is not the model {model.name}: its sha256 is {found}, and must be {expected}. "
            "It is not opened. Delete it.",
            _fetching([model]),
        )
    return found


def _fetching(models: Iterable[Model]) -> str:
    return f"likeness models fetch {' '.join(model.name for model in models)}"


def digest(found: Mapping[str, tuple[Path, str]]) -> str:
    """One sha256 for a set of models, so that a reading can be told stale when any of them changes."""
    lines = sorted(f"{name} {hashed}\n" for name, (_, hashed) in found.items())
    return sha256("".join(lines).encode()).hexdigest()
