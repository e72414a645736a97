"""Foreign pictures: what their own files say of how they were made is read, and what cannot be read is said."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image, PngImagePlugin

from likeness.diffusion.infotext import infotext
from likeness.errors import PictureError
from likeness.evaluation.foreign import Generation, read_generations
from likeness.recipe import SampleConfig

SETTINGS = "Steps: 28, Sampler: Euler a, Schedule type: Automatic, CFG scale: 5.5, Seed: 4294967295, Size: 832x1216"
A1111 = f"mira, 1girl,\nsmile\nNegative prompt: blurry,\nbad hands\n{SETTINGS}, Model: animagine-xl-3.1"
Inputs = dict[str, Any]


def png(path: Path, **texts: str) -> Path:
    """A PNG as Pillow writes texts: in UTF-8 where Latin-1 has not all of their letters."""
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path, pnginfo=info)
    return path


def with_exif(path: Path, *, comment: str = "", model: str = "") -> Path:
    block = Image.Exif()
    if comment:
        said = b"UNICODE\0" + comment.encode("utf-16-be")  # as A1111 has it, through piexif
        block.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = said
    if model:
        block[ExifTags.Base.Model] = model
    Image.new("RGB", (4, 4)).save(path, exif=block)
    return path


def only(folder: Path) -> Generation:
    """What is told of the only picture in a folder."""
    (told,), passed_over = read_generations(folder)
    assert passed_over == {}
    return told


def reason(folder: Path) -> str:
    """Why the only picture in a folder was passed over."""
    told, passed_over = read_generations(folder)
    assert told == []
    (words,) = passed_over.values()
    return words


def node(kind: str, **inputs: object) -> Inputs:
    return {"class_type": kind, "inputs": inputs, "_meta": {"title": kind}}


def sampler(**inputs: object) -> Inputs:
    plain: Inputs = {"seed": 7, "steps": 20, "cfg": 6, "sampler_name": "euler", "scheduler": "karras", "denoise": 1}
    links: Inputs = {"positive": ["6", 0], "negative": ["7", 0], "model": ["4", 0], "latent_image": ["5", 0]}
    return node("KSampler", **(plain | links | inputs))


def graph(**nodes: Inputs) -> dict[str, Inputs]:
    """ComfyUI's own example of a graph, with nodes added or put in the place of its own: "n6" is node 6."""
    example = {
        "3": sampler(),
        "4": node("CheckpointLoaderSimple", ckpt_name="sdxl/animagine-xl-3.1.safetensors"),
        "5": node("EmptyLatentImage", width=832, height=1216, batch_size=1),
        "6": node("CLIPTextEncode", text="mira, smile", clip=["4", 1]),
        "7": node("CLIPTextEncode", text="blurry", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
    }
    return example | {id.removeprefix("n"): inputs for id, inputs in nodes.items()}


def comfy(folder: Path, **nodes: Inputs) -> Path:
    return png(folder / "a.png", prompt=json.dumps(graph(**nodes)), workflow="{}")


# -- A1111 and those that follow it ------------------------------------------------------------------------------------


def test_a_text_of_a1111_is_read(tmp_path: Path):
    png(tmp_path / "a.png", parameters=A1111)
    assert only(tmp_path) == Generation(
        path="a.png",
        prompt="mira, 1girl,\nsmile",
        negative="blurry,\nbad hands",
        seed=4294967295,
        steps=28,
        sampler="Euler a",
        guidance=5.5,
        model="animagine-xl-3.1",
        told_by="A1111",
    )


@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
def test_a_jpeg_and_a_webp_hold_it_as_a_users_comment(tmp_path: Path, name: str):
    with_exif(tmp_path / name, comment=A1111.replace("mira", "ミラ"))
    told = only(tmp_path)
    assert (told.prompt, told.seed, told.told_by) == ("ミラ, 1girl,\nsmile", 4294967295, "A1111")


def test_commas_and_colons_in_quoted_values_part_nothing(tmp_path: Path):
    quoted = (
        r'ADetailer prompt: "a face, Seed: 1, \"hi\", Seed: 2", Lora hashes: "mira: 01ab, fox: 23cd", Model: "x, y: z"'
    )
    png(tmp_path / "a.png", parameters=f"mira\nSteps: 28, Seed: 9, CFG scale: 7, {quoted}")
    told = only(tmp_path)
    assert (told.steps, told.seed, told.guidance, told.model) == (28, 9, 7, "x, y: z")


def test_the_line_of_settings_is_the_last_one_that_looks_like_one(tmp_path: Path):
    text = f"how to draw:\nSteps: 3, then rest\n{SETTINGS}\nTemplate: {{mira|fox}}, Seed: 5"
    png(tmp_path / "a.png", parameters=text)
    told = only(tmp_path)
    assert (told.prompt, told.steps, told.seed) == ("how to draw:\nSteps: 3, then rest", 28, 4294967295)


@pytest.mark.parametrize(
    ("words", "loras"),
    [
        ("<lora:mira:0.8>", {"mira": 0.8}),
        ("<lora:mira>", {"mira": 1}),
        ("<lora:mira v1.5:0.5:0.9>", {"mira v1.5": 0.9}),  # text encoder, denoiser
        ("<lora:mira:1:unet=0.7:te=0.2>", {"mira": 0.7}),
        ("<lora:ミラ:-0.5> <lyco:fox:1>", {"ミラ": -0.5, "fox": 1}),
        ("<lora:mira:0.5> <lora:mira:0.25>", {"mira": 0.75}),
        ("<lora:mira:much> <lora::1> <lora:fox:inf>", {}),
        ("<lora:mira:1e308> <lora:mira:1e308>", {"mira": 1e308}),  # no infinity comes of it
    ],
)
def test_words_that_load_loras_are_taken_out_of_the_prompt(tmp_path: Path, words: str, loras: dict[str, float]):
    png(tmp_path / "a.png", parameters=f"mira {words}\n{SETTINGS}")
    told = only(tmp_path)
    assert told.prompt == "mira"
    assert told.loras == pytest.approx(loras)


@pytest.mark.parametrize("negative", ["", "blurry, <3"])
def test_our_own_samples_are_read_as_they_were_written(tmp_path: Path, negative: str):
    config = SampleConfig.model_validate({"steps": 12, "guidance": 6.5, "weight": 0.75, "negative": negative})
    text = infotext("mira, fox ears, 狐", config, seed=3, size=(64, 48), lora="Mira v1.5", lora_hash="0123456789ab")
    png(tmp_path / "a.png", parameters=text)
    told = only(tmp_path)
    assert (told.prompt, told.negative, told.loras) == ("mira, fox ears, 狐", negative, {"Mira v1.5": 0.75})
    assert (told.seed, told.steps, told.guidance, told.told_by) == (3, 12, 6.5, "A1111")


@pytest.mark.parametrize("seed", ["-1", "many", "9" * 5000, "18446744073709551616", "1.5"])
def test_a_seed_that_is_none_is_not_told(tmp_path: Path, seed: str):
    png(tmp_path / "a.png", parameters=f"mira\nSteps: 20, Seed: {seed}, CFG scale: nan")
    told = only(tmp_path)
    assert (told.seed, told.steps, told.guidance) == (None, 20, None)


def test_a_cameras_comment_is_no_prompt(tmp_path: Path):
    with_exif(tmp_path / "a.jpg", comment="Screenshot")
    assert reason(tmp_path) == "says nothing of how it was made"


def test_parameters_of_a_program_that_is_not_known_are_no_prompt(tmp_path: Path):
    png(tmp_path / "a.png", parameters=json.dumps({"sui_image_params": {"prompt": "mira"}}))
    assert "a program that is not known" in reason(tmp_path)


# -- ComfyUI -----------------------------------------------------------------------------------------------------------


def test_a_graph_with_two_loras_and_a_text_node_is_read(tmp_path: Path):
    comfy(
        tmp_path,
        n3=sampler(model=["11", 0], seed=["13", 0], latent_image=["5", 0]),
        n6=node("CLIPTextEncode", text=["12", 0], clip=["11", 1]),
        n10=node(
            "LoraLoader", lora_name="mira\\mira_v1.5.safetensors", strength_model=0.8, strength_clip=1, model=["4", 0]
        ),
        n11=node("LoraLoaderModelOnly", lora_name="lcm.safetensors", strength_model=0.25, model=["10", 0]),
        n12=node("PrimitiveStringMultiline", value="ミラ, smile <lora:unused:1>"),
        n13=node("Seed (rgthree)", seed=2**64 - 1),
        n14=node("LoraLoader", lora_name="not on the way.safetensors", strength_model=1, model=["4", 0]),
    )
    assert only(tmp_path) == Generation(
        path="a.png",
        prompt="ミラ, smile",
        negative="blurry",
        seed=2**64 - 1,
        steps=20,
        sampler="euler",
        guidance=6,
        model="animagine-xl-3.1",
        loras={"mira_v1.5": 0.8, "lcm": 0.25},
        told_by="ComfyUI",
    )


def test_a_jpeg_holds_the_graph_in_a_cameras_tag(tmp_path: Path):
    with_exif(tmp_path / "a.jpg", model="prompt:" + json.dumps(graph()))
    assert (only(tmp_path).prompt, only(tmp_path).told_by) == ("mira, smile", "ComfyUI")


def test_words_are_found_behind_nodes_that_change_conditions(tmp_path: Path):
    comfy(
        tmp_path,
        n3=sampler(positive=["20", 0], negative=["20", 1]),
        n20=node("ControlNetApplyAdvanced", strength=1, positive=["21", 0], negative=["7", 0], image=["30", 0]),
        n21=node("ConditioningCombine", conditioning_1=["22", 0], conditioning_2=["23", 0]),
        n22=node("ConditioningSetArea", conditioning=["24", 0], width=64, set_cond_area="default"),
        n23=node("CLIPTextEncodeSDXL", text_g="in a forest", text_l="in a forest", width=832),
        n24=node("CLIPTextEncode", text=["25", 0], clip=["4", 1]),
        n25=node("StringConcatenate", string_a="mira", string_b=["26", 0], delimiter=" "),
        n26=node("Reroute", anything=["27", 0]),
        n27=node("Text Multiline", text="smiles"),
        n30=node("LoadImage", image="pose.png"),
    )
    told = only(tmp_path)
    assert (told.prompt, told.negative) == ("mira smiles, in a forest", "blurry")


def test_a_sampler_in_parts_is_put_together(tmp_path: Path):
    comfy(
        tmp_path,
        n3=node("SamplerCustomAdvanced", noise=["20", 0], guider=["21", 0], sampler=["22", 0], sigmas=["23", 0]),
        n20=node("RandomNoise", noise_seed=11),
        n21=node("BasicGuider", model=["24", 0], conditioning=["25", 0]),
        n22=node("KSamplerSelect", sampler_name="euler"),
        n23=node("BasicScheduler", scheduler="simple", steps=8, denoise=1, model=["24", 0]),
        n24=node("LoraLoaderModelOnly", lora_name="mira.safetensors", strength_model=0.9, model=["26", 0]),
        n25=node("FluxGuidance", guidance=3.5, conditioning=["6", 0]),
        n26=node("UNETLoader", unet_name="flux1-dev.safetensors"),
    )
    told = only(tmp_path)
    assert (told.prompt, told.negative, told.seed, told.steps) == ("mira, smile", "", 11, 8)
    assert (told.sampler, told.guidance, told.model, told.loras) == ("euler", None, "flux1-dev", {"mira": 0.9})


def test_a_loader_that_does_all_at_once_is_read(tmp_path: Path):
    loader: Inputs = {"ckpt_name": "x.ckpt", "lora_name": "a.safetensors", "lora_model_strength": 0.5}
    comfy(
        tmp_path,
        n3=sampler(positive=["20", 1], negative=["20", 2], model=["20", 0]),
        n20=node("Efficient Loader", positive="mira", negative=["7", 0], lora_stack=["21", 0], **loader),
        n21=node(
            "LoRA Stacker",
            **{"input_mode": "simple", "lora_count": 1, "lora_name_1": "b.safetensors", "lora_wt_1": 0.3},
            **{"model_str_1": 1, "lora_name_2": "c.safetensors", "lora_wt_2": 1},
        ),
        n7=node("Text Multiline", text="blurry"),
    )
    told = only(tmp_path)
    assert (told.prompt, told.negative, told.model, told.loras) == ("mira", "blurry", "x", {"a": 0.5, "b": 0.3})


def test_a_lora_that_is_switched_off_is_none(tmp_path: Path):
    power = {
        "lora_1": {"on": True, "lora": "a.safetensors", "strength": 0.6},
        "lora_3": {"on": False, "lora": "b.pt", "strength": 1},
    }
    comfy(
        tmp_path,
        n3=sampler(model=["20", 0]),
        n20=node("Power Lora Loader (rgthree)", model=["21", 0], **power),
        n21=node("CR Apply LoRA Stack", model=["4", 0], lora_stack=["22", 0]),
        n22=node("CR LoRA Stack", switch_1="Off", lora_name_1="c.pt", model_weight_1=1, lora_name_2="None"),
    )
    assert only(tmp_path).loras == {"a": 0.6}


def test_of_two_samplers_on_one_picture_the_first_speaks(tmp_path: Path):
    comfy(
        tmp_path,
        n1=sampler(seed=99, positive=["7", 0], latent_image=["20", 0]),
        n20=node("LatentUpscale", samples=["3", 0]),
        n21=node("FaceDetailer", image=["8", 0], positive=["7", 0], seed=1),
        n8=node("VAEDecode", samples=["1", 0]),
        n9=node("SaveImage", images=["21", 0]),
    )
    assert (only(tmp_path).prompt, only(tmp_path).seed) == ("mira, smile", 7)


def test_a_sampler_whose_picture_is_not_saved_has_no_say(tmp_path: Path):
    comfy(tmp_path, n20=sampler(seed=8, positive=["7", 0]), n21=node("PreviewImage", images=["20", 0]))
    assert only(tmp_path).seed == 7


def test_of_several_pictures_none_can_be_told(tmp_path: Path):
    comfy(tmp_path, n20=sampler(seed=8), n21=node("SaveImage", images=["20", 0]))
    assert reason(tmp_path) == "its ComfyUI graph draws several pictures, each in its own way"


def test_a_zeroed_negative_prompt_is_none(tmp_path: Path):
    comfy(tmp_path, n7=node("ConditioningZeroOut", conditioning=["6", 0]))
    assert (only(tmp_path).prompt, only(tmp_path).negative) == ("mira, smile", "")


@pytest.mark.parametrize(
    "nodes",
    [
        {"n6": node("ConditioningCombine", conditioning_1=["20", 0], conditioning_2=["6", 0]), "n20": sampler()},
        {"n6": node("CLIPTextEncode", text=["20", 0]), "n20": node("Text", text=["6", 0])},
        {"n5": node("LatentUpscale", samples=["3", 0])},  # the sampler draws on what it drew
        {"n6": node("CLIPTextEncode", text=["nowhere", 0])},
        {"n6": node("CLIPTextEncode", text=[["6"], 0])},
        {"n3": node("KSampler", seed=1)},
    ],
)
def test_a_graph_that_leads_to_no_prompt_is_passed_over(tmp_path: Path, nodes: dict[str, Inputs]):
    comfy(tmp_path, **nodes)
    assert reason(tmp_path) == "no sampler of its ComfyUI graph leads to a prompt"


def test_circles_beside_the_prompt_do_no_harm(tmp_path: Path):
    comfy(
        tmp_path,
        n3=sampler(model=["20", 0], seed=["22", 0]),
        n20=node("LoraLoader", lora_name="mira", strength_model=["21", 0], model=["4", 0], lora_stack=["20", 0]),
        n21=node("Float", value=["21", 0]),
        n22=node("Int", value=["23", 0]),
        n23=node("Int", value=["22", 0]),
    )
    told = only(tmp_path)
    assert (told.prompt, told.seed, told.loras, told.model) == ("mira, smile", None, {}, "animagine-xl-3.1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (json.dumps(graph())[:-30], "no valid JSON"),
        ("{" + '"a":{' * 100_000, "no valid JSON"),
        ('{"a": ' + "[" * 100_000, "no valid JSON"),
        ('{"a": ' + "9" * 5000 + "}", "no valid JSON"),
        ("{}", "leads to a prompt"),
        (json.dumps({"a": 1, "b": {"inputs": []}, "c": {"inputs": {"positive": {}}}}), "leads to a prompt"),
        (json.dumps({str(id): node("Note") for id in range(2_001)}), "more than 2000 nodes"),
        ("{" + " " * 2_000_000 + "}", "longer than 2000000 letters"),
    ],
    ids=range(8),
)
def test_a_broken_or_hostile_graph_is_passed_over(tmp_path: Path, text: str, words: str):
    png(tmp_path / "a.png", prompt=text)
    assert words in reason(tmp_path)


def test_a_long_chain_ends_in_words(tmp_path: Path):
    chain = {f"n{id}": node("Reroute", text=[str(id + 1), 0]) for id in range(100, 1_900)}
    comfy(tmp_path, n6=node("CLIPTextEncode", text=["100", 0]), **chain)
    assert "spread over more than 150 nodes" in reason(tmp_path)


def test_a_graph_with_endless_ways_to_the_base_is_read_at_once(tmp_path: Path):
    chain = {f"n{id}": node("Merge", model1=[str(id + 1), 0], model2=[str(id + 1), 0]) for id in range(100, 600)}
    comfy(tmp_path, n3=sampler(model=["100", 0]), n600=node("Loader", ckpt_name="base.pt", model=["100", 0]), **chain)
    start = time.monotonic()
    assert only(tmp_path).model == "base"
    assert time.monotonic() - start < 5  # each node doubles the ways, so that to walk them all would take for ever


def test_a_graph_of_very_many_pictures_is_passed_over_though_all_are_alike(tmp_path: Path):
    comfy(tmp_path, n9=node("Preview", images=["8", 0]), **{f"n{id}": sampler() for id in range(20, 41)})
    assert "draws several pictures" in reason(tmp_path)


def test_a_workflow_is_not_the_graph_that_was_run(tmp_path: Path):
    png(tmp_path / "a.png", workflow=json.dumps({"nodes": []}))
    assert reason(tmp_path) == "holds ComfyUI's workflow, but not the graph that was run"


def test_where_a_picture_of_comfyui_has_settings_too_these_are_read(tmp_path: Path):
    png(tmp_path / "a.png", prompt=json.dumps(graph()), parameters=A1111)
    assert only(tmp_path).told_by == "A1111"


# -- InvokeAI and NovelAI ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("outer", "inner"), [("model", "name"), ("lora", "model_name")])
def test_metadata_of_invokeai_are_read(tmp_path: Path, outer: str, inner: str):
    told = {"positive_prompt": "mira, 狐", "negative_prompt": "blurry", "seed": 5, "steps": 30, "cfg_scale": 7.5}
    loras = [{outer: {inner: "Mira"}, "weight": 0.75}, None, {"weight": 1}]
    told |= {"scheduler": "euler_a", "model": {inner: "Juggernaut XL"}, "loras": loras, "app_version": "5.6.0"}
    png(tmp_path / "a.png", invokeai_metadata=json.dumps(told))
    assert only(tmp_path) == Generation(
        path="a.png",
        prompt="mira, 狐",
        negative="blurry",
        seed=5,
        steps=30,
        sampler="euler_a",
        guidance=7.5,
        model="Juggernaut XL",
        loras={"Mira": 0.75},
        told_by="InvokeAI",
    )


def test_a_comment_of_novelai_is_read_with_its_characters(tmp_path: Path):
    comment: Inputs = {"prompt": "2girls", "uc": "blurry", "seed": 6, "steps": 23, "scale": 5, "sampler": "k_euler"}
    comment["v4_prompt"] = {"caption": {"base_caption": "2girls", "char_captions": [{"char_caption": "mira"}, {}, 1]}}
    png(tmp_path / "a.png", Software="NovelAI", Source="NovelAI Diffusion V4.5", Comment=json.dumps(comment))
    told = only(tmp_path)
    assert (told.prompt, told.negative, told.seed, told.steps) == ("2girls, mira", "blurry", 6, 23)
    assert (told.sampler, told.guidance, told.model) == ("k_euler", 5, "NovelAI Diffusion V4.5")


def test_early_pictures_of_novelai_have_their_prompt_as_a_description(tmp_path: Path):
    png(tmp_path / "a.png", Description="mira", Comment=json.dumps({"uc": "blurry", "seed": 6}))
    assert (only(tmp_path).prompt, only(tmp_path).told_by) == ("mira", "NovelAI")


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"invokeai_metadata": "{"}, "its InvokeAI metadata is no valid JSON"),
        ({"invokeai_metadata": "[]"}, "its InvokeAI metadata is no JSON object"),
        ({"invokeai_metadata": '{"positive_prompt": 1}'}, "its InvokeAI metadata holds no prompt"),
        ({"Comment": '{"uc": ""}'}, "its NovelAI comment holds no prompt"),
        ({"Comment": '{"uc": '}, "its NovelAI comment is no valid JSON"),
        ({"Comment": "made with love"}, "says nothing of how it was made"),
    ],
)
def test_what_is_wrong_with_a_note_is_said(tmp_path: Path, texts: dict[str, str], words: str):
    png(tmp_path / "a.png", **texts)
    assert reason(tmp_path) == words


def test_half_a_letter_does_not_keep_a_record_from_being_written(tmp_path: Path):
    told = {"positive_prompt": "mira \ud83d", "seed": True, "steps": [], "cfg_scale": 10**400, "model": 3, "loras": {}}
    png(tmp_path / "a.png", invokeai_metadata=json.dumps(told))
    generation = only(tmp_path)
    assert Generation.model_validate_json(generation.model_dump_json()) == generation
    assert (generation.prompt, generation.seed, generation.guidance, generation.model) == ("mira ?", None, None, "")


# -- texts beside pictures, and folders --------------------------------------------------------------------------------


def test_a_text_beside_a_picture_is_its_prompt(tmp_path: Path):
    png(tmp_path / "a.b.png")
    (tmp_path / "a.b.txt").write_text("\ufeffミラ, smile <lora:mira:0.5>\n", encoding="utf-8")
    told = only(tmp_path)
    assert (told.prompt, told.loras, told.seed, told.told_by) == ("ミラ, smile", {"mira": 0.5}, None, "file")


def test_a1111_writes_its_text_beside_the_picture_too(tmp_path: Path):
    png(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text(A1111)
    told = only(tmp_path)
    assert (told.prompt, told.seed, told.told_by) == ("mira, 1girl,\nsmile", 4294967295, "A1111")


def test_the_pictures_own_word_counts_before_the_text_beside_it(tmp_path: Path):
    png(tmp_path / "a.png", parameters=A1111)
    (tmp_path / "a.txt").write_text("a caption")
    assert only(tmp_path).prompt == "mira, 1girl,\nsmile"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b" \n", "says nothing of how it was made"),
        (b"mira \xff", "a.txt beside it is not in UTF-8"),
        (b"mira " * 20_001, "a.txt beside it is longer than 100000 bytes"),
    ],
    ids=range(3),
)
def test_a_text_that_holds_no_prompt_is_told(tmp_path: Path, data: bytes, words: str):
    png(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(data)
    assert reason(tmp_path) == words


def test_folders_are_read_in_order_without_what_is_hidden(tmp_path: Path):
    names = ["b.png", "a/z.PNG", "a b/c.png", ".hidden/d.png", "a/.e.png", "a/notes.json", "dead.png"]
    for name in names[:5]:
        png(tmp_path / name, parameters=A1111)
    (tmp_path / "a/notes.json").write_text("{}")
    (tmp_path / "dead.png").symlink_to(tmp_path / "nowhere.png")
    png(tmp_path / "a/y.png")
    told, passed_over = read_generations(tmp_path)
    assert [one.path for one in told] == ["a b/c.png", "a/z.PNG", "b.png"]
    assert passed_over == {"a/y.png": "says nothing of how it was made"}


def test_a_name_that_is_no_text_is_told_and_stops_nothing(tmp_path: Path):
    png(tmp_path / "a\udcff.png", parameters=A1111)
    assert reason(tmp_path) == "its name is not in Unicode; rename it"


def test_a_file_that_is_no_picture_says_nothing(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xff")
    assert reason(tmp_path) == "says nothing of how it was made"


@pytest.mark.parametrize(("name", "words"), [("nowhere", "is missing"), ("a.png", "is no folder")])
def test_what_is_no_folder_is_refused(tmp_path: Path, name: str, words: str):
    png(tmp_path / "a.png")
    with pytest.raises(PictureError, match=words):
        read_generations(tmp_path / name)
