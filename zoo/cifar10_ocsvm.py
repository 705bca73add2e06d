"""Section V-B: one-class SVM for CIFAR-10.

alad train cifar10_ocsvm --normal-class airplane --seed 0
"""

from zoo._entry import OCSVMEntry

ENTRY = OCSVMEntry(
    name="cifar10_ocsvm",
    dataset="cifar10",
    source="Section V-B",
    summary="One-class SVM for CIFAR-10: one class is normal, the other nine are anomalous.",
    x_shape=(32, 32, 3),
    nu=0.9,  # the expected share of anomalies: nine classes of ten
    reported={"auroc": 0.5843},
    reported_in="Table III, mean of the ten classes, ± 0.0956",
)
