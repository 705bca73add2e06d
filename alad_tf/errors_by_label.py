"""Which classes of test rows a detector flags: the reasons behind a precision and a recall."""

import numpy as np

from alad_tf.evaluate import top_fraction_threshold


def flagged_by_label(scores, labels, train_labels, top_fraction):
    """Count the test rows of each class that each score puts into the top fraction.

    Args:
        scores: dict of float arrays (N,) by score name.
        labels: array (N,), the file's own class of each test row.
        train_labels: array (M,), that of each training row.
        top_fraction: float in (0, 1), the share of test rows that is called anomalous.

    Returns:
        list of dicts, the most frequent class of the test rows first, those of the training rows
        alone last: "label", "train_rows", "test_rows", and "flagged", the count by score name.

    Raises:
        ValueError: scores and labels differ in length.

    Example:
        >>> table = flagged_by_label({"l1": [0.1, 0.9]}, ["a", "b"], ["a"], 0.5)
        >>> table[1]
        {'label': 'b', 'train_rows': 0, 'test_rows': 1, 'flagged': {'l1': 1}}

    Source: the paper's rule of Section V-A, broken down by class.
    """
    labels, train_labels = np.asarray(labels), np.asarray(train_labels)
    flags = {}
    for name, values in scores.items():
        if len(values) != len(labels):
            raise ValueError(
                f"One label per score is needed; received {len(values)} and {len(labels)}."
            )
        flags[name] = np.asarray(values) >= top_fraction_threshold(values, top_fraction)
    table = []
    for label in sorted({*labels.tolist(), *train_labels.tolist()}):
        rows = labels == label
        table.append(
            {
                "label": label,
                "train_rows": int((train_labels == label).sum()),
                "test_rows": int(rows.sum()),
                "flagged": {name: int(flag[rows].sum()) for name, flag in flags.items()},
            }
        )
    return sorted(table, key=lambda row: -row["test_rows"])
