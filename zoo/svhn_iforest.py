"""Section V-B: isolation forest for SVHN.

alad train svhn_iforest --normal-class 3 --seed 0
"""

from zoo._entry import IsolationForestEntry

ENTRY = IsolationForestEntry(
    name="svhn_iforest",
    dataset="svhn_cropped",
    source="Section V-B",
    summary="Isolation Forest for SVHN: one digit is normal, the other nine are anomalous.",
    x_shape=(32, 32, 3),
    reported={"auroc": 0.5163},
    reported_in="Table III, mean of the ten digits, ± 0.0120",
)
