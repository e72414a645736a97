"""Labels: a person's words are read strictly, kept as they were written, and win over an instrument's."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from likeness.dataset.labels import Label, changed, labelled, read_labels, write_labels
from likeness.errors import WorkspaceError
from likeness.records import Reading

READ = Reading(
    view="front",
    yaw=3.0,
    expression="smile",
    traits={"hair_colour": "red"},
    confidence={"view": 0.4, "expression": 0.9},
    instrument="maquette",
    instrument_sha256="0" * 64,
)


def table(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return path


# -- reading -----------------------------------------------------------------------------------------------------------


def test_a_table_says_what_its_cells_say_and_an_empty_cell_says_nothing(tmp_path: Path):
    path = table(tmp_path, "path,use,view,people,outfit\na.png,train,profile left,2,uniform\nb.png,,,,\n")
    assert read_labels(path) == {
        "a.png": Label(path="a.png", use="train", view="profile left", people=2, traits={"outfit": "uniform"}),
        "b.png": Label(path="b.png"),
    }


def test_where_there_is_no_table_nothing_is_said(tmp_path: Path):
    assert read_labels(tmp_path / "labels.csv") == {}
    assert read_labels(table(tmp_path, "")) == {}


@pytest.mark.parametrize(
    "text",
    [
        "path;use;Hair Colour\r\nä.png;train;blue\r\n",
        "\ufeffpath,use,hair_colour\nä.png,train,blue\n",
        "path\tuse\thair colour\nä.png\ttrain\tblue\n",
        'path,use,hair_colour,,\n"ä.png", train ,blue,,\n,,,,\n\n',
        "Path,Use,Hair_Colour\rä.png,train,blue\r",
    ],
)
def test_what_excel_makes_of_a_table_is_read_the_same(tmp_path: Path, text: str):
    assert read_labels(table(tmp_path, text)) == {
        "ä.png": Label(path="ä.png", use="train", traits={"hair_colour": "blue"})
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,use\nb.png,train\n", r"row 2: there is no picture 'b\.png'; did you mean 'deep/a\.png'\?|no picture"),
        ("path,use\ndeep/b.png,train\n", r"did you mean 'deep/a\.png'"),
        (
            "path,view\na.png,left profile\n",
            r"row 2: view = 'left profile': use one of front, .*did you mean 'profile left'",
        ),
        ("path,framing\na.png,waist\n", "framing = 'waist': use one of face, upper body, full body"),
        ("path,use\na.png,heldout\n", "use = 'heldout': use one of train, held-out, rejected; did you mean 'held-out'"),
        ("path,people\na.png,two\n", "people = 'two': input should be a valid integer"),
        ("path,people\na.png,-1\n", "people = '-1'"),
        ("path,use\na.png,train\na.png,rejected\n", r"row 3 is a second row for a\.png"),
        ("path,use\na.png,train,x\n", "row 2 has 3 cells, but there are 2 columns"),
        ("path,use\n,train\n", "row 2: there is no path"),
        ("path,expresion\na.png,smile\n", "'expresion' is not known; did you mean 'expression'"),
        ("path,veiw\na.png,front\n", "did you mean 'view'"),
        ("path,,use\na.png,x,train\n", "has no name"),
        ("path,outfit,Outfit\na.png,x,y\n", "two columns 'outfit'"),
        ("picture,use\na.png,train\n", "no column `path`"),
        ('path,use\n"a.png,train\n', "not a table"),
    ],
)
def test_a_table_at_fault_is_told_with_its_row_and_what_is_allowed(tmp_path: Path, text: str, words: str):
    with pytest.raises(WorkspaceError, match=words):
        read_labels(table(tmp_path, text), known=["a.png", "deep/a.png"])


def test_a_table_that_is_not_utf_8_is_told_how_to_be_saved(tmp_path: Path):
    with pytest.raises(WorkspaceError, match="CSV UTF-8"):
        read_labels(table(tmp_path, "path,use\nä.png,train\n", "latin-1"))


def test_a_trait_may_sound_like_a_column(tmp_path: Path):
    assert read_labels(table(tmp_path, "path,nose\na.png,snub\n"))["a.png"].traits == {"nose": "snub"}


def test_paths_may_be_written_as_on_windows(tmp_path: Path):
    assert list(read_labels(table(tmp_path, "path,use\ndeep\\a.png,train\n"), known=["deep/a.png"])) == ["deep/a.png"]


# -- writing -----------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_back_the_same(tmp_path: Path):
    path = tmp_path / "labels.csv"
    labels = {
        "b, or so.png": Label(path="b, or so.png", use="rejected", traits={"outfit": 'a "dress"'}),
        "a.png": Label(path="a.png", view="back", people=0),
    }
    write_labels(path, labels)
    assert read_labels(path) == labels
    assert list(read_labels(path)) == ["b, or so.png", "a.png"]


def test_the_order_of_columns_the_separator_and_the_mark_stay(tmp_path: Path):
    path = table(tmp_path, "\ufeffoutfit;path;use\nuniform;a.png;train\n")
    labels = read_labels(path)
    write_labels(path, labels | {"b.png": Label(path="b.png", view="front")})
    assert path.read_text() == "\ufeffoutfit;path;use;view\nuniform;a.png;train;\n;b.png;;front\n"


def test_a_label_that_says_nothing_leaves_no_row(tmp_path: Path):
    path = table(tmp_path, "path,use\na.png,train\nb.png,rejected\n")
    labels = read_labels(path)
    labels["a.png"] = changed(labels["a.png"], {"use": ""})
    write_labels(path, labels)
    assert path.read_text() == "path,use\nb.png,rejected\n"


# -- changing ----------------------------------------------------------------------------------------------------------


def test_words_change_a_label_and_an_empty_one_takes_back():
    label = Label(path="a.png", use="train", view="front", traits={"outfit": "uniform"})
    assert changed(label, {"use": "", "view": "back", "people": "1", "Hair Colour": "blue", "outfit": ""}) == Label(
        path="a.png", view="back", people=1, traits={"hair_colour": "blue"}
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"view": "side"}, "view = 'side': use one of"),
        ({"veiw": "front"}, "did you mean 'view'"),
        ({"use": "yes"}, "use = 'yes': use one of"),
        ({"": "x"}, "no name"),
    ],
)
def test_words_that_are_not_allowed_are_told(words: dict[str, str], told: str):
    with pytest.raises(WorkspaceError, match=told):
        changed(Label(path="a.png"), words)


# -- winning -----------------------------------------------------------------------------------------------------------


def test_a_persons_words_win_and_are_sure():
    label = Label(path="a.png", view="back", traits={"hair_colour": "blue"})
    reading = labelled(READ, label)
    assert reading
    assert (reading.view, reading.yaw, reading.expression) == ("back", None, "smile")
    assert reading.traits == {"hair_colour": "blue"}
    assert reading.confidence == {"view": 1.0, "expression": 0.9, "hair_colour": 1.0}
    assert (reading.instrument, READ.view) == ("maquette", "front")


def test_a_yaw_stays_with_the_view_that_a_person_agrees_with():
    reading = labelled(READ, Label(path="a.png", view="front"))
    assert reading
    assert (reading.yaw, reading.confidence["view"]) == (3.0, 1.0)


def test_where_no_instrument_looked_the_person_is_the_instrument():
    label = Label(path="a.png", expression="angry", people=1)
    reading = labelled(None, label)
    assert reading
    assert (reading.expression, reading.people, reading.instrument) == ("angry", 1, "person")
    other = labelled(None, changed(label, {"people": "2"}))
    assert other
    assert other.instrument_sha256 != reading.instrument_sha256


def test_a_lock_alone_says_nothing_of_what_is_seen():
    assert labelled(READ, Label(path="a.png", use="train")) == READ
    assert labelled(None, Label(path="a.png", use="rejected")) is None


def test_a_label_is_strict():
    with pytest.raises(ValidationError):
        Label(path="a.png", view="sideways")
