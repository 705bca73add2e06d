"""Section V-B: one-class SVM for SVHN.

alad train svhn_ocsvm --normal-class 3 --seed 0
"""

from zoo._entry import OCSVMEntry

ENTRY = OCSVMEntry(
    name="svhn_ocsvm",
    dataset="svhn_cropped",
    source="Section V-B",
    summary="One-class SVM for SVHN: one digit is normal, the other nine are anomalous.",
    x_shape=(32, 32, 3),
    nu=0.9,  # the expected share of anomalies: nine classes of ten
    reported={"auroc": 0.5027},
    reported_in="Table III, mean of the ten digits, ± 0.0132",
)
