"""scikit-learn's fitted estimators as TensorFlow graphs, for exports."""

import numpy as np
import tensorflow as tf

EULER = 0.5772156649015329


class SVMGraph(tf.Module):
    """A one-class SVM's score: minus the weighted sum of Gaussian kernels at support vectors.

    Source: Schölkopf et al., "Estimating the support of a high-dimensional distribution", 2001.
    """

    def __init__(self, estimator):
        super().__init__()
        vectors = np.asarray(estimator.support_vectors_, "float64")
        self.center = tf.Variable(vectors.mean(0), trainable=False)
        self.vectors = tf.Variable(vectors - vectors.mean(0), trainable=False)
        self.weights = tf.Variable(np.asarray(estimator.dual_coef_[0], "float64"), trainable=False)
        self.gamma = float(estimator._gamma)

    def __call__(self, x):
        x = tf.reshape(x, (tf.shape(x)[0], self.vectors.shape[1]))
        x = tf.cast(x, tf.float64) - self.center
        squares = tf.reduce_sum(x**2, -1)[:, None] + tf.reduce_sum(self.vectors**2, -1)
        squares -= 2 * tf.matmul(x, self.vectors, transpose_b=True)  # (B, vectors)
        kernels = tf.exp(-self.gamma * tf.maximum(squares, 0))
        return {"score": -tf.cast(tf.linalg.matvec(kernels, self.weights), tf.float32)}


class ForestGraph(tf.Module):
    """An isolation forest's score: 2^(-mean depth / expected depth).

    All trees are walked at once, a level a step, in arrays of one length.
    Source: Liu, Ting and Zhou, "Isolation forest", ICDM 2008, equations 1 and 2.
    """

    def __init__(self, estimator):
        super().__init__()
        trees = [member.tree_ for member in estimator.estimators_]
        nodes = max(tree.node_count for tree in trees)
        features = estimator.estimators_features_

        def stacked(rows, kind, fill):
            table = np.full((len(trees), nodes), fill, kind)
            for row, values in zip(table, rows, strict=True):
                row[: len(values)] = values
            return tf.Variable(table, trainable=False)

        inner = [tree.children_left >= 0 for tree in trees]
        own = [np.arange(tree.node_count) for tree in trees]  # a leaf leads to itself
        parts = list(zip(trees, inner, own, features, strict=True))
        self.left = stacked((np.where(i, t.children_left, o) for t, i, o, _ in parts), "int32", 0)
        self.right = stacked((np.where(i, t.children_right, o) for t, i, o, _ in parts), "int32", 0)
        self.feature = stacked((f[np.where(i, t.feature, 0)] for t, i, _, f in parts), "int32", 0)
        self.limit = stacked((t.threshold for t in trees), "float64", 0)
        self.depth = stacked((_depths(t) for t in trees), "float64", 0)
        self.levels = max(tree.max_depth for tree in trees)
        self.expected = float(expected_depth(np.array([estimator._max_samples]))[0]) * len(trees)

    def __call__(self, x):
        x = tf.reshape(x, (tf.shape(x)[0], -1))
        trees = self.left.shape[0]
        rows = tf.tile(tf.range(tf.shape(x)[0])[:, None], (1, trees))
        places = tf.tile(tf.range(trees)[None], (tf.shape(x)[0], 1))
        node = tf.zeros_like(rows)
        tables = (self.feature, self.limit, self.left, self.right, self.depth)
        # read here: converters to other runtimes know no gathering from a variable
        feature, limit, left, right, depth = map(tf.convert_to_tensor, tables)
        for _ in range(self.levels):
            at = tf.stack([places, node], -1)  # (B, trees, 2)
            split_on = tf.gather_nd(feature, at)
            value = tf.cast(tf.gather_nd(x, tf.stack([rows, split_on], -1)), tf.float64)
            goes_left = value <= tf.gather_nd(limit, at)
            node = tf.where(goes_left, tf.gather_nd(left, at), tf.gather_nd(right, at))
        depth = tf.gather_nd(depth, tf.stack([places, node], -1))
        score = tf.pow(tf.constant(2.0, tf.float64), -tf.reduce_sum(depth, -1) / self.expected)
        return {"score": tf.cast(score, tf.float32)}


def expected_depth(count):
    """Mean depth of an unsuccessful search among `count` rows, equation 1: float64 array."""
    count = np.asarray(count, "float64")
    large = np.maximum(count, 3)
    found = 2 * (np.log(large - 1) + EULER) - 2 * (large - 1) / large
    return np.where(count <= 1, 0, np.where(count == 2, 1, found))


def _depths(tree):
    """What each leaf adds to a row's depth: its own depth, and the expected depth of its rows."""
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):  # parents come before their children
        for child in (tree.children_left[node], tree.children_right[node]):
            if child >= 0:
                depth[child] = depth[node] + 1
    return depth + expected_depth(tree.n_node_samples)
