"""Appendix A2: AnoGAN for SVHN, the networks of `cifar10_anogan`.

alad train svhn_anogan --normal-class 3 --seed 0
"""

from dataclasses import replace

from zoo.cifar10_anogan import ENTRY as CIFAR10

ENTRY = replace(
    CIFAR10,
    name="svhn_anogan",
    dataset="svhn_cropped",
    summary="AnoGAN for SVHN: one digit is normal, the other nine are anomalous.",
    reported={"auroc": 0.5410},
    reported_in="Table III, mean of the ten digits, ± 0.0193",
)
