"""Recipes of kohya's sd-scripts: what is taken over, what is put into our terms, and that nothing is dropped unsaid."""

import json
import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy
import pytest
from typer.testing import CliRunner

from likeness import cli
from likeness.diffusion.blocks import select
from likeness.diffusion.layers import PLANS, file_name, unet_layers
from likeness.errors import RecipeError, WorkspaceError
from likeness.images import save_png
from likeness.recipe import Recipe, load_recipe
from likeness.recipe.kohya import Imported, Line, pairs
from likeness.recipe.kohya_files import Entry, KohyaSettings, read_kohya
from likeness.recipe.kohya_flags import BY_HAND, CONVERTED, LEFT_OUT, NOT_NEEDED, SAME
from likeness.recipe.kohya_terms import import_recipe

NOTEBOOK = """
[network_arguments]
unet_lr = 0.0003
text_encoder_lr = 6e-05
network_dim = 8
network_alpha = 4
network_module = "networks.lora"
network_train_unet_only = false

[optimizer_arguments]
learning_rate = 0.0003
lr_scheduler = "cosine_with_restarts"
lr_scheduler_num_cycles = 3
lr_warmup_steps = 12
optimizer_type = "AdamW8bit"
optimizer_args = ["weight_decay=0.1", "betas=[0.9,0.99]"]
loss_type = "l2"
max_grad_norm = 1.0

[training_arguments]
lowram = true
pretrained_model_name_or_path = "/content/ponyDiffusionV6XL.safetensors"
vae = "/content/sdxl_vae.safetensors"
max_train_epochs = 10
train_batch_size = 4
seed = 42
max_token_length = 225
xformers = false
sdpa = true
min_snr_gamma = 8.0
no_half_vae = true
gradient_checkpointing = true
gradient_accumulation_steps = 1
max_data_loader_n_workers = 1
persistent_data_loader_workers = true
mixed_precision = "fp16"
full_fp16 = true
full_bf16 = false
cache_latents = true
cache_latents_to_disk = true
cache_text_encoder_outputs = false
min_timestep = 0
max_timestep = 1000
prior_loss_weight = 1.0
multires_noise_iterations = 6
multires_noise_discount = 0.3

[saving_arguments]
save_precision = "fp16"
save_model_as = "safetensors"
save_every_n_epochs = 1
save_last_n_epochs = 10
output_name = "mira_fox"
output_dir = "/content/drive/MyDrive/Loras/mira_fox/output"
log_prefix = "mira_fox"
logging_dir = "/content/drive/MyDrive/Loras/_logs"
"""
"""What a widely used notebook for SDXL writes."""

DATASET = """
[general]
resolution = 1024
shuffle_caption = true
keep_tokens = 1
flip_aug = false
caption_extension = ".txt"
enable_bucket = true
bucket_no_upscale = false
bucket_reso_steps = 64
min_bucket_reso = 256
max_bucket_reso = 4096

[[datasets]]

[[datasets.subsets]]
num_repeats = 2
image_dir = "/content/drive/MyDrive/Loras/mira_fox/dataset"

[[datasets.subsets]]
num_repeats = 1
image_dir = "/content/drive/MyDrive/Loras/mira_fox/girls"
is_reg = true
class_tokens = "1girl"
"""

COMMAND = r"""#!/bin/bash
# a LoRA as kohya's documentation trains it
OUT=/data/out
accelerate launch --num_cpu_threads_per_process 1 train_network.py \
  --pretrained_model_name_or_path="models/anylora.safetensors" \
  --dataset_config=my_config.toml --output_dir=$OUT --output_name=mira \
  --save_model_as=safetensors --prior_loss_weight=1.0 --max_train_steps=400 --learning_rate=1e-4 \
  --optimizer_type="AdamW8bit" --xformers --mixed_precision="fp16" --cache_latents --gradient_checkpointing \
  --save_every_n_epochs=1 --network_module=networks.lora --network_args "conv_dim=4" "conv_alpha=2" \
  --noise_offset 0.0357 --clip_skip 2 --network_dimm=16 --flip_aug --masked_loss \
  --sample_every_n_steps 100 --sample_sampler euler_a
"""

NOOB = """
optimizer_type = "Prodigy"
optimizer_args = []
unet_lr = 1
text_encoder_lr = 1
network_dim = 32
network_alpha = 32
network_args = []
network_module = "networks.lora"
lr_scheduler = "cosine"
resolution = "1024,1024"
train_batch_size = 6
max_train_epochs = 30
min_snr_gamma = 5
v_parameterization = true
scale_v_pred_loss_like_noise_pred = true
noise_offset = 0.05
clip_skip = 2
huber_schedule = "snr"
sample_prompts = "/mnt/d/prompt.txt"
pretrained_model_name_or_path = "/mnt/c/noobaiXLNAIXL_vPred10Version.safetensors"
output_name = "collection"
"""
NOOB_COMMAND = """accelerate launch --mixed_precision="bf16" --num_cpu_threads_per_process=2 ^
sdxl_train_network.py --config_file="./noob.toml" ^
--zero_terminal_snr ^
--optimizer_args "decouple=True" "weight_decay=0.5" "betas=0.9,0.99" "use_bias_correction=False"
"""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, list[str]]:
    """Sources by name, as they are handed to the command."""
    written = {"notebook.toml": NOTEBOOK, "dataset.toml": DATASET, "train.sh": COMMAND, "noob.toml": NOOB}
    for name, text in {**written, "noob.sh": NOOB_COMMAND}.items():
        (tmp_path / name).write_text(text)
    place = {name: str(tmp_path / name) for name in (*written, "noob.sh")}
    return {
        "notebook": [place["notebook.toml"], place["dataset.toml"]],
        "command": [place["train.sh"]],
        "noob": [place["noob.sh"]],
        "dataset": [place["dataset.toml"]],
    }


def imported(*sources: str, images: int | None = None, family: str = "") -> Imported:
    return import_recipe(read_kohya(sources), images=images, family=family)


def given(flags: str, **options: Any) -> Imported:
    """What comes of a command line for Stable Diffusion 1.x."""
    return imported(f"python train_network.py --learning_rate 1e-4 {flags}", **options)


def line(found: Imported, flag: str, value: object = None) -> Line:
    """The one line on a flag, or on a part of it."""
    lines = [one for one in found.lines if one.flag.rpartition(".")[2] == flag and value in (None, one.value)]
    assert len(lines) == 1, lines
    return lines[0]


def leaves(table: dict[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        inner = value if isinstance(value, list) else [value]
        tables = [one for one in inner if isinstance(one, dict)]
        for one in tables:
            yield from leaves(one)
        if not tables:
            yield name


# -- nothing is dropped unsaid -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("notebook", (NOTEBOOK, DATASET)),
        ("command", (COMMAND,)),
        ("noob", (NOOB, NOOB_COMMAND)),
        ("dataset", (DATASET,)),
    ],
)
def test_every_flag_is_told_of_and_the_recipe_is_valid(files: dict[str, list[str]], name: str, texts: tuple[str, ...]):
    found = imported(*files[name])
    told = {one.flag.rpartition(".")[2].rpartition(" ")[2] for one in found.lines}
    for text in texts:
        flags = re.findall(r"--(\w+)", text) if "--" in text else leaves(tomllib.loads(text))
        assert set(flags) - told == set()
    assert all(one.address or one.why for one in found.lines)
    assert Recipe.model_validate(found.recipe.model_dump()) == found.recipe


def test_every_entry_of_several_subsets_is_told_of_by_its_place(files: dict[str, list[str]]):
    flags = [one.flag for one in imported(*files["dataset"]).lines]
    assert {"datasets[0].subsets[0].image_dir", "datasets[0].subsets[1].image_dir"} <= set(flags)
    assert line(imported(*files["dataset"]), "is_reg").outcome == "by hand"


def test_no_flag_is_in_two_tables_and_every_field_is_there():
    tables = [*SAME, *BY_HAND, *NOT_NEEDED, *LEFT_OUT, *CONVERTED]
    assert sorted(tables) == sorted(set(tables))
    for address in SAME.values():
        section, _, field = address.rpartition(".")
        assert (
            field
            in type(
                getattr(imported("--seed 1").recipe, section) if section else imported("--seed 1").recipe
            ).model_fields
        )


def test_a_slip_is_told_with_what_may_have_been_meant(files: dict[str, list[str]]):
    told = line(imported(*files["command"]), "network_dimm")
    assert (told.outcome, told.why) == ("not known", "did you mean network_dim?")


# -- what people use ---------------------------------------------------------------------------------------------------


def test_the_notebook_s_settings_are_taken_over(files: dict[str, list[str]]):
    recipe = imported(*files["notebook"], images=50).recipe
    train = recipe.train
    assert (recipe.character.name, recipe.seed) == ("mira_fox", 42)
    assert (train.rank, train.alpha, train.blocks, train.learning_rate) == (8, 4, "transformer", 3e-4)
    assert (train.optimizer, train.weight_decay, train.betas) == ("adamw8bit", 0.1, (0.9, 0.99))
    assert (train.steps, train.batch, train.save_every) == (250, 4, 25)
    assert (train.schedule, train.warmup) == ("cosine-restarts", 0.048)
    assert (train.weighting, train.min_snr_gamma, train.multires_noise) == ("min-snr", 8, 6)
    assert train.text_encoder_rates == (6e-5, 6e-5), "an SDXL by its size, with two encoders"
    assert (recipe.encode.size, recipe.encode.shuffle, recipe.encode.trigger_first) == (1024, True, True)


def test_a_command_line_is_read_with_its_variables_and_line_ends(files: dict[str, list[str]]):
    found = imported(*files["command"])
    assert line(found, "output_dir").value == "/data/out"
    assert line(found, "dataset_config").outcome == "left out", "it is not there"
    assert found.recipe.train.steps == 400
    assert found.recipe.train.text_encoder_rates == (1e-4,), "kohya trains it at the rate of the rest"
    assert found.recipe.train.noise_offset == 0.0357
    assert [(some.blocks, some.rank, some.alpha) for some in found.recipe.train.sets] == [
        ("transformer", 4, 1),
        ("convolutions", 4, 2),
    ]
    assert (found.recipe.base.clip_skip, found.recipe.sample.sampler) == (2, "euler-a")
    assert {line(found, name).outcome for name in ("flip_aug", "masked_loss")} == {"by hand"}


def test_noobai_s_v_prediction_goes_without_what_its_base_forbids(files: dict[str, list[str]]):
    found = imported(*files["noob"])
    assert (found.recipe.base.prediction, found.recipe.base.zero_terminal) == ("v", True)
    assert (found.recipe.train.optimizer, found.recipe.train.learning_rate) == ("prodigy", 1)
    assert found.recipe.train.text_encoder_rates == ()
    assert found.recipe.train.noise_offset == 0
    for flag in ("noise_offset", "text_encoder_lr", "scale_v_pred_loss_like_noise_pred", "max_train_epochs"):
        assert line(found, flag).outcome == "left out", flag
    assert line(found, "clip_skip").outcome == "not needed", "SDXL has its own"
    assert line(found, "config_file").why == "it was read too"
    assert "steps" not in found.recipe.train.model_fields_set, "left to the preset"


# -- what means something else here ------------------------------------------------------------------------------------


def test_epochs_are_counted_from_the_pictures_that_are_there(tmp_path: Path):
    for number in range(3):
        for folder in ("10_mira 1girl, solo", "1_girl"):
            (tmp_path / folder).mkdir(exist_ok=True)
            save_png(tmp_path / folder / f"{number}.png", numpy.zeros((8, 8, 3), numpy.uint8))
    found = given(
        f'--train_data_dir "{tmp_path}" --train_batch_size 2 --gradient_accumulation_steps 2 --max_train_epochs 5'
    )
    assert found.recipe.train.steps == 5 * 9, "33 shown, by 4, rounded up"
    subset = tmp_path / "10_mira 1girl, solo"
    (tmp_path / "d.toml").write_text(f"[[datasets]]\n[[datasets.subsets]]\nnum_repeats = 4\nimage_dir = '{subset}'\n")
    found = imported("train_network.py --max_train_epochs 5 --learning_rate 1e-4", str(tmp_path / "d.toml"))
    assert found.recipe.train.steps == 60
    assert (found.recipe.character.trigger, found.recipe.character.class_words) == ("mira", "1girl, solo")


def test_what_is_not_said_is_as_kohya_has_it():
    found = given("")
    train = found.recipe.train
    assert (train.rank, train.alpha, train.batch, train.schedule, train.warmup) == (4, 1, 1, "constant", 0)
    assert (train.weighting, train.betas, found.recipe.encode.caption_dropout) == ("none", (0.9, 0.999), 0)
    assert {one.outcome for one in found.lines if one.value is None and one.address} == {"kohya's default"}


def test_without_a_step_size_text_encoders_stay_as_they_are_and_the_reason_is_told():
    found = imported("python train_network.py --network_dim 16 --max_train_steps 100")
    assert found.recipe.train.text_encoder_rates == ()
    told = line(found, "text_encoder_lr")
    assert (told.outcome, "2e-6" in told.why) == ("left out", True)


def test_a_dataset_alone_says_nothing_of_training(files: dict[str, list[str]]):
    assert imported(*files["dataset"]).recipe.train.model_fields_set == set()


@pytest.mark.parametrize(
    ("flags", "family", "rates"),
    [
        ("--text_encoder_lr 5e-5", "", (5e-5,)),
        ("--text_encoder_lr 5e-5", "sdxl", (5e-5, 5e-5)),
        ("--text_encoder_lr 5e-5 1e-5", "sdxl", (5e-5, 1e-5)),
        ("--text_encoder_lr1 5e-5 --text_encoder_lr2 0", "sdxl", (5e-5, 0)),
        ("--text_encoder_lr 5e-5 --network_train_unet_only", "sdxl", ()),
        ("--cache_text_encoder_outputs", "sdxl", ()),
        ("--text_encoder_lr 0", "", ()),
    ],
)
def test_text_encoders_learn_as_they_did(flags: str, family: str, rates: tuple[float, ...]):
    assert given(flags, family=family).recipe.train.text_encoder_rates == rates


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('"algo=lokr" "preset=attn-mlp"', {"variant": "lokr", "blocks": "attention-ff"}),
        ("algo=loha preset=full", {"variant": "loha", "blocks": "all"}),
        ('"algo=locon" "dora_wd=True" "preset=attn-only"', {"variant": "dora", "blocks": "attention"}),
        ("algo=lora rs_lora=True module_dropout=0.1", {"variant": "rslora", "layer_dropout": 0.1}),
    ],
)
def test_lycoris_is_told_in_our_terms(arguments: str, expected: dict[str, Any]):
    train = given(f"--network_module lycoris.kohya --network_args {arguments}").recipe.train
    assert {name: getattr(train, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("family", "blocks", "ranks"),
    [
        ("sdxl", 23, {"input_blocks_4_1": 6, "input_blocks_8_1": 10, "middle_block_1": 12, "output_blocks_0_1": 14}),
        ("sd15", 25, {"down_blocks_0_attentions_0": 2, "mid_block": 13, "up_blocks_1_attentions_0": 17}),
    ],
)
def test_a_rank_per_block_reaches_every_transformer_once(family: str, blocks: int, ranks: dict[str, int]):
    """The ranks are 1, 2, 3 and so on; places are kohya's own, `networks/lora.py`."""
    dims = ",".join(map(str, range(1, blocks + 1)))
    train = given(f"--network_args block_dims={dims}", family=family).recipe.train
    names = [file_name(path, PLANS[family]) for path in unet_layers(PLANS[family])]
    hits = {name: [s.rank for s in train.sets for pattern in s.blocks if fnmatchcase(name, pattern)] for name in names}
    assert {name for name, found in hits.items() if found} == set(select(names, "transformer"))
    assert all(len(found) <= 1 for found in hits.values())
    for block, rank in ranks.items():
        assert hits[next(name for name in names if f"_{block}_" in name and "_attn1_" in name)] == [rank], block


@pytest.mark.parametrize(
    ("flags", "field", "value"),
    [
        ("--lr_warmup_steps 100 --max_train_steps 1000", "warmup", 0.1),
        ("--lr_warmup_steps 0.1", "warmup", 0.1),
        ("--lr_scheduler polynomial", "schedule", "linear"),
        ("--lr_scheduler constant_with_warmup", "schedule", "constant"),
        ("--optimizer_type DAdaptAdam --learning_rate 1", "optimizer", "prodigy"),
        ("--use_8bit_adam", "optimizer", "adamw8bit"),
        ("--loss_type smooth_l1", "loss", "huber"),
        ("--min_timestep 200 --max_timestep 800", "timestep_range", (200, 799)),
        ("--debiased_estimation_loss", "weighting", "debiased"),
        ("--save_precision bf16", "save_dtype", "bfloat16"),
        ("--ip_noise_gamma 0.1", "input_perturbation", 0.1),
        ("--network_args loraplus_unet_lr_ratio=16", "up_rate_ratio", 16),
    ],
)
def test_other_names_and_other_measures_are_converted(flags: str, field: str, value: object):
    assert getattr(given(flags).recipe.train, field) == value


def test_a_step_size_of_another_optimizer_is_left_to_the_preset_and_alpha_with_it():
    found = given("--optimizer_type Lion --network_dim 16 --network_alpha 1 --text_encoder_lr 1e-5")
    assert not {"learning_rate", "alpha", "optimizer", "text_encoder_rates"} & found.recipe.train.model_fields_set
    for flag in ("optimizer_type", "learning_rate", "network_alpha", "text_encoder_lr"):
        assert line(found, flag).outcome == "left out", flag


# -- what the recipe refuses -------------------------------------------------------------------------------------------


def test_what_the_recipe_refuses_is_left_out_with_its_reason():
    found = given("--noise_offset 0.05 --multires_noise_iterations 6 --network_dim 512 --max_grad_norm big")
    assert found.recipe.train.noise_offset == 0.05
    assert "do the same" in line(found, "multires_noise_iterations").why
    assert "256" in line(found, "network_dim").why
    assert line(found, "network_alpha").outcome == "left out"
    assert "max_grad_norm" not in found.recipe.train.model_fields_set


@pytest.mark.parametrize("flag", [*SAME, *CONVERTED])
@pytest.mark.parametrize("value", ["", "x", -1, 1e9, ["a"], {}, "1,2,3"])
def test_a_value_that_makes_no_sense_is_told_of_and_nothing_breaks(flag: str, value: object):
    usual = (Entry("command", "learning_rate", 1e-4), Entry("command", "max_train_epochs", 3))
    found = import_recipe(KohyaSettings("", (Entry("config", flag, value), *usual)), images=10)
    assert flag in {one.flag for one in found.lines}


def test_zero_terminal_without_v_is_left_out():
    assert "needs v_parameterization" in line(given("--zero_terminal_snr"), "zero_terminal_snr").why


def test_of_two_places_the_one_that_kohya_believes_is_taken(tmp_path: Path):
    (tmp_path / "c.toml").write_text("network_dim = 8\nresolution = 512\n")
    (tmp_path / "d.toml").write_text("[[datasets]]\nresolution = 768\n[[datasets.subsets]]\nimage_dir = 'x'\n")
    found = imported(
        "train_network.py --network_dim 16 --learning_rate 1", str(tmp_path / "c.toml"), str(tmp_path / "d.toml")
    )
    assert (found.recipe.train.rank, found.recipe.encode.size) == (16, 768)
    assert [one.outcome for one in found.lines if one.flag == "network_dim"] == ["taken over", "left out"]


# -- what is read ------------------------------------------------------------------------------------------------------


def test_nothing_of_a_script_is_ever_run(tmp_path: Path):
    (tmp_path / "train.sh").write_text(
        f"touch {tmp_path}/one\n"
        f"train_network.py --output_name=$(touch {tmp_path}/two) --seed `touch {tmp_path}/three`\n"
    )
    imported(str(tmp_path / "train.sh"))
    assert [path.name for path in tmp_path.iterdir()] == ["train.sh"]


def test_a_windows_script_keeps_its_backslashes(tmp_path: Path):
    (tmp_path / "train.bat").write_text(
        "REM --seed 3\r\nset NAME=vix\r\npython train_network.py ^\r\n"
        " --pretrained_model_name_or_path=C:\\m\\a.safetensors ^\r\n --output_name=%NAME% --learning_rate 1e-4\r\n"
    )
    found = imported(str(tmp_path / "train.bat"))
    assert (found.recipe.base.path, found.recipe.character.name) == (r"C:\m\a.safetensors", "vix")
    assert found.recipe.seed == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("weight_decay=0.1 betas=[0.9,0.99]", {"weight_decay": "0.1", "betas": "[0.9,0.99]"}),
        (["betas=0.9,0.999", "d_coef=2"], {"betas": "0.9,0.999", "d_coef": "2"}),
        (["betas=(0.9, 0.99)"], {"betas": "(0.9, 0.99)"}),
        (None, {}),
    ],
)
def test_arguments_of_arguments_are_read(text: object, expected: dict[str, str]):
    assert pairs(text) == expected


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("python flux_train_network.py --seed 1", "flux_train_network.py is not what likeness does"),
        ("train_network.py --a 'b", "quotation mark"),
    ],
)
def test_what_is_not_ours_or_not_whole_is_refused(source: str, words: str):
    with pytest.raises(RecipeError, match=re.escape(words)):
        read_kohya([source])


def test_a_file_without_settings_or_that_is_not_there_is_told(tmp_path: Path):
    (tmp_path / "a.sh").write_text("echo hello\n")
    (tmp_path / "a.toml").write_text("x = \n")
    with pytest.raises(RecipeError, match="no command line"):
        read_kohya([str(tmp_path / "a.sh")])
    with pytest.raises(RecipeError, match=r"a\.toml cannot be read"):
        read_kohya([str(tmp_path / "a.toml")])
    with pytest.raises(WorkspaceError, match="does not exist"):
        read_kohya([str(tmp_path / "b.toml")])


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_writes_a_recipe_once_and_tells_each_flag(files: dict[str, list[str]], tmp_path: Path):
    def called(*options: str):
        return CliRunner().invoke(cli.app, ["import-recipe", *files["notebook"], "--to", str(tmp_path / "m"), *options])

    done = called("--images", "50", "--set", "character.class_words=fox", "--json")
    assert done.exit_code == 0, done.output
    recipe = load_recipe(tmp_path / "m" / "likeness.toml")
    assert (recipe.train.steps, recipe.character.class_words) == (250, "fox")
    assert {"flag", "value", "outcome", "address", "result", "why"} == set(json.loads(done.stdout)["flags"][0])
    again = called()
    assert isinstance(again.exception, WorkspaceError)
    assert load_recipe(tmp_path / "m" / "likeness.toml") == recipe


def test_the_command_prints_each_kind_of_outcome_and_what_is_next(files: dict[str, list[str]], tmp_path: Path):
    done = CliRunner().invoke(cli.app, ["import-recipe", *files["command"], "--to", str(tmp_path / "m")])
    headings = ("Taken over", "Put into our terms", "kohya's own default", "Yours to decide", "Left out", "Not known")
    for heading in headings:
        assert heading in done.stdout
    assert "train.steps = 400" in done.stdout
    assert "likeness" in done.stdout.splitlines()[-1]


def test_settings_that_are_not_valid_leave_nothing_behind(files: dict[str, list[str]], tmp_path: Path):
    options = ["--to", str(tmp_path / "m"), "--set", "train.rank=0"]
    done = CliRunner().invoke(cli.app, ["import-recipe", *files["notebook"], *options])
    assert isinstance(done.exception, RecipeError)
    assert not (tmp_path / "m").exists()
