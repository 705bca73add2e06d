"""The demo: ALAD on a table that needs no download, beside an untrained network and a forest."""

from pathlib import Path

from sklearn.ensemble import IsolationForest

from alad_tf.detector.detector import Detector
from alad_tf.detector.metrics import evaluate
from alad_tf.engine.files import write_json
from alad_tf.engine.progress import TrainingProgress
from alad_tf.experiments.run import set_threshold
from alad_tf.experiments.settings import prepare
from alad_tf.model.scorer import Scorer
from alad_tf.plots.charts import roc, score_histogram


def run_demo(entry, out="runs/demo", seed=0, console=None):
    """Train an entry, compare it with an untrained network and an Isolation Forest, draw both.

    Normal rows that neither trained nor test set the detector's threshold, whose false-alarm budget
    is `alad_tf.experiments.run.FALSE_ALARMS`. The table of metrics uses the protocol's top fraction
    for all three alike.

    Args:
        entry: `Entry` whose protocol holds validation rows.
        out: str or Path of the folder to write.
        seed: int.
        console: `rich.console.Console` for the progress.

    Returns:
        dict with "metrics" (by model), "files" (by name, Paths) and "protocol" (row counts).

    Example:
        >>> # run_demo(zoo.entry("breast_cancer_alad"))["metrics"]["ALAD"]["auroc"]
    """
    out = Path(out)
    data = prepare(entry)
    x_train, x_test = data.transformed("train"), data.transformed("test")
    is_anomaly = data.records.is_anomaly[data.split.test]
    model = entry.build(seed)
    untrained = Scorer.from_alad(model).scores(x_test)["features"]
    progress = TrainingProgress(console)
    try:
        model.fit(
            x_train,
            batch_size=entry.batch_size,
            epochs=entry.epochs,
            verbose=0,
            callbacks=[progress],
        )
    finally:
        progress.close()
    detector = Detector(data.preprocessor, Scorer.from_alad(model), metadata={"entry": entry.name})
    test_scores = detector.scorer.scores(x_test)
    set_threshold(detector, data, test_scores)
    forest = IsolationForest(random_state=seed).fit(x_train)
    scores = {
        "ALAD": test_scores["features"],
        "untrained network": untrained,
        "Isolation Forest": -forest.score_samples(x_test),
    }
    metrics = evaluate(scores, is_anomaly, data.split.top_fraction)
    files = {
        "detector": detector.save(out / "detector"),
        "metrics": write_json(out / "metrics.json", metrics),
        "score histogram": score_histogram(
            scores["ALAD"],
            is_anomaly,
            out / "score_histogram.png",
            detector.threshold,
            "Wisconsin breast cancer: test rows",
            "ALAD features score A(x)",
        ),
        "ROC curve": roc(scores, is_anomaly, out / "roc.png", "Wisconsin breast cancer: test rows"),
    }
    protocol = {
        "train": len(data.split.train),
        "validation": len(data.split.validation),
        "test": len(data.split.test),
        "anomalies": int(is_anomaly.sum()),
    }
    return {"metrics": metrics, "files": files, "protocol": protocol}
