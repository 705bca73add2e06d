"""Section V-B: one-class SVM for KDDCup99 10%.

alad train kdd99_ocsvm --seed 0
"""

from alad_tf.baselines.entries import OCSVMEntry

ENTRY = OCSVMEntry(
    name="kdd99_ocsvm",
    dataset="kdd99",
    source="Section V-B",
    summary="One-class SVM for KDDCup99 10%: attacks are normal, 'normal.' is anomalous.",
    x_shape=(121,),
    nu=0.2,  # the expected share of anomalies: a fifth of the test rows
    reported={"precision": 0.7457, "recall": 0.8523, "f1": 0.7954},
    reported_in="Table II, quoted there from earlier papers",
)
