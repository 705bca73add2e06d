"""Section V-B: isolation forest for CIFAR-10.

alad train cifar10_iforest --normal-class airplane --seed 0
"""

from zoo._entry import IsolationForestEntry

ENTRY = IsolationForestEntry(
    name="cifar10_iforest",
    dataset="cifar10",
    source="Section V-B",
    summary="Isolation Forest for CIFAR-10: one class is normal, the other nine are anomalous.",
    x_shape=(32, 32, 3),
    reported={"auroc": 0.6025},
    reported_in="Table III, mean of the ten classes, ± 0.1040",
)
