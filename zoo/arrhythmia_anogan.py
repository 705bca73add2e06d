"""Table XII: Arrhythmia GAN architecture and hyper-parameters (AnoGAN on tables).

alad train arrhythmia_anogan --seed 0
"""

from alad_tf.model.specs import dense
from zoo._entry import GANEntry

LATENT = 64  # latent dimension
FEATURES = 274

G = [
    dense(128, "relu"),
    dense(256, "relu"),
    dense(FEATURES),
]
D = [
    dense(256, "lrelu", dropout=0.2),
    dense(128, "lrelu", dropout=0.5),  # the features that the discrimination score compares
    dense(1),  # paper: sigmoid; here: logits, the loss holds the sigmoid
]

ENTRY = GANEntry(
    name="arrhythmia_anogan",
    dataset="arrhythmia",
    source="Table XII",
    summary="AnoGAN's GAN for Arrhythmia: the rare classes are anomalous.",
    networks={"G": G, "D": D},
    x_shape=(FEATURES,),
    latent_dim=LATENT,
    learning_rate=1e-5,
    beta_1=0.5,
    batch_size=32,
    epochs=1000,
    slope=0.2,
    initializer="glorot_uniform",
    reported={"precision": 0.4118, "recall": 0.4375, "f1": 0.4242},
    reported_in="Table II, ten runs",
    notes=(
        "It detects two to three anomalies more than the paper's row, of 226 test rows. But the "
        "untrained networks score as well: G's output stays small compared with a row, so the "
        "residual is roughly the row's own norm.",
        "On raw features (variant raw), as in the paper, F1 is lower; with a reconstruction "
        "weight of 0.1 it agrees with the paper's within the spread.",
    ),
)
