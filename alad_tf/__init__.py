"""Adversarially Learned Anomaly Detection (Zenati et al., ICDM 2018) in Keras 3.

The main names are loaded when they are first used, so that importing the package (for its data or
its metrics, say) does not import TensorFlow.

Example:
    >>> from alad_tf import ALAD, Detector, Scorer
    >>> Scorer.__module__
    'alad_tf.model.scorer'
"""

import importlib
import importlib.abc
import importlib.util
import sys
import warnings

__version__ = "0.1.0"

_HOMES = {
    "ALAD": "alad_tf.model.alad",
    "ALADDetector": "alad_tf.detector.estimator",
    "Detector": "alad_tf.detector.detector",
    "Scorer": "alad_tf.model.scorer",
    "SpectralNormalization": "alad_tf.model.layers",
}
__all__ = ["ALAD", "ALADDetector", "Detector", "Scorer", "SpectralNormalization"]


def lazily(package, homes):
    """A package's `__getattr__`: names by the module that each is imported from when it is used."""

    def __getattr__(name):
        if name not in homes:
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}; it has {sorted(homes)}."
            )
        return getattr(importlib.import_module(homes[name]), name)

    return __getattr__


__getattr__ = lazily(__name__, _HOMES)


# Modules as versions before the rooms had them; scripts written then go on, with a warning.
_MOVED = {
    f"alad_tf.{old}": f"alad_tf.{new}"
    for old, new in {
        "alad": "model.alad",
        "architecture": "model.networks",
        "batch": "export.batch",
        "callbacks": "engine.callbacks",
        "checkpoint": "engine.state_file",
        "discriminators": "model.networks",
        "ensemble": "detector.ensemble",
        "estimator": "detector.estimator",
        "evaluate": "detector.metrics",
        "explain": "detector.explain",
        "export_inputs": "export.graph",
        "files": "engine.files",
        "fit_report": "cli.fit_report",
        "given": "detector.validation",
        "layers": "model.layers",
        "losses": "model.losses",
        "members": "detector.members",
        "networks": "model.networks",
        "plots_explain": "plots.explain",
        "portable": "export.portable",
        "printed": "cli.tables",
        "progress": "engine.progress",
        "random": "engine.random",
        "rows": "model.specs",
        "rules": "detector.defaults",
        "runs": "experiments.run",
        "score_files": "cli.score_files",
        "scorer": "model.scorer",
        "scores": "model.scores",
        "server": "export.serving.server",
        "settings": "experiments.settings",
        "threshold": "detector.threshold",
        "tuning": "detector.tuning",
        "user_data": "cli.user_data",
        "weights": "engine.weights",
    }.items()
} | {"alad_tf.entry": "zoo._entry", "zoo.presets": "zoo._presets"}


class _Moved(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module under the name that it had in earlier versions."""

    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_loader(name, self) if name in _MOVED else None

    def create_module(self, spec):
        home = _MOVED[spec.name]
        text = f"{spec.name} has moved to {home}."
        warnings.warn(text, DeprecationWarning, stacklevel=4)
        module = importlib.import_module(home)
        spec.loader_state = module.__spec__
        return module

    def get_code(self, name):
        """For `python -m` with an earlier name."""
        run = (
            f"import runpy; runpy.run_module({_MOVED[name]!r}, run_name='__main__', alter_sys=True)"
        )
        return compile(run, name, "exec")

    def exec_module(self, module):
        module.__spec__ = module.__spec__.loader_state  # its own; it is loaded already


sys.meta_path.append(_Moved())
