"""The demo: ALAD on a bundled table, compared with an untrained network and a forest."""

import re
from contextlib import closing
from pathlib import Path

from sklearn.ensemble import IsolationForest

from alad_tf.detector.detector import Detector
from alad_tf.engine.files import adding_to, check_adding, write_json
from alad_tf.engine.progress import TrainingProgress
from alad_tf.engine.weights import require_place
from alad_tf.experiments.run import DETECTOR, set_threshold
from alad_tf.experiments.settings import prepare
from alad_tf.model.scorer import Scorer
from alad_tf.plots.charts import roc, score_histogram

METRICS, HISTOGRAM, ROC = "metrics.json", "score_histogram.png", "roc.png"


def run_demo(entry, out="runs/demo", seed=0, console=None):
    """Train an entry, compare it with an untrained network and an Isolation Forest, draw both.

    Normal rows that neither trained nor test set the detector's threshold, whose false-alarm budget
    is `alad_tf.experiments.run.FALSE_ALARMS`. The table of metrics uses the protocol's top fraction
    for all three alike. Returns a dict with "metrics" (by model), "files" (by name, Paths) and
    "protocol" (row counts).
    """
    out, title = Path(out), "Wisconsin breast cancer: test rows"
    check_adding(out, "|".join(map(re.escape, (METRICS, HISTOGRAM, ROC))))
    require_place(out / DETECTOR)
    data = prepare(entry)
    x_train, x_test = data.transformed("train"), data.transformed("test")
    is_anomaly = data.part("test").is_anomaly

    model = entry.build(seed)
    untrained = Scorer.from_alad(model).scores(x_test)["features"]
    options = dict(batch_size=entry.batch_size, epochs=entry.epochs, verbose=0)
    with closing(TrainingProgress(console)) as progress:
        model.fit(x_train, **options, callbacks=[progress])
    detector = Detector(data.preprocessor, Scorer.from_alad(model), metadata={"entry": entry.name})
    test_scores = detector.scorer.scores(x_test)
    set_threshold(detector, data, test_scores)

    forest = IsolationForest(random_state=seed).fit(x_train)
    scores = {
        "ALAD": test_scores["features"],
        "untrained network": untrained,
        "Isolation Forest": -forest.score_samples(x_test),
    }
    metrics = data.evaluate(scores)
    saved = detector.save(out / DETECTOR)  # before anything is drawn
    with adding_to(out, ".") as folder:
        write_json(folder / METRICS, metrics)
        target, label = (folder / HISTOGRAM, detector.threshold), "ALAD features score A(x)"
        score_histogram(scores["ALAD"], is_anomaly, *target, title, label)
        roc(scores, is_anomaly, folder / ROC, title)
    names = {"metrics": METRICS, "score histogram": HISTOGRAM, "ROC curve": ROC}
    files = {"detector": saved, **{title: out / name for title, name in names.items()}}
    parts = {name: len(getattr(data.split, name)) for name in ("train", "validation", "test")}
    protocol = {**parts, "anomalies": int(is_anomaly.sum())}
    return {"metrics": metrics, "files": files, "protocol": protocol}
