"""Every public name says what it does, takes, gives and raises, and shows it in an example."""

import functools
import importlib
import inspect

import pytest
from docstrings import examples, missing_parts

# What these export in `__all__` is public; of its classes, the methods without an underscore, too.
PACKAGES = [
    "alad_tf",
    "zoo",
    "alad_tf.data",
    "alad_tf.model",
    "alad_tf.preprocess",
    "alad_tf.baselines",
    "alad_tf.detector",
    "alad_tf.export",
    "alad_tf.plots",
    "alad_tf.experiments",
]
# What is public in these follows a paper, and says which.
CITING = (
    "model.losses",
    "model.layers",
    "model.scores",
    "model.networks",
    "model.alad",
    "model.scorer",
    "detector.threshold",
)
OWN = ("build_networks", "rows_to_config")  # of those, what follows none
# What Keras calls and users do not, where a class of Keras has it, too.
HOOKS = {
    "build": "makes the weights",
    "call": "its class says what it takes and gives",
    "compute_output_shape": "as in every layer",
    "get_config": "what the constructor takes",
    "test_step": "called by `fit`",
}
# Whose examples are comments, and why; tests/ runs them all.
NOT_RUN = {
    "alad_tf.ALADDetector.export": "as `Detector.export`",
    "alad_tf.Detector.export": "checks itself in a second process, as the example of `export` does",
}


@functools.cache
def public_names():
    """The public API: dict by dotted name of `(member, owner)`, owner the class of a method."""
    found = {}
    for module in map(importlib.import_module, PACKAGES):
        found |= {f"{module.__name__}.{name}": getattr(module, name) for name in module.__all__}
    names, seen = {}, []
    for name, value in found.items():
        if any(value is other for other in seen):
            continue  # by a shorter name
        seen.append(value)
        names[name] = (value, None)
        for attribute, member in vars(value).items() if inspect.isclass(value) else ():
            if _is_method(member) and not (attribute.startswith("_") or _is_hook(value, attribute)):
                names[f"{name}.{attribute}"] = (member, value)
    return names


def _is_method(member):
    kinds = (property, classmethod, staticmethod, functools.cached_property)
    return inspect.isfunction(member) or isinstance(member, kinds)


def _is_hook(owner, attribute):
    keras = [base for base in owner.__mro__ if base.__module__.split(".")[0] == "keras"]
    return attribute in HOOKS and any(attribute in vars(base) for base in keras)


def _cites(member, owner):
    home = (owner or member).__module__.removeprefix("alad_tf.")
    if getattr(member, "__name__", "") in OWN:
        return False
    return home in CITING or (home.startswith("baselines.") and inspect.isclass(owner or member))


@pytest.mark.parametrize("name", public_names())
def test_a_public_name_is_documented_whole(name):
    member, owner = public_names()[name]
    package, word = name.rsplit(".", 1)
    if not callable(member) and owner is None:  # a constant
        told = importlib.import_module(package).__doc__
        assert f"`{word}`" in told, f"the docstring of {package} does not say what `{word}` is"
        return
    lacks = missing_parts(member, owner, word, _cites(member, owner))
    if name in NOT_RUN:
        lacks = [part for part in lacks if not part.startswith("Example: ")]
        assert word in _code(member), f"{name} shows no call, not even in a comment"
        assert not any(word in code for code in examples(inspect.getdoc(member))), f"{name} is run"
    assert not lacks, f"{name} lacks " + "; ".join(lacks)


def _code(member):
    return "".join(line for line in inspect.getdoc(member).splitlines() if ">>>" in line)


def test_the_walk_finds_all_kinds_of_names_and_nothing_of_others():
    names = public_names()
    assert len(names) > 120
    found = {
        "alad_tf.Detector": "class",
        "alad_tf.Detector.load": "classmethod",
        "alad_tf.Detector.reconstructs": "property",
        "alad_tf.baselines.AnoGAN.searches": "cached property",
        "alad_tf.data.DATASETS": "constant",
        "alad_tf.detector.evaluate": "function",
        "zoo.load": "function of another module",
    }
    assert set(found) <= set(names)
    assert not {
        "alad_tf.ALAD.call",
        "alad_tf.detector.lazily",
        "alad_tf.detector.evaluate.tf",
    } & set(names)
    assert set(NOT_RUN) <= set(names)
    classes = [member for member, _ in names.values() if inspect.isclass(member)]
    used = {name for owner in classes for name in vars(owner) if _is_hook(owner, name)}
    assert used == set(HOOKS)
