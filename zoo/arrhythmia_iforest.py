"""Section V-B: isolation forest for Arrhythmia.

alad train arrhythmia_iforest --seed 0
"""

from zoo._entry import IsolationForestEntry

ENTRY = IsolationForestEntry(
    name="arrhythmia_iforest",
    dataset="arrhythmia",
    source="Section V-B",
    summary="Isolation Forest for Arrhythmia: the rare classes are anomalous.",
    x_shape=(274,),
    reported={"precision": 0.5147, "recall": 0.5469, "f1": 0.5303},
    reported_in="Table II, ten runs",
    notes=("F1 agrees with the paper's within the spread over seeds.",),
)
