"""DAGMM for Arrhythmia, as its paper gives it.

alad train arrhythmia_dagmm --seed 0
"""

from alad_tf.baselines.entries import DAGMMEntry
from alad_tf.rows import dense

FEATURES = 274

ENCODER = [
    dense(10, "tanh"),
    dense(2),
]
DECODER = [
    dense(10, "tanh"),
    dense(FEATURES),
]
ESTIMATION = [
    dense(10, "tanh", dropout=0.5),
    dense(2),  # a logit for each of the two components; the mixture holds the softmax
]

ENTRY = DAGMMEntry(
    name="arrhythmia_dagmm",
    dataset="arrhythmia",
    source="Zong et al. 2018, Section 4.3",
    summary="DAGMM for Arrhythmia: the rare classes are anomalous.",
    networks={"encoder": ENCODER, "decoder": DECODER, "estimation": ESTIMATION},
    x_shape=(FEATURES,),
    learning_rate=1e-4,
    batch_size=128,
    epochs=10_000,
    reported={"precision": 0.4909, "recall": 0.5078, "f1": 0.4983},
    reported_in="Table II, quoted there from DAGMM's paper",
)
