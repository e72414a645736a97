"""The public names: what each module says it offers is there, is all there is, and is explained."""

import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import likeness


def module_names() -> list[str]:
    found = pkgutil.walk_packages(likeness.__path__, "likeness.")
    return ["likeness", *sorted(module.name for module in found if not module.name.endswith("__main__"))]


def defined_here(module: ModuleType) -> set[str]:
    """The public classes and functions whose source is in this module."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }


def unexplained(module: ModuleType) -> list[str]:
    """Public classes, functions and methods of `module` without a docstring of their own."""
    missing = []
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            missing += [name] if not value.__doc__ else []
        if inspect.isclass(value):
            members = (
                (key, getattr(part, "fget", part)) for key, part in vars(value).items() if not key.startswith("_")
            )
            missing += [f"{name}.{key}" for key, part in members if inspect.isfunction(part) and not part.__doc__]
    return missing


@pytest.fixture(scope="module")
def modules() -> list[ModuleType]:
    return [importlib.import_module(name) for name in module_names()]


class TestModules:
    """Each rule over all modules at once: a test of each module would cost more than what it looks at."""

    def test_they_explain_themselves(self, modules: list[ModuleType]):
        assert [one.__name__ for one in modules if not (one.__doc__ or "").strip()] == []

    def test_they_say_what_they_offer_once(self, modules: list[ModuleType]):
        assert [one.__name__ for one in modules if len(one.__all__) != len(set(one.__all__))] == []

    def test_all_that_they_offer_is_there(self, modules: list[ModuleType]):
        offered = [(one, name) for one in modules for name in one.__all__]
        assert [f"{one.__name__}.{name}" for one, name in offered if not hasattr(one, name)] == []

    def test_what_they_define_is_offered_or_has_an_underscore(self, modules: list[ModuleType]):
        assert {one.__name__: kept for one in modules if (kept := defined_here(one) - set(one.__all__))} == {}

    def test_all_that_they_offer_is_explained(self, modules: list[ModuleType]):
        assert {one.__name__: missing for one in modules if (missing := unexplained(one))} == {}


def test_the_version_is_the_one_that_is_installed():
    assert likeness.__version__ == importlib.import_module("importlib.metadata").version("likeness")


def test_what_is_not_explained_is_seen():
    module = ModuleType("example")
    exec(
        "class A:\n    'said'\n    def f(self): pass\n    @property\n    def g(self): pass\ndef h(): pass\n"
        "__all__ = ['A', 'h']",
        vars(module),
    )
    assert unexplained(module) == ["A.f", "A.g", "h"]
    assert defined_here(module) == {"A", "h"}
