"""Table IX: SVHN ALAD architecture and hyper-parameters, those of `cifar10_alad`.

alad train svhn_alad --normal-class 3 --seed 0
"""

from dataclasses import replace

from zoo.cifar10_alad import ENTRY as CIFAR10

ENTRY = replace(
    CIFAR10,
    name="svhn_alad",
    dataset="svhn_cropped",
    summary="SVHN: images of one digit are normal, those of the other nine are anomalous.",
    reported={"auroc": 0.5753},
    reported_in="Table III, mean of the ten digits, ± 0.0268",
    reported_by_class=(),
    reported_by_class_in="",
    reported_elsewhere_by_class=(),
    reported_elsewhere_in="",
    notes=(),  # of results
)
