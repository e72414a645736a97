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


@pytest.mark.parametrize("name", module_names())
class TestModule:
    def test_it_explains_itself(self, name: str):
        assert (importlib.import_module(name).__doc__ or "").strip()

    def test_it_says_what_it_offers_once(self, name: str):
        offered = importlib.import_module(name).__all__
        assert len(offered) == len(set(offered))

    def test_all_that_it_offers_is_there(self, name: str):
        module = importlib.import_module(name)
        assert [missing for missing in module.__all__ if not hasattr(module, missing)] == []

    def test_what_it_defines_is_offered_or_has_an_underscore(self, name: str):
        module = importlib.import_module(name)
        assert defined_here(module) - set(module.__all__) == set()

    def test_all_that_it_offers_is_explained(self, name: str):
        assert unexplained(importlib.import_module(name)) == []


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
