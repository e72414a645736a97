"""A base in a byte a weight: near to the whole one, a LoRA learns on it, and nothing of it is whole in memory.

Shapes: B batch, D h w latent, I in, O out.
"""

import signal
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_base
from tiny_data import NOTES, tiny_cache
from torch import Tensor, nn

import likeness
from likeness.diffusion import load_model
from likeness.diffusion.adapter import attach
from likeness.diffusion.blocks import BlockSet
from likeness.diffusion.family import DiffusionModel
from likeness.diffusion.lora import weight_of
from likeness.diffusion.quantised import QuantisedLinear, bytes_saved, quantise
from likeness.errors import Interrupted, ResumeError
from likeness.events import Event
from likeness.recipe import BaseConfig, TrainConfig
from likeness.training.train import train

Kind = Literal["int8", "fp8"]
KINDS: tuple[Kind, ...] = ("int8", "fp8")
MAQUETTE = Path(likeness.__file__).parent / "maquette" / "base"


def linear(dtype: torch.dtype = torch.float32) -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(64, 96).requires_grad_(False).to(dtype)


def error(seen: Tensor, wanted: Tensor) -> float:
    """As a share of what is wanted."""
    return ((seen.float() - wanted.float()).norm() / wanted.float().norm()).item()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("sdxl"))


def quantised(folder: Path, kind: Kind = "int8", dtype: str = "float32") -> DiffusionModel:
    return load_model(folder, device="cpu", dtype=dtype, config=BaseConfig(quantise=kind))


@pytest.mark.parametrize(("kind", "most"), [("int8", 0.006), ("fp8", 0.03)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_answers_nearly_as_the_whole_one_and_so_does_its_gradient(
    kind: Kind, most: float, dtype: torch.dtype
) -> None:
    whole, layer = linear(dtype), QuantisedLinear(linear(dtype), kind)
    x = torch.randn(3, 5, 64, generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_()
    answers = [each(x) for each in (layer, whole)]
    gradients = [torch.autograd.grad(answer.float().square().sum(), x)[0] for answer in answers]
    assert answers[0].dtype == gradients[0].dtype == dtype
    assert 0 < error(*answers) < most
    assert 0 < error(gradients[0], gradients[1]) < most
    assert torch.equal(layer.product(x), torch.nn.functional.linear(x, layer.whole()))
    assert torch.equal(weight_of(layer), layer.whole().float())


def test_weights_are_bytes_and_none_is_kept_whole_for_backward() -> None:
    layer, kept = QuantisedLinear(linear(), "int8"), list[Tensor]()
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        layer(torch.randn(2, 64, requires_grad=True))
    assert layer.weight.dtype == torch.int8
    assert sum(tensor.nbytes for tensor in kept) == 0


def test_under_autocast_a_layer_answers_as_others_do() -> None:
    x = torch.randn(2, 64)
    with torch.autocast("cpu", torch.bfloat16):
        assert QuantisedLinear(linear(), "int8")(x).dtype == linear()(x).dtype == torch.bfloat16


def test_a_row_of_zeros_stays_one() -> None:
    whole = linear()
    whole.weight[3] = 0
    layer = QuantisedLinear(whole, "int8")
    assert not layer.whole()[3].any()
    assert torch.isfinite(layer.whole()).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_embedded_base_answers_nearly_as_before(kind: Kind) -> None:
    noisy_BDhw = torch.randn(4, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    answers = []
    for one in (quantised(MAQUETTE, kind), load_model(MAQUETTE, device="cpu", dtype="float32")):
        told = one.encode_prompts(["a fox, blue hair"] * 4)
        with torch.no_grad():
            answers.append(one.predict(noisy_BDhw, torch.tensor([50, 300, 600, 950]), told))
    assert 0 < error(*answers) < {"int8": 0.015, "fp8": 0.05}[kind]


def test_only_linear_layers_of_attentions_are_quantised(folder: Path, model: DiffusionModel) -> None:
    found = quantised(folder)
    paths = {path for path, layer in found.denoiser.named_modules() if isinstance(layer, QuantisedLinear)}
    assert {path.split(".")[0] for path in paths} == {"down_blocks", "mid_block", "up_blocks"}
    assert all(".attentions." in path for path in paths)
    assert found.dtype == torch.float32
    sizes = [sum(t.nbytes for t in one.denoiser.state_dict().values()) for one in (model, found)]
    assert sizes[0] - sizes[1] == bytes_saved(model.denoiser) > 0.4 * sizes[0]
    assert bytes_saved(found.denoiser) == 0


def test_the_fingerprint_tells_and_the_cache_is_of_both(folder: Path, model: DiffusionModel, tmp_path: Path) -> None:
    one, other = quantised(folder), quantised(folder, "fp8")
    assert len({model.fingerprint, one.fingerprint, other.fingerprint}) == 3
    assert model.encodes_as == model.fingerprint == one.encodes_as == other.encodes_as
    cache = tiny_cache(tmp_path, model)
    before = {path: path.stat().st_mtime_ns for path in cache.glob("*.safetensors")}
    assert tiny_cache(tmp_path, one) == cache
    assert {path: path.stat().st_mtime_ns for path in cache.glob("*.safetensors")} == before


@pytest.mark.parametrize("variant", ["lora", "dora", "lokr"])
def test_an_adapter_beside_quantised_layers_learns_nearly_the_same(
    folder: Path, model: DiffusionModel, variant: str
) -> None:
    gradients = []
    for one in (quantised(folder), model):
        adapter = attach(one.adapter_targets(), [BlockSet("attention", 4)], variant=variant).train()
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for parameter in adapter.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
        noisy_BDhw = torch.randn(2, 4, 8, 8, generator=generator)
        one.predict(noisy_BDhw, torch.tensor([50, 900]), one.encode_prompts(["a fox", "b"])).square().sum().backward()
        found = [parameter.grad.flatten() for parameter in adapter.parameters() if parameter.grad is not None]
        gradients.append(torch.cat(found))
        adapter.detach()
    assert 0 < error(*gradients) < 0.05


def test_a_run_on_it_leaves_a_file_as_ever_and_resumes_to_the_byte(
    folder: Path, model: DiffusionModel, tmp_path: Path
) -> None:
    small, cache = quantised(folder), tiny_cache(tmp_path, model)
    config = TrainConfig(steps=4, batch=2, learning_rate=1e-2, rank=2, save_every=2)

    def run(name: str, base: DiffusionModel, **options: Any) -> Path:
        to = tmp_path / name / "0001"
        to.mkdir(parents=True, exist_ok=True)
        train(cache, config, model=base, to=to, seed=7, metadata=NOTES, **options)
        return to / "step-000004.safetensors"

    def stop(event: Event) -> None:
        if event.done == 2:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted):
        run("stopped", small, report=stop)
    with pytest.raises(ResumeError, match="the base"):
        run("stopped", model)
    whole, usual = run("whole", small), load_file(run("usual", model))
    assert run("stopped", small).read_bytes() == whole.read_bytes()
    learnt = load_file(whole)
    assert {name: (t.shape, t.dtype) for name, t in learnt.items()} == {n: (t.shape, t.dtype) for n, t in usual.items()}
    assert any(not torch.equal(tensor, usual[name]) for name, tensor in learnt.items())


def test_it_can_be_done_in_bfloat16_too(folder: Path) -> None:
    small = quantised(folder, "fp8", dtype="bfloat16")
    told = small.encode_prompts(["a fox"])
    with torch.no_grad():
        assert small.predict(torch.randn(1, 4, 8, 8), torch.tensor([50]), told).isfinite().all()


def test_a_denoiser_is_quantised_once() -> None:
    denoiser = nn.ModuleDict({"mid": nn.ModuleDict({"attentions": nn.ModuleList([linear()])})})
    for _ in range(2):
        quantise(denoiser, "int8", device=torch.device("cpu"))
    assert isinstance(denoiser.get_submodule("mid.attentions.0"), QuantisedLinear)
