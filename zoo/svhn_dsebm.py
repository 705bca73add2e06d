"""Appendix A1: DSEBM for SVHN, the layers of `cifar10_dsebm`.

alad train svhn_dsebm --normal-class 3 --seed 0
"""

from dataclasses import replace

from zoo.cifar10_dsebm import ENTRY as CIFAR10

ENTRY = replace(
    CIFAR10,
    name="svhn_dsebm",
    dataset="svhn_cropped",
    summary="DSEBM for SVHN: one digit is normal, the other nine are anomalous.",
    reported={"auroc": 0.5240},
    reported_others={"reconstruction_error": {"auroc": 0.5290}},
    reported_in="Table III, means of the ten digits, ± 0.0067 and ± 0.0129",
)
