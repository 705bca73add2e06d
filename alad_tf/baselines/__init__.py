"""The paper's baselines behind one interface: a higher score is more anomalous.

`METHODS` is a dict of str: the class name of each method.

Example:
    >>> from alad_tf.baselines import OneClassSVM
    >>> OneClassSVM(nu=0.1).method
    'ocsvm'
"""

from alad_tf import lazily
from alad_tf.data.records import unknown_name_error
from alad_tf.engine.weights import read_config

_HOMES = {
    "AnoGAN": "alad_tf.baselines.anogan",
    "DAGMM": "alad_tf.baselines.dagmm",
    "DSEBM": "alad_tf.baselines.dsebm",
    "IsolationForest": "alad_tf.baselines.classical",
    "OneClassSVM": "alad_tf.baselines.classical",
}
METHODS = {
    "anogan": "AnoGAN",
    "dagmm": "DAGMM",
    "dsebm": "DSEBM",
    "iforest": "IsolationForest",
    "ocsvm": "OneClassSVM",
}
__all__ = [*_HOMES, "METHODS", "baseline_class", "load"]


__getattr__ = lazily(__name__, _HOMES)


def baseline_class(method):
    """Get the class of a method.

    Args:
        method: str, one of `METHODS`.

    Returns:
        a subclass of `alad_tf.baselines.base.Baseline`.

    Raises:
        ValueError: if the method is unknown; the message offers the closest ones.

    Example:
        >>> baseline_class("dagmm").__name__
        'DAGMM'
    """
    if method not in METHODS:
        raise unknown_name_error("method", method, METHODS)
    return __getattr__(METHODS[method])


def load(folder):
    """Load a baseline of any method.

    Args:
        folder: str or Path that a baseline's `save` wrote.

    Returns:
        the baseline, with the same scores as when it was saved.

    Raises:
        FileNotFoundError: if there is no baseline in the folder.
        ValueError: if the method is unknown, or a file is damaged or has another format.

    Example:
        >>> import tempfile
        >>> from alad_tf.baselines import IsolationForest
        >>> fitted = IsolationForest().fit([[0.0], [1.0], [2.0]])
        >>> type(load(fitted.save(tempfile.mkdtemp() + "/forest"))).__name__
        'IsolationForest'
    """
    method = read_config(folder, "baseline").get("method")
    return baseline_class(method).load(folder)
