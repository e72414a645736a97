"""The models that readers need: the registry, downloads, and the commands."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO
from urllib.error import URLError

import pytest
from typer.testing import CliRunner

from likeness import cli
from likeness.errors import LikenessError, WorkspaceError
from likeness.events import Event
from likeness.perception import READERS
from likeness.perception.downloads import fetch, https
from likeness.perception.models import (
    MODELS,
    PROFILES,
    MissingModel,
    Model,
    checked,
    digest,
    models_folder,
    models_named,
)

DATA = bytes(range(256)) * 9000  # 2.3 MB: three parts


def model_of(data: bytes = DATA, *, known: bool = True) -> Model:
    """A model whose file is `data`."""
    hashed = sha256(data).hexdigest() if known else ""
    return replace(MODELS["yunet"], name="tiny", file="tiny.onnx", size=len(data), sha256=hashed)


def serving(data: bytes, asked: list[str] | None = None) -> Callable[[str], BinaryIO]:
    """An opener of addresses that always answers with `data`."""

    def open_url(url: str) -> BinaryIO:
        if asked is not None:
            asked.append(url)
        return io.BytesIO(data)

    return open_url


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIKENESS_OFFLINE", "HF_HUB_OFFLINE", "LIKENESS_MODELS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


class TestTheRegistry:
    @pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
    def test_every_model_is_pinned_and_explained(self, model: Model):
        assert len(model.sha256) == 64
        assert int(model.sha256, 16) > 0
        assert model.url.startswith("https://")
        assert "/main/" not in model.url, "an address that moves with a branch is no fixed file"
        assert model.size > 0
        assert all((model.task, model.licence, model.page, model.form))

    def test_no_two_models_share_a_file_or_a_hash(self):
        assert len({model.file for model in MODELS.values()}) == len(MODELS)
        assert len({model.sha256 for model in MODELS.values()}) == len(MODELS)

    def test_every_profile_is_a_reader_and_every_model_it_needs_is_known(self):
        assert PROFILES.keys() <= READERS.keys()
        assert {name for needed in PROFILES.values() for name in needed} <= MODELS.keys()

    def test_a_reader_s_name_stands_for_all_that_it_needs_and_each_comes_once(self):
        assert [model.name for model in models_named(["sface", "photo"])] == ["sface", "yunet"]

    def test_an_unknown_name_is_refused_with_those_that_are_known(self):
        with pytest.raises(LikenessError, match=r"no model is called 'yunnet'.*yunet, sface.*photo, anime"):
            models_named(["yunnet"])


class TestTheFolder:
    def test_it_is_in_the_cache_unless_a_person_names_another(self, monkeypatch: pytest.MonkeyPatch):
        assert models_folder() == Path.home() / ".cache" / "likeness" / "models"
        monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/ann")
        assert models_folder() == Path("/var/cache/ann/likeness/models")
        monkeypatch.setenv("LIKENESS_MODELS", "/srv/models")
        assert models_folder() == Path("/srv/models")


class TestChecking:
    def test_a_file_that_is_what_it_must_be_is_told_with_its_hash(self, tmp_path: Path):
        (tmp_path / "tiny.onnx").write_bytes(DATA)
        found = checked(["tiny"], tmp_path, why="a test", among={"tiny": model_of()})
        assert found == {"tiny": (tmp_path / "tiny.onnx", sha256(DATA).hexdigest())}

    def test_another_file_is_refused(self, tmp_path: Path):
        (tmp_path / "tiny.onnx").write_bytes(DATA + b"!")
        with pytest.raises(MissingModel, match=r"is not the model tiny: .*must be .*likeness models fetch tiny$"):
            checked(["tiny"], tmp_path, why="a test", among={"tiny": model_of()})

    def test_a_missing_one_names_who_needs_it_its_licence_and_the_cure(self, tmp_path: Path):
        with pytest.raises(MissingModel, match=r"^a test needs .*tiny \(2\.3 MB, licence MIT\)") as refused:
            checked(["tiny"], tmp_path, why="a test", among={"tiny": model_of()})
        assert refused.value.cure == "likeness models fetch tiny"

    def test_missing_ones_are_told_with_all_that_their_terms_say_and_each_note_once(self, tmp_path: Path):
        with pytest.raises(MissingModel) as refused:
            checked(["anime"], tmp_path, why="a test")
        assert f"anime-head, anime-person: {MODELS['anime-head'].note} ccip: " in str(refused.value)
        research = replace(model_of(), licence="research", commercial=False)
        with pytest.raises(MissingModel, match="licence research, NOT COMMERCIAL"):
            checked(["tiny"], tmp_path, why="a test", among={"tiny": research})

    def test_the_digest_of_a_set_changes_with_any_of_it_and_not_with_its_order(self):
        one, two = {"a": (Path("a"), "1"), "b": (Path("b"), "2")}, {"a": (Path("a"), "1"), "b": (Path("b"), "3")}
        assert digest(one) == digest(dict(reversed(one.items())))
        assert digest(one) != digest(two)
        assert len(digest(one)) == 64


class TestFetching:
    def test_what_comes_is_kept_whole_and_progress_is_told(self, tmp_path: Path):
        events: list[Event] = []
        path, hashed = fetch(model_of(), tmp_path / "new" / "folder", open_url=serving(DATA), report=events.append)
        assert path.read_bytes() == DATA
        assert hashed == sha256(DATA).hexdigest()
        assert [event.done for event in events] == [0, 1 << 20, 2 << 20, len(DATA)]
        assert "licence MIT" in events[0].note
        assert [file.name for file in path.parent.iterdir()] == ["tiny.onnx"]

    def test_before_anything_comes_all_is_told_that_its_terms_say(self, tmp_path: Path):
        events: list[Event] = []
        model = replace(model_of(), licence="research", commercial=False, note="Read its card.")
        fetch(model, tmp_path, open_url=serving(DATA), report=events.append)
        assert events[0].done == 0
        assert events[0].note == f"licence research, NOT COMMERCIAL, from {model.url}. Read its card."

    def test_a_file_that_is_there_is_not_downloaded_again(self, tmp_path: Path):
        asked: list[str] = []
        for _ in range(2):
            fetch(model_of(), tmp_path, open_url=serving(DATA, asked))
        assert asked == [MODELS["yunet"].url]

    @pytest.mark.parametrize(
        ("sent", "said"),
        [
            (bytes(len(DATA)), "its sha256 is .* and must be .* not kept"),
            (DATA[:-1], "gave 2,303,999 of 2,304,000 bytes of tiny. It was not kept"),
            (DATA + b"!", "gave more than 2,304,000 bytes"),
            (b"", "gave 0 of 2,304,000 bytes"),
        ],
    )
    def test_what_is_not_the_model_is_refused_and_not_kept(self, tmp_path: Path, sent: bytes, said: str):
        with pytest.raises(LikenessError, match=said):
            fetch(model_of(), tmp_path, open_url=serving(sent))
        assert list(tmp_path.iterdir()) == []

    def test_a_download_without_end_is_stopped_at_the_model_s_size(self, tmp_path: Path):
        class Endless(io.BytesIO):
            parts = 0

            def read(self, size: int | None = -1) -> bytes:
                self.parts += 1
                assert self.parts < 9
                return bytes(size or 0)

        with pytest.raises(LikenessError, match="gave more than"):
            fetch(model_of(), tmp_path, open_url=lambda url: Endless())

    def test_a_damaged_file_is_replaced(self, tmp_path: Path):
        (tmp_path / "tiny.onnx").write_bytes(b"damaged")
        fetch(model_of(), tmp_path, open_url=serving(DATA))
        assert (tmp_path / "tiny.onnx").read_bytes() == DATA

    def test_a_damaged_file_stays_where_nothing_better_comes(self, tmp_path: Path):
        (tmp_path / "tiny.onnx").write_bytes(b"damaged")
        with pytest.raises(LikenessError, match="must be"):
            fetch(model_of(), tmp_path, open_url=serving(bytes(len(DATA))))
        assert (tmp_path / "tiny.onnx").read_bytes() == b"damaged"

    @pytest.mark.parametrize("switch", ["LIKENESS_OFFLINE", "HF_HUB_OFFLINE"])
    def test_offline_nothing_is_asked_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch: str):
        asked: list[str] = []
        monkeypatch.setenv(switch, "1")
        with pytest.raises(LikenessError, match=rf"{switch} is set: nothing is downloaded.*at .*tiny\.onnx"):
            fetch(model_of(), tmp_path, open_url=serving(DATA, asked))
        assert asked == []

    def test_no_answer_is_told_in_words(self, tmp_path: Path):
        def unreachable(url: str) -> BinaryIO:
            raise URLError("no route to host")

        with pytest.raises(LikenessError, match=r"tiny cannot be downloaded from https.*no route to host.*by hand"):
            fetch(model_of(), tmp_path, open_url=unreachable)

    def test_a_connection_that_breaks_leaves_nothing_behind(self, tmp_path: Path):
        class Broken(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                if self.tell():
                    raise ConnectionResetError("reset by peer")
                return super().read(size)

        with pytest.raises(LikenessError, match="reset by peer"):
            fetch(model_of(), tmp_path, open_url=lambda url: Broken(DATA))
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_is_a_file_is_told_in_words(self, tmp_path: Path):
        (tmp_path / "file").touch()
        with pytest.raises(WorkspaceError, match="is a file"):
            fetch(model_of(), tmp_path / "file", open_url=serving(DATA))

    @pytest.mark.parametrize("url", ["http://example.org/a.onnx", "file:///etc/passwd"])
    def test_only_https_is_opened(self, url: str):
        with pytest.raises(URLError, match="not https"):
            https(url)


class TestAModelWhoseHashIsNotKnown:
    def test_its_first_download_is_recorded_and_told(self, tmp_path: Path):
        events: list[Event] = []
        _, hashed = fetch(model_of(known=False), tmp_path, open_url=serving(DATA), report=events.append)
        assert (tmp_path / "tiny.onnx.sha256").read_text() == f"{hashed}\n"
        assert hashed in events[-1].note

    def test_any_other_content_is_refused_from_then_on(self, tmp_path: Path):
        model = model_of(known=False)
        fetch(model, tmp_path, open_url=serving(DATA))
        (tmp_path / "tiny.onnx").write_bytes(bytes(len(DATA)))
        with pytest.raises(MissingModel, match="is not the model tiny"):
            checked(["tiny"], tmp_path, why="a test", among={"tiny": model})
        with pytest.raises(LikenessError, match="must be"):
            fetch(model, tmp_path, open_url=serving(bytes(len(DATA))))
        fetch(model, tmp_path, open_url=serving(DATA))
        assert checked(["tiny"], tmp_path, why="a test", among={"tiny": model})["tiny"][0] == tmp_path / "tiny.onnx"


class TestTheCommands:
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LIKENESS_MODELS", str(tmp_path))
        monkeypatch.setitem(MODELS, "tiny", model_of())  # pyright: ignore[reportArgumentType]  # the mapping is a dict

    def run(self, *arguments: str) -> str:
        done = CliRunner().invoke(cli.app, ["models", *arguments], catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    def test_list_tells_all_of_every_model_as_json(self, tmp_path: Path):
        (tmp_path / "tiny.onnx").write_bytes(DATA)
        told = json.loads(self.run("list", "--json"))
        assert told["folder"] == str(tmp_path)
        rows = {row["name"]: row for row in told["models"]}
        assert rows.keys() == MODELS.keys()
        assert rows["tiny"]["is_here"]
        assert not rows["sface"]["is_here"]
        assert rows["sface"]["licence"] == "Apache-2.0"
        assert rows["sface"]["needed_by"] == ["photo"]

    def test_list_marks_what_may_not_be_used_commercially(self, monkeypatch: pytest.MonkeyPatch):
        assert "NOT COMMERCIAL" not in self.run("list")
        research = replace(model_of(), licence="research", commercial=False)
        monkeypatch.setitem(MODELS, "tiny", research)  # pyright: ignore[reportArgumentType]
        table = self.run("list")
        assert "research, NOT COMMERCIAL" in table
        assert "AGPL-3.0" in table

    def test_path_tells_where_a_model_lies_once_it_is_there(self, tmp_path: Path):
        with pytest.raises(MissingModel, match="likeness models fetch tiny"):
            self.run("path", "tiny")
        (tmp_path / "tiny.onnx").write_bytes(DATA)
        assert self.run("path", "tiny").strip() == str(tmp_path / "tiny.onnx")

    def test_fetch_tells_the_path_of_what_is_there_already(self, tmp_path: Path):
        (tmp_path / "tiny.onnx").write_bytes(DATA)
        told = json.loads(self.run("fetch", "tiny", "--json").splitlines()[-1])
        assert told == {"models": [{"name": "tiny", "path": str(tmp_path / "tiny.onnx"), "sha256": model_of().sha256}]}

    def test_fetch_offline_says_so(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("LIKENESS_OFFLINE", "1")
        with pytest.raises(LikenessError, match="LIKENESS_OFFLINE is set"):
            self.run("fetch", "tiny")
