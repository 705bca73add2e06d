"""One-class SVM and isolation forest: scikit-learn's, behind the baselines' contract."""

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from alad_tf.baselines.base import Baseline, distinct_rows
from alad_tf.engine.machine import cores
from alad_tf.engine.programs import check_finite, check_samples

STATE = "scorer.skops"  # arrays and parameters, no code: not a pickle
TREE = "sklearn.tree._tree.Tree"  # trusted, because `_check_trees` looks at what it points to
ROWS = 1024  # of a thread's task


class _Classical(Baseline):
    """An estimator of scikit-learn on flattened samples."""

    score_names = ("score",)
    score = "score"

    def __init__(self, x_shape=None):
        self.x_shape = None if x_shape is None else tuple(int(side) for side in x_shape)
        self.estimator = None

    def _make(self):
        """The unfitted estimator of scikit-learn; `x_shape` is known."""
        raise NotImplementedError

    def _fit(self, estimator, x):
        estimator.fit(x)

    def fit(self, x):
        x = np.asarray(x, "float32")
        if self.x_shape is None:
            self.x_shape = x.shape[1:]
        x = check_samples(x, self.x_shape)
        check_finite(x)
        estimator = self._make()
        self._fit(estimator, x.reshape(len(x), -1))
        self.estimator = estimator
        return self

    def scores(self, x):
        if self.estimator is None:
            raise ValueError(f"This {type(self).__name__} is not fitted; call fit first.")
        x = check_samples(x, self.x_shape)
        rows, inverse, _ = distinct_rows(x.reshape(len(x), -1))
        starts = range(0, len(rows), ROWS)
        with ThreadPoolExecutor(cores()) as pool:
            parts = pool.map(lambda i: self._normality(rows[i : i + ROWS]), starts)
            normality = np.concatenate(list(parts))
        return {"score": -normality[inverse].astype("float32")}

    def _normality(self, x):
        """scikit-learn's sign: lower is more anomalous."""
        return self.estimator.score_samples(x)

    def graph(self):
        """The scores as a `tf.Module`, a function of samples, for exports."""
        from alad_tf.baselines import graphs

        return getattr(graphs, self._graph)(self.estimator)

    def write_state(self, folder, dtype="float32"):
        import skops.io

        skops.io.dump(self.estimator, Path(folder) / STATE)

    def read_state(self, folder):
        import skops.io

        path = Path(folder) / STATE
        try:
            self.estimator = skops.io.load(path, trusted=[TREE])
            _check_trees(self.estimator)
        except Exception as error:  # zip, JSON and type errors, whose texts name no file
            raise ValueError(
                f"{path} does not hold a {type(self).__name__} ({error}). It is damaged, cut "
                "short, or of another version of scikit-learn: fit and save again."
            ) from error


class OneClassSVM(_Classical):
    """One-class support vector machine with a Gaussian kernel, solved exactly.

    Equal training rows are given to the solver once, weighted by their count. That is the same
    problem, and on KDDCup99 a sixth of the rows, so that no subsample is needed. The solution does
    not depend on chance: there is no seed.

    Args:
        nu: float in (0, 1], the expected share of anomalies.
        gamma: float, the kernel is exp(-gamma ||x - y||^2); default 1 / number of features.
        x_shape: tuple of ints, the shape of one sample; default that of the training rows.

    Raises:
        ValueError: nu outside (0, 1].

    Example:
        >>> model = OneClassSVM(nu=0.5).fit([[0.0], [1.0], [0.5]])
        >>> bool(model.anomaly_score([[9.0]]) > model.anomaly_score([[0.5]]))
        True

    Source: ALAD, Section V-B; Schölkopf et al., 2001; the solver is LIBSVM's, in scikit-learn.
    """

    method = "ocsvm"
    _graph = "SVMGraph"

    def __init__(self, nu, gamma=None, x_shape=None):
        super().__init__(x_shape)
        if not 0 < nu <= 1:
            raise ValueError(f"nu must be in (0, 1]; received {nu}.")
        self.nu, self.gamma = float(nu), gamma

    def _make(self):
        from sklearn.svm import OneClassSVM as Estimator

        gamma = 1 / math.prod(self.x_shape) if self.gamma is None else self.gamma
        return Estimator(nu=self.nu, gamma=gamma, cache_size=2000)

    def _fit(self, estimator, x):
        rows, _, counts = distinct_rows(x)
        estimator.fit(rows, sample_weight=counts)

    def architecture(self):
        return {"nu": self.nu, "gamma": self.gamma, "x_shape": self.x_shape}


class IsolationForest(_Classical):
    """Isolation forest with scikit-learn's defaults: 100 trees of 256 rows each.

    Args:
        seed: int, of the trees.
        x_shape: tuple of ints, the shape of one sample; default that of the training rows.

    Example:
        >>> forest = IsolationForest().fit([[float(i % 7)] for i in range(50)])
        >>> bool(forest.anomaly_score([[99.0]]) > forest.anomaly_score([[3.0]]))
        True

    Source: ALAD, Section V-B; Liu et al., 2008.
    """

    method = "iforest"
    _graph = "ForestGraph"

    def __init__(self, seed=0, x_shape=None):
        super().__init__(x_shape)
        self.seed = int(seed)

    def _make(self):
        from sklearn.ensemble import IsolationForest as Estimator

        return Estimator(random_state=self.seed)

    def architecture(self):
        return {"seed": self.seed, "x_shape": self.x_shape}


def _check_trees(estimator):
    """Raise ValueError if a loaded tree points out of its own nodes or of a row's features."""
    for tree in (member.tree_ for member in getattr(estimator, "estimators_", ())):
        for links in (tree.children_left, tree.children_right):
            if (links >= tree.node_count).any() or (links < -1).any():
                raise ValueError("a tree's node points at one that is not there")
        inner = tree.children_left >= 0
        if (tree.feature[inner] >= tree.n_features).any() or (tree.feature[inner] < 0).any():
            raise ValueError("a tree's node asks for a feature that is not there")
