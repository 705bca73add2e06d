"""Section V-B: isolation forest for KDDCup99 10%.

alad train kdd99_iforest --seed 0
"""

from zoo._entry import IsolationForestEntry

ENTRY = IsolationForestEntry(
    name="kdd99_iforest",
    dataset="kdd99",
    source="Section V-B",
    summary="Isolation Forest for KDDCup99 10%: attacks are normal, ordinary traffic is anomalous.",
    x_shape=(121,),
    reported={"precision": 0.9216, "recall": 0.9373, "f1": 0.9294},
    reported_in="Table II, ten runs",
    notes=("F1 agrees with the paper's within the spread over seeds.",),
)
