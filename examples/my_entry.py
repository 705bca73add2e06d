"""An entry of one's own: narrower networks for a data set that the zoo knows.

    alad describe examples/my_entry.py
    alad train examples/my_entry.py --epochs 50

From Python: zoo.register(ENTRY), then zoo.describe("my_entry") and the rest by its name.
"""

import zoo
from alad_tf.model import dense

ENTRY = zoo.Entry(
    name="my_entry",
    dataset="breast_cancer",  # one of alad_tf.data.DATASETS
    source="my own table",
    summary="Benign is normal, malignant is anomalous.",
    networks={
        "E": [dense(32, "lrelu"), dense(2)],
        "G": [dense(32, "relu"), dense(30)],
        "D_xz": {
            "x": [dense(32, "lrelu", batch_norm=True)],
            "z": [dense(32, "lrelu", dropout=0.5)],
            "joint": [dense(32, "lrelu", dropout=0.5), dense(1)],
        },
        "D_xx": [dense(32, "lrelu", dropout=0.2), dense(1)],
        "D_zz": [dense(16, "lrelu", dropout=0.2), dense(1)],
    },
    x_shape=(30,),  # columns after preprocessing
    latent_dim=2,
    learning_rate=2e-4,
    batch_size=16,
    epochs=200,
)
