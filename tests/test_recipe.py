import datetime
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

from likeness.errors import ConsentError, RecipeError, WorkspaceError
from likeness.recipe import (
    AdapterSet,
    CharacterConfig,
    Consent,
    EncodeConfig,
    Recipe,
    SampleConfig,
    TrainConfig,
    check_may_publish,
    check_may_train,
    load_recipe,
    write_recipe,
)

LEAST = '[character]\nname = "Mira"\ntrigger = "mira"\nkind = "original"\n'
MIRA = Recipe(character=CharacterConfig(name="Mira", trigger="mira", kind="original"))
CONSENT = Consent(
    who="Ann Doe",
    basis="signed release",
    scope="portraits for her own page, until 2030",
    date=datetime.date(2026, 1, 31),
    evidence_sha256="AB" * 32,
    adult=True,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "likeness.toml"
    path.write_text(LEAST)
    return path


def faults_of(path: Path, *overrides: str) -> list[str]:
    """The lines of the message that an invalid recipe gets, without the first, which names the file."""
    first, *lines = message_of(path, *overrides).splitlines()
    assert first == f"{path} is not a valid recipe:"
    return lines_of(lines)


def slips_of(path: Path, *overrides: str) -> list[str]:
    """The same of a recipe in which nothing is wrong but for what is laid over it."""
    first, *lines = message_of(path, *overrides).splitlines()
    assert first == "What --set says is not valid:"
    return lines_of(lines)


def message_of(path: Path, *overrides: str) -> str:
    """The message that an invalid recipe gets."""
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    return str(caught.value)


def lines_of(lines: list[str]) -> list[str]:
    """The lines under a heading, without their indent."""
    assert all(line.startswith("  ") for line in lines)
    return [line[2:] for line in lines]


# -- what is valid -----------------------------------------------------------------------------------------------------


def test_three_lines_are_a_recipe_and_all_else_has_a_default(file: Path):
    assert load_recipe(file) == MIRA


def test_alpha_follows_the_rank_unless_it_is_set(file: Path):
    assert load_recipe(file, ["train.rank=8"]).train.alpha == 8
    assert load_recipe(file, ["train.rank=8", "train.alpha=4"]).train.alpha == 4
    assert AdapterSet(blocks="upper", rank=4).alpha == 4


def test_what_learns_is_one_set_or_the_sets_that_are_listed():
    assert TrainConfig(rank=8).adapter_sets() == (AdapterSet(blocks="attention", rank=8, alpha=8),)
    sets = (AdapterSet(blocks="upper", rank=4), AdapterSet(blocks=("lora_unet_mid_block_*",), rank=2))
    assert TrainConfig(sets=sets).adapter_sets() == sets


def test_every_value_of_a_recipe_survives_being_written_and_read(tmp_path: Path):
    recipe = Recipe(
        seed=2**62,
        character=CharacterConfig(
            name="Zoë 狐", trigger='z"oe\\', class_words="1girl", kind="real-person", consent=CONSENT
        ),
        encode=EncodeConfig(variants=3, shuffle=False),
        train=TrainConfig(
            learning_rate=3e-7,
            blocks=("a*", "b[0-9]"),
            sets=(AdapterSet(blocks=("up*",), rank=4, alpha=0.5),),
            sample_prompts=("a # b", "tab\tand\nline"),
        ),
        sample=SampleConfig(prompts=("{trigger}, smile",), negative="''' \"\"\""),
    )
    (tmp_path / "plain.toml").write_text(recipe.to_toml())
    write_recipe(tmp_path / "commented.toml", recipe)
    assert load_recipe(tmp_path / "plain.toml") == recipe
    assert load_recipe(tmp_path / "commented.toml") == recipe


def test_a_recipe_as_run_holds_its_defaults_too():
    """So that a later version with other defaults cannot change what a finished run says of itself."""
    for section in ("train", "encode", "sample", "caption", "base", "perception"):
        for field in type(getattr(MIRA, section)).model_fields:
            assert re.search(rf"^({field} = |\[{section}\.{field}\]$)", MIRA.to_toml(), re.M), field


def test_a_file_that_an_editor_began_with_a_byte_order_mark_is_read(file: Path):
    file.write_bytes(b"\xef\xbb\xbf" + LEAST.encode())
    assert load_recipe(file) == MIRA


def test_a_digest_changes_when_a_value_does_and_only_then():
    assert TrainConfig(steps=1000).digest == TrainConfig().digest
    assert TrainConfig(steps=1001).digest != TrainConfig().digest


def test_a_section_cannot_be_changed():
    with pytest.raises(ValidationError):
        MIRA.train.steps = 3  # pyright: ignore[reportAttributeAccessIssue]


# -- `likeness init` ---------------------------------------------------------------------------------------------------


def test_a_new_recipe_explains_every_field_and_sets_few(tmp_path: Path):
    write_recipe(tmp_path / "likeness.toml", MIRA)
    lines = (tmp_path / "likeness.toml").read_text().splitlines()
    for address, description in addresses(Recipe):
        assert f"# {description}" in lines, address
    written_out = [line.split(" = ")[0] for line in lines if line and line[0] not in "#["]
    assert written_out == [
        *("name", "trigger", "class_words", "kind", "path", "prompts"),
    ]


def test_every_comment_of_a_new_recipe_is_valid_once_it_is_no_comment(tmp_path: Path):
    """A person uncomments a line to change it: the line must then be right as it stands."""
    path = tmp_path / "likeness.toml"
    write_recipe(path, MIRA)
    path.write_text(re.sub(r"^# (\[|\w+ = )", r"\1", path.read_text(), flags=re.M))
    recipe = load_recipe(path)
    assert recipe.train == MIRA.train
    assert recipe.sample == MIRA.sample
    assert recipe.character.consent is not None


def test_a_recipe_is_never_overwritten(file: Path):
    with pytest.raises(WorkspaceError, match="exists already"):
        write_recipe(file, MIRA)
    assert file.read_text() == LEAST


def test_every_field_says_what_it_is_for():
    for address, description in addresses(Recipe):
        assert len(description) > 4, address
        assert description.endswith((".", ":")) or "px" in description, address


def addresses(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        yield prefix + name, field.description or ""
        if field.annotation == tuple[AdapterSet, ...]:
            continue  # written on one line, without room for comments
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from addresses(part, f"{prefix}{name}.")


# -- faults ------------------------------------------------------------------------------------------------------------


def test_all_faults_are_listed_at_once_with_field_value_and_what_is_allowed(file: Path):
    file.write_text(LEAST + "[train]\nrank = 0\nsteps = 'many'\nlearning_rte = 1e-4\n")
    assert sorted(faults_of(file)) == [
        "train.learning_rte: no such field; did you mean learning_rate?",
        "train.rank = 0: input should be greater than or equal to 1",
        "train.steps = 'many': input should be a valid integer, unable to parse string as an integer",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[train]\nbatch = true", "train.batch = True: input should be a number, not true or false"),
        ("[train]\nwarmup = nan", "train.warmup = nan: input should be a finite number"),
        (
            "[train]\nbatch = 2.5",
            "train.batch = 2.5: input should be a valid integer, got a number with a fractional part",
        ),
        (
            "[train]\nschedule = 'cosin'",
            "train.schedule = 'cosin': input should be 'auto', 'cosine', 'cosine-restarts', 'linear' or 'constant'",
        ),
        ("[train]\npreserve = 0.6", "train.preserve = 0.6: input should be less than or equal to 0.5"),
        (
            "[train]\nblocks = 3",
            "train.blocks = 3: input should be the name of a set, as in 'attention', "
            "or a list of patterns of layer names",
        ),
        (
            "[train]\nbetas = [0.9]",
            "train.betas[1]: missing; The optimizer's memory. 0.99 looks back 100 steps; 0.999 is for runs ten times "
            "as long.",
        ),
        (
            "[train]\nsets = [{ blocks = 'upper', rank = 4 }, { blocks = 'all', rank = 0 }]",
            "train.sets[1].rank = 0: input should be greater than or equal to 1",
        ),
        ("[encode]\nsize = 100", "encode.size = 100: input should be a multiple of 8"),
        ("[base]\ndevice = 'gpu'", "base.device = 'gpu': input should be 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'"),
        ("[sample]\nprompts = 'a cat'", 'sample.prompts = \'a cat\': input should be a list, as in ["one", "two"]'),
        ("[caption]\nadd = ['a, b']", "caption.add[0] = 'a, b': input should be one tag: no comma and no line break"),
        (
            "[character.consent]\nwho = 3",
            "character.consent.who = 3: input should be text: write it in quotes, '\"3\"'",
        ),
        (
            "[character.consent]\nevidence_sha256 = 'abc'",
            "character.consent.evidence_sha256 = 'abc': input should be a sha256: 64 hexadecimal digits, "
            "as sha256sum prints them",
        ),
        ("[train]\ntrigger = 'x'", "train.trigger: no such field; did you mean character.trigger?"),
        ("[trian]\nsteps = 3", "trian: no such field; did you mean train?"),
        (
            "[base]\nzzz = 1",
            "base.zzz: no such field; use one of path, device, dtype, quantise, prediction, zero_terminal, clip_skip, "
            "vae, vae_dtype, tokenizer",
        ),
        ("[evaluate]\nweights = { idenity = 9 }", "evaluate.weights.idenity: no such axis; did you mean identity?"),
        (
            "[evaluate.weights]\neconomy = 1",
            "evaluate.weights.economy: no such axis; use one of identity, face, body, clothing, attributes, freedom, "
            "adherence, override, variety",
        ),
        (
            "[train]\nsets = [{ blocks = 'a', rnk = 1, rank = 1 }]",
            "train.sets[0].rnk: no such field; did you mean rank?",
        ),
    ],
)
def test_a_fault_is_told_in_words(file: Path, text: str, fault: str):
    file.write_text(f"{LEAST}{text}\n")
    assert faults_of(file) == [fault]


def test_a_section_that_is_a_value_is_told_how_it_is_written(file: Path):
    file.write_text("train = 5\n" + LEAST)
    assert faults_of(file) == ["train = 5: input should be a section, written as [train]"]


def test_what_must_be_there_is_asked_for(tmp_path: Path):
    (tmp_path / "likeness.toml").write_text("[character]\nname = ' '\n")
    name, trigger, kind = faults_of(tmp_path / "likeness.toml")
    assert name == "character.name = ' ': string should have at least 1 character"
    assert trigger.startswith("character.trigger: missing; The word that calls")
    assert kind.startswith("character.kind: missing; A real person")
    (tmp_path / "likeness.toml").write_text("")
    assert faults_of(tmp_path / "likeness.toml") == ["character: missing; Who is learnt."]


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "a\nb", 'a"b', "a:b"])
def test_a_name_that_no_file_could_have_is_refused(name: str):
    with pytest.raises(ValidationError, match="a name that a file can have"):
        CharacterConfig(name=name, trigger="mira", kind="original")


def test_text_that_is_no_toml_is_told_with_its_place(file: Path):
    file.write_text(LEAST + "class_words = 1girl\n")
    with pytest.raises(RecipeError, match=r"likeness\.toml is not valid TOML: .*line 5.*quotes"):
        load_recipe(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="is not valid TOML"):
        load_recipe(file)


def test_a_missing_recipe_is_told_with_the_command_that_makes_one(tmp_path: Path):
    with pytest.raises(WorkspaceError, match="likeness init"):
        load_recipe(tmp_path / "likeness.toml")


# -- --set -------------------------------------------------------------------------------------------------------------


def test_a_value_is_read_as_toml_and_as_text_where_it_is_none(file: Path):
    recipe = load_recipe(
        file,
        [
            "train.steps=40",
            "train.learning_rate = 1e-3",
            'train.blocks=["up*", "mid*"]',
            "train.sets=[{blocks='upper', rank=2}]",
            "character.class_words=1girl, solo",
            "sample.prompts=['a=b, smile']",
            "sample.negative=blurry = bad",
            "encode.shuffle=false",
            "seed=7",
        ],
    )
    assert (recipe.train.steps, recipe.train.learning_rate, recipe.seed) == (40, 1e-3, 7)
    assert recipe.train.blocks == ("up*", "mid*")
    assert recipe.train.sets == (AdapterSet(blocks="upper", rank=2),)
    assert recipe.character.class_words == "1girl, solo"
    assert recipe.sample.prompts == ("a=b, smile",)
    assert recipe.sample.negative == "blurry = bad"
    assert recipe.encode.shuffle is False


def test_a_set_value_wins_over_the_file_and_the_last_over_the_first(file: Path):
    file.write_text(LEAST + "[train]\nsteps = 10\nbatch = 2\n")
    train = load_recipe(file, ["train.steps=20", "train.steps=30"]).train
    assert (train.steps, train.batch) == (30, 2)


def test_a_value_cannot_smuggle_in_a_second_field(file: Path):
    character = load_recipe(file, ["character.class_words='a'\ntrigger='b'"]).character
    assert (character.class_words, character.trigger) == ("'a'\ntrigger='b'", "mira")


def test_a_deeper_section_is_made_where_it_is_not(file: Path):
    consent = load_recipe(file, ["character.consent.date=2026-01-31"]).character.consent
    assert consent is not None
    assert consent.date == datetime.date(2026, 1, 31)


def test_faults_of_the_command_line_are_listed_with_those_of_the_file(file: Path):
    file.write_text(LEAST + "[train]\nrank = 0\n")
    faults = faults_of(file, "train.steps", "=3", ".x=1", "seed.x.y=1", "train.stesp=3")
    assert faults[0] == "--set 'train.steps': write it as section.field=value, as in --set train.rank=8"
    assert faults[1].startswith("--set '=3': write it")
    assert faults[2].startswith("--set '.x=1': write it")
    assert "train.rank = 0: input should be greater than or equal to 1" in faults
    assert "--set train.stesp: no such field; did you mean steps?" in faults
    assert "--set seed = {'x': {'y': 1}}: input should be a valid integer" in faults


def test_a_slip_in_set_blames_set_and_not_the_file(file: Path):
    assert sorted(slips_of(file, "train.rank=0", "train.steps=many")) == [
        "--set train.rank = 0: input should be greater than or equal to 1",
        "--set train.steps = 'many': input should be a valid integer, unable to parse string as an integer",
    ]
    file.write_text(LEAST + "[train]\nrank = 0\n")
    assert slips_of(file, "train.rank=-1") == ["--set train.rank = -1: input should be greater than or equal to 1"]


def test_what_a_section_of_set_lacks_is_a_slip_of_set(file: Path):
    assert [slip.partition(";")[0] for slip in slips_of(file, "train.sets=[{ blocks = 'upper' }]")] == [
        "--set train.sets[0].rank: missing"
    ]


def test_a_field_without_its_section_is_told_its_address(file: Path):
    file.write_text(LEAST)
    assert slips_of(file, "rank=3") == ["--set rank: no such field; did you mean train.rank?"]
    (slip,) = slips_of(file, "count=3")
    assert slip == "--set count: no such field; did you mean curate.count or evaluate.count or sample.count?"


def test_a_value_is_no_section(file: Path):
    file.write_text("seed = 1\n" + LEAST)
    assert slips_of(file, "seed.x=1") == ["--set 'seed.x=1': seed is not a section"]


def test_the_file_is_not_changed_by_set(file: Path):
    load_recipe(file, ["train.steps=20"])
    assert file.read_text() == LEAST


def test_a_recipe_that_may_not_be_read_is_told_in_words(file: Path, monkeypatch: pytest.MonkeyPatch):
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_text", denied)
    with pytest.raises(WorkspaceError, match="read-only, or belongs to someone else"):
        load_recipe(file)


# -- consent -----------------------------------------------------------------------------------------------------------


def real(consent: Consent | None) -> CharacterConfig:
    return CharacterConfig(name="Ann", trigger="ann doe", kind="real-person", consent=consent)


@pytest.mark.parametrize("kind", ["original", "fictional"])
def test_an_invented_character_needs_nobodys_consent(kind: str):
    check_may_train(CharacterConfig.model_validate({"name": "Mira", "trigger": "mira", "kind": kind}))


def test_a_real_person_with_a_full_record_may_be_trained():
    check_may_train(real(CONSENT))


NEEDED = ["who", "basis", "scope", "date", "evidence_sha256", "adult"]


@pytest.mark.parametrize("field", NEEDED)
def test_a_real_person_whose_record_lacks_anything_may_not_be_trained(field: str):
    empty = {"date": None, "adult": False}.get(field, "")
    with pytest.raises(ConsentError) as caught:
        check_may_train(real(CONSENT.model_copy(update={field: empty})))
    asked = re.findall(r"^  character\.consent\.(\w+): ", str(caught.value), re.M)
    assert asked == [field]


def test_a_real_person_without_a_record_is_asked_for_all_of_it():
    with pytest.raises(ConsentError) as caught:
        check_may_train(real(None))
    assert re.findall(r"^  character\.consent\.(\w+): ", str(caught.value), re.M) == NEEDED


@pytest.mark.parametrize("field", ["expires", "revoked"])
def test_consent_that_is_over_is_none(field: str):
    yesterday = datetime.date.today() - datetime.timedelta(days=1)
    with pytest.raises(ConsentError, match=field):
        check_may_train(real(CONSENT.model_copy(update={field: yesterday})))


def test_consent_to_training_is_none_to_publishing():
    check_may_train(real(CONSENT))
    with pytest.raises(ConsentError, match="publishing"):
        check_may_publish(real(CONSENT))
    check_may_publish(real(CONSENT.model_copy(update={"publishing": True})))


def test_consent_that_is_yet_to_come_is_none():
    tomorrow = datetime.date.today() + datetime.timedelta(days=2)
    with pytest.raises(ConsentError, match="yet to come"):
        check_may_train(real(CONSENT.model_copy(update={"date": tomorrow})))


def test_the_digest_of_the_evidence_is_kept_in_one_spelling():
    assert CONSENT.evidence_sha256 == "ab" * 32
