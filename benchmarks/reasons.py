"""Reasons and expected values, by planted faults: which column is named, and what it should hold.

    python -m benchmarks.reasons [--data-dir FOLDER]

Tables of `benchmarks.adbench`. Half of the normal rows train a default detector; others get a fault
in one column each: six deviations off, three, or the value of another row, which may be no fault
that anyone could see. Reasons are compared by how often the column adds most to the score:
`explain`'s, and integrated gradients from the reconstruction. Expected values are compared by the
mean error, in deviations of the column, beside that of the column's median: `explain`'s, and the
reconstruction brought into the training rows' range.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import track

from alad_tf.data.adbench import load_adbench, split_adbench
from alad_tf.detector.estimator import ALADDetector
from alad_tf.detector.explain import STEPS, _integrate
from benchmarks import common

TABLES = ("breastw", "cardio", "cover", "donors", "pendigits", "satimage-2", "thyroid", "vertebral",
          "vowels", "WDBC")  # fmt: skip
FAULTS = {"six deviations": 6.0, "three deviations": 3.0, "another row's value": None}
MOST_TRAIN, MOST_FAULTY = 2000, 200
REASONS, RULES = ("explain", "integrated gradients"), ("explain", "reconstruction in range")


def plant(x, deviations, away, generator):
    """Rows (N, d) with a fault in one column each, and these columns (N,)."""
    x, rows = x.copy(), np.arange(len(x))
    columns = generator.choice(np.flatnonzero(deviations > 0), len(x))
    if away is None:
        other = x[generator.permutation(len(x))]
        x[rows, columns] = other[rows, columns]
    else:
        signs = generator.choice([-1, 1], len(x))
        x[rows, columns] += away * signs * deviations[columns]
    return x, columns


def measure(name, data_dir):
    """How the faults in one table were explained: a JSON-able dict."""
    x, is_anomaly = load_adbench(name, data_dir)
    train, test = split_adbench(is_anomaly, 0)
    train, fresh = x[train[:MOST_TRAIN]], x[test[~is_anomaly[test]][:MOST_FAULTY]]
    detector = ALADDetector().fit(train).detector_
    deviations, median = train.std(0), np.median(train, 0)
    found, generator = {}, np.random.default_rng(0)
    for kind, away in FAULTS.items():
        faulty, columns = plant(fresh, deviations, away, generator)
        keep = faulty[np.arange(len(fresh)), columns] != fresh[np.arange(len(fresh)), columns]
        faulty, columns, true = faulty[keep], columns[keep], fresh[keep]
        explanation = detector.explain(faulty)
        samples = detector.preprocessor.transform(faulty)
        start = detector.scorer.reconstruct(samples)
        _, parts = _integrate(detector.scorer, detector.score, samples, start, STEPS)
        first = dict(zip(REASONS, (explanation.attributions, parts), strict=True))
        in_range = detector.preprocessor.decode(detector.preprocessor.within_range(start))
        expected = dict(zip(RULES, (explanation.expected, in_range), strict=True))
        rows = np.arange(len(columns))
        off = {
            rule: abs(np.stack(list(values.values()), 1) - true)[rows, columns]
            for rule, values in expected.items()
        }
        off["median"] = abs(median - true)[rows, columns]
        scale = deviations[columns]
        found[kind] = {
            "faults": len(columns),
            "first": {k: float((v.argmax(1) == columns).mean()) for k, v in first.items()},
            "error": {k: float((v / scale).mean()) for k, v in off.items()},
        }
    return {"set": name, "faults": found}


def means(tables):
    """Means over the tables, by fault: shares of columns ranked first, errors over the median's."""
    return {
        kind: {
            "first": {
                way: float(np.mean([one["faults"][kind]["first"][way] for one in tables]))
                for way in REASONS
            },
            "error_over_medians": {
                rule: float(
                    np.mean(
                        [
                            one["faults"][kind]["error"][rule]
                            / one["faults"][kind]["error"]["median"]
                            for one in tables
                        ]
                    )
                )
                for rule in RULES
            },
        }
        for kind in FAULTS
    }


def main(
    sets: Annotated[str, typer.Option(help="Sets, separated by commas.")] = ",".join(TABLES),
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the .npz files; default: ALAD_DATA_DIR/adbench.")
    ] = None,
):
    """Measure, print and write results/benchmarks/reasons.json."""
    tables = [
        measure(name, data_dir) for name in track(sets.split(","), "tables", console=common.console)
    ]
    found = means(tables)
    common.show(
        "Column ranked first, and error of the expected value over that of the median",
        ["fault", *(f"first, {w}" for w in REASONS), *(f"error, {r}" for r in RULES)],
        [
            [kind, *(f"{v:.3f}" for part in one.values() for v in part.values())]
            for kind, one in found.items()
        ],
    )
    common.write("reasons", {"means": found, "tables": tables})


if __name__ == "__main__":
    typer.run(main)
