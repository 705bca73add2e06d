"""Table X: KDD99 GAN architecture and hyper-parameters (AnoGAN on tables).

alad train kdd99_anogan --seed 0
"""

from alad_tf.model.specs import dense
from zoo._entry import GANEntry

LATENT = 32  # latent dimension
FEATURES = 121  # 34 continuous columns and 7 symbolic ones, one-hot

G = [
    dense(64, "relu"),
    dense(128, "relu"),
    dense(FEATURES),
]
D = [
    dense(256, "lrelu", dropout=0.2),
    dense(128, "lrelu", dropout=0.2),
    dense(128, "lrelu", dropout=0.2),  # the features that the discrimination score compares
    dense(1),  # paper: sigmoid; here: logits, the loss holds the sigmoid
]

ENTRY = GANEntry(
    name="kdd99_anogan",
    dataset="kdd99",
    source="Table X",
    summary="AnoGAN's GAN for KDDCup99 10%: attacks are normal, ordinary traffic is anomalous.",
    networks={"G": G, "D": D},
    x_shape=(FEATURES,),
    latent_dim=LATENT,
    learning_rate=1e-5,
    beta_1=0.5,
    batch_size=50,
    epochs=100,
    slope=0.2,
    initializer="glorot_uniform",
    reported={"precision": 0.8786, "recall": 0.8297, "f1": 0.8865},
    reported_in="Table II, ten runs",
    notes=(
        "With columns in [0, 1] (variant swapped_minmax) the GAN of Table X suffers mode collapse: "
        "within the first epochs G generates only rows of one attack, neptune. The search then "
        "cannot reconstruct smurf, more than half of the test rows, and flags those and next to "
        "nothing else. All four seeds of 100 epochs end this way; learning rates ten times lower "
        "and higher, tried for ten epochs, did not help. On raw features, as in the authors' "
        "released script, G does not collapse.",
        "The paper's row cannot be correct as printed: the harmonic mean of its precision, 0.8786, "
        "and its recall, 0.8297, is 0.8535, not 0.8865.",
    ),
)
