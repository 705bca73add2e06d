"""One-class SVM and isolation forest: scikit-learn's, behind the baselines' contract."""

import json
import math
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from alad_tf.baselines.base import Baseline, distinct_rows
from alad_tf.engine.machine import cores
from alad_tf.engine.programs import check_finite, check_samples
from alad_tf.engine.weights import blaming

STATE = "scorer.skops"  # arrays and parameters, no code: not a pickle
# trusted, because `_check_file` looks at what makes one, and `_check_forest` at where it points
TREE = "sklearn.tree._tree.Tree"
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

    def _check(self, estimator):
        """Raise ValueError if a loaded estimator would read outside its own arrays."""
        raise NotImplementedError

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
            raise ValueError(f"This {type(self).__name__} is not fitted. Call fit first.")
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
        with blaming(path, f"contain {_a(type(self).__name__)}"):
            _check_file(path)
            estimator = skops.io.load(path, trusted=[TREE])
            if type(estimator) is not type(self._make()):
                raise ValueError(f"it contains {_a(type(estimator).__name__)}")
            if estimator.n_features_in_ != math.prod(self.x_shape):
                raise ValueError(
                    f"it takes {estimator.n_features_in_} features, but its config has "
                    f"x_shape={self.x_shape}"
                )
            self._check(estimator)
            self.estimator = estimator


class OneClassSVM(_Classical):
    """One-class support vector machine with a Gaussian kernel, solved exactly.

    Identical training rows are passed to the solver once, weighted by their count. That is the same
    problem with, on KDDCup99, a sixth of the rows, so that no subsampling is needed. The solution
    is deterministic: there is no seed.

    Args:
        nu: float in (0, 1], the expected share of anomalies.
        gamma: float, in the kernel exp(-gamma ||x - y||^2); default: 1 / number of features.
        x_shape: tuple of ints, the shape of one sample; default: that of the training rows.

    Raises:
        ValueError: if nu is outside (0, 1].

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
            raise ValueError(f"received nu={nu}; expected a number above 0 and at most 1.")
        self.nu, self.gamma = float(nu), gamma

    def _make(self):
        from sklearn.svm import OneClassSVM as Estimator

        gamma = 1 / math.prod(self.x_shape) if self.gamma is None else self.gamma
        return Estimator(nu=self.nu, gamma=gamma, cache_size=2000)

    def _fit(self, estimator, x):
        rows, _, counts = distinct_rows(x)
        estimator.fit(rows, sample_weight=counts)

    def _check(self, estimator):
        vectors, weights = estimator.support_vectors_, estimator._dual_coef_
        count = len(vectors)
        fits = (
            estimator.kernel == "rbf"
            and vectors.shape == (count, estimator.n_features_in_)
            and weights.shape == estimator.dual_coef_.shape == (1, count)
            and estimator.support_.shape == (count,)
            and estimator._n_support[0] == count
            and estimator.intercept_.shape == estimator._intercept_.shape == (1,)
        )
        numbers = (vectors, weights, estimator.intercept_, estimator._gamma)
        if not fits or not all(np.isfinite(part).all() for part in numbers):
            raise ValueError("its support vectors and weights do not fit together")

    def architecture(self):
        return {"nu": self.nu, "gamma": self.gamma, "x_shape": self.x_shape}


class IsolationForest(_Classical):
    """Isolation forest with scikit-learn's defaults: 100 trees of 256 rows each.

    Args:
        seed: int, the seed of the trees.
        x_shape: tuple of ints, the shape of one sample; default: that of the training rows.

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

    def _check(self, estimator):
        _check_forest(estimator)

    def architecture(self):
        return {"seed": self.seed, "x_shape": self.x_shape}


def _check_forest(forest):
    """Raise ValueError if a loaded tree leaves its own nodes or a row's features, or has a cycle.

    scikit-learn walks the trees in C, where such a tree reads foreign memory or never ends.
    """
    lists = (forest.estimators_features_, forest._decision_path_lengths)
    lists += (forest._average_path_length_per_tree,)
    if not forest.estimators_ or any(len(part) != len(forest.estimators_) for part in lists):
        raise ValueError("its trees and their tables differ in number")
    if forest._max_features != forest.n_features_in_ or not forest._max_samples >= 1:
        raise ValueError("its trees use only some of the features, or no rows")
    for member, features, *tables in zip(forest.estimators_, *lists, strict=True):
        tree = member.tree_
        # before any of its arrays is read: their length is taken from here
        if not 1 <= tree.node_count <= tree.capacity or not 0 <= tree.max_depth < tree.node_count:
            raise ValueError(f"a tree claims {tree.node_count} nodes and has {tree.capacity}")
        if not tree.n_features == len(features) == forest.n_features_in_:
            raise ValueError("a tree has a different number of features")
        if (features < 0).any() or (features >= forest.n_features_in_).any():
            raise ValueError("a tree uses a feature that does not exist")
        if any(len(table) != tree.node_count for table in tables):
            raise ValueError("a tree and its table differ in length")
        number = np.arange(tree.node_count)
        inner = tree.children_left != -1
        for links in (tree.children_left[inner], tree.children_right[inner]):
            # children come after their parents, so that every way ends
            if (links <= number[inner]).any() or (links >= tree.node_count).any():
                raise ValueError("a tree has a cycle, or a node points to one that does not exist")
        if (tree.feature[inner] < 0).any() or (tree.feature[inner] >= tree.n_features).any():
            raise ValueError("a tree's node splits on a feature that does not exist")


def _check_file(path):
    """Raise ValueError for a file that would take much memory, or trees of several outputs.

    scikit-learn builds a tree from these numbers before it can be checked.
    """
    with zipfile.ZipFile(path) as file:
        if sum(part.file_size for part in file.infolist()) > path.stat().st_size:
            raise ValueError("it is compressed, which this package does not do")
        waiting, said = [json.loads(file.read("schema.json"))], {}
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            content = part.get("content")
            if isinstance(content, str):  # what was said under a number stands for it everywhere
                kind = (part.get("__class__"), content)
                if said.setdefault(part.get("__id__"), kind) != kind:
                    raise ValueError("two of its values have the same number")
            if "__reduce__" in part:
                _, _, outputs = part["__reduce__"]["args"]["content"]
                if outputs["content"] != "1":
                    raise ValueError("a tree has several outputs")
            waiting += part.values()


def _a(name):
    return f"an {name}" if name[0] in "AEIOU" else f"a {name}"
