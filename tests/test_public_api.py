"""Every public name says what it does, takes, gives and raises, and shows it in an example."""

import functools
import importlib
import inspect

import pytest
from docstrings import examples, missing_parts

# Packages, whose `__all__` is public; then modules, where every name without an underscore is.
PACKAGES = ["alad_tf", "zoo", "alad_tf.data", "alad_tf.preprocess", "alad_tf.baselines"]
MODULES = [
    "alad_tf.threshold",
    "alad_tf.losses",
    "alad_tf.scores",
    "alad_tf.metrics",
    "alad_tf.evaluate",
    "alad_tf.explain",
    "alad_tf.export",
    "alad_tf.portable",
    "alad_tf.tuning",
    "alad_tf.canvas",
    "alad_tf.plots",
    "alad_tf.plots_explain",
    "alad_tf.neighbours",
    "alad_tf.preprocess.gaps",
    "alad_tf.convolutions",
    "alad_tf.layers",
    "alad_tf.precision",
    "alad_tf.networks",
    "alad_tf.discriminators",
    "alad_tf.architecture",
    "alad_tf.callbacks",
    "alad_tf.ensemble",
    "alad_tf.fine_tuning",
    "alad_tf.runs",
    "alad_tf.seeds",
    "alad_tf.rules",
    "alad_tf.user_data",
    "alad_tf.score_files",
    "alad_tf.server",
    "alad_tf.settings",
    "alad_tf.entry",
    "zoo.publish",
]
# What is public in these follows a paper, and says which.
CITING = ("losses", "layers", "scores", "discriminators", "networks", "alad", "scorer", "threshold")
# What Keras calls and users do not, where a class of Keras has it, too.
HOOKS = {
    "build": "makes the weights",
    "call": "its class says what it takes and gives",
    "compute_output_shape": "as in every layer",
    "get_config": "what the constructor takes",
    "on_epoch_begin": "called by `fit`",
    "on_epoch_end": "called by `fit`",
    "on_train_batch_end": "called by `fit`",
    "on_train_begin": "called by `fit`",
    "result": "its class says what it gives",
    "test_step": "called by `fit`",
    "update_state": "its class says what it takes",
}
# Whose examples are comments, and why; tests/ runs them all.
NOT_RUN = {
    "alad_tf.Detector.export": "checks itself in a second process, as the example of `export` does",
    "alad_tf.seeds.train_seeds": "starts a process a seed",
    "alad_tf.server.Server.run": "answers until a signal comes",
    "alad_tf.tuning.ALADHyperModel.fit": "trains",
}


@functools.cache
def public_names():
    """The public API: dict by dotted name of `(member, owner)`, owner the class of a method."""
    found = {}
    for module in map(importlib.import_module, PACKAGES):
        found |= {f"{module.__name__}.{name}": getattr(module, name) for name in module.__all__}
    for module in map(importlib.import_module, MODULES):
        own = {k: v for k, v in vars(module).items() if _is_own(v, module)}
        found |= {f"{module.__name__}.{k}": v for k, v in own.items() if not k.startswith("_")}
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


def _is_own(value, module):
    return callable(value) and getattr(value, "__module__", None) == module.__name__


def _is_method(member):
    kinds = (property, classmethod, staticmethod, functools.cached_property)
    return inspect.isfunction(member) or isinstance(member, kinds)


def _is_hook(owner, attribute):
    keras = [base for base in owner.__mro__ if base.__module__.split(".")[0] == "keras"]
    return attribute in HOOKS and any(attribute in vars(base) for base in keras)


def _cites(member, owner):
    home = (owner or member).__module__.removeprefix("alad_tf.")
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
    assert len(names) > 200
    found = {
        "alad_tf.Detector": "class",
        "alad_tf.Detector.load": "classmethod",
        "alad_tf.Detector.reconstructs": "property",
        "alad_tf.baselines.AnoGAN.searches": "cached property",
        "alad_tf.data.DATASETS": "constant",
        "alad_tf.losses.cross_entropy": "function",
        "zoo.load": "function of another module",
    }
    assert set(found) <= set(names)
    assert not {"alad_tf.ALAD.call", "alad_tf.losses.tf", "alad_tf.threshold._finite"} & set(names)
    assert set(NOT_RUN) <= set(names)
    classes = [member for member, _ in names.values() if inspect.isclass(member)]
    used = {name for owner in classes for name in vars(owner) if _is_hook(owner, name)}
    assert used == set(HOOKS)
