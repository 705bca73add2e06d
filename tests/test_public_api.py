"""Every public name says what it does, takes, gives and raises, and shows it in an example."""

import functools
import importlib
import inspect
import pkgutil

import pytest
from docstrings import examples, missing_parts

# Packages, whose `__all__` is public; then modules, where every name without an underscore is,
# and single names.
PACKAGES = ["alad_tf", "zoo", "alad_tf.data", "alad_tf.preprocess", "alad_tf.baselines"]
MODULES = [
    "alad_tf.detector.threshold",
    "alad_tf.model.losses",
    "alad_tf.model.scores",
    "alad_tf.model.training.StepMeans",
    "alad_tf.detector.metrics",
    "alad_tf.detector.explain",
    "alad_tf.export.saved_model.export_version",
    "alad_tf.export.saved_model.export",
    "alad_tf.export.graph.require_exportable",
    "alad_tf.export.graph.require_place",
    "alad_tf.export.graph.metadata",
    "alad_tf.export.portable",
    "alad_tf.detector.tuning.TuningData",
    "alad_tf.detector.tuning.ALADHyperModel",
    "alad_tf.detector.tuning.search",
    "alad_tf.plots.canvas",
    "alad_tf.plots.charts",
    "alad_tf.plots.explain",
    "alad_tf.detector.ensemble",
    "alad_tf.preprocess.gaps",
    "alad_tf.engine.kernels.convolve",
    "alad_tf.engine.kernels.convolve_transposed",
    "alad_tf.engine.kernels.filter_gradient",
    "alad_tf.model.layers.SpectralNormalization",
    "alad_tf.model.layers.product",
    "alad_tf.model.layers.apply_kernel",
    "alad_tf.model.layers.SeededDropout",
    "alad_tf.engine.kernels.xla_pays",
    "alad_tf.engine.kernels.OfPolicy",
    "alad_tf.model.networks",
    "alad_tf.engine.callbacks.DivergenceError",
    "alad_tf.engine.callbacks.StopOnDivergence",
    "alad_tf.engine.callbacks.Checkpoint",
    "alad_tf.detector.detector.training_config",
    "alad_tf.experiments.run",
    "alad_tf.experiments.parallel.parse_seeds",
    "alad_tf.experiments.parallel.as_typed",
    "alad_tf.experiments.parallel.train_seeds",
    "alad_tf.experiments.parallel.seeds_table",
    "alad_tf.detector.defaults",
    "alad_tf.cli.user_data",
    "alad_tf.cli.score_files",
    "alad_tf.export.serving.server",
    "alad_tf.experiments.settings.Settings",
    "zoo._entry.BaseEntry",
    "zoo._entry.NetworkEntry",
    "zoo._entry.Entry",
    "alad_tf.experiments.publish",
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
    "alad_tf.ALADDetector.export": "as `Detector.export`",
    "alad_tf.Detector.export": "checks itself in a second process, as the example of `export` does",
    "alad_tf.experiments.parallel.train_seeds": "starts a process a seed",
    "alad_tf.export.serving.server.Server.run": "answers until a signal comes",
    "alad_tf.detector.tuning.ALADHyperModel.fit": "trains",
}


@functools.cache
def public_names():
    """The public API: dict by dotted name of `(member, owner)`, owner the class of a method."""
    found = {}
    for module in map(importlib.import_module, PACKAGES):
        found |= {f"{module.__name__}.{name}": getattr(module, name) for name in module.__all__}
    for name, module in ((name, pkgutil.resolve_name(name)) for name in MODULES):
        if not inspect.ismodule(module):
            found[name] = module
            continue
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
    assert len(names) > 200
    found = {
        "alad_tf.Detector": "class",
        "alad_tf.Detector.load": "classmethod",
        "alad_tf.Detector.reconstructs": "property",
        "alad_tf.baselines.AnoGAN.searches": "cached property",
        "alad_tf.data.DATASETS": "constant",
        "alad_tf.model.losses.cross_entropy": "function",
        "zoo.load": "function of another module",
    }
    assert set(found) <= set(names)
    assert not {
        "alad_tf.ALAD.call",
        "alad_tf.model.losses.tf",
        "alad_tf.detector.threshold._finite",
    } & set(names)
    assert set(NOT_RUN) <= set(names)
    classes = [member for member, _ in names.values() if inspect.isclass(member)]
    used = {name for owner in classes for name in vars(owner) if _is_hook(owner, name)}
    assert used == set(HOOKS)
