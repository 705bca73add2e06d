"""Table IX: CIFAR-10 ALAD architecture and hyper-parameters (`svhn_alad` shares it).

alad train cifar10_alad --normal-class airplane --seed 0
"""

from alad_tf.model.specs import conv, conv_transpose, dense, flatten, reshape
from zoo._entry import Entry

LATENT = 100  # latent dimension
RATE = 0.2  # of the layers marked as dropout; the paper prints none, the authors' code has 0.2

E = [
    conv(128, 4, 2, "lrelu", batch_norm=True),
    conv(256, 4, 2, "lrelu", batch_norm=True),
    conv(512, 4, 2, "lrelu", batch_norm=True),
    conv(LATENT, 4, 1, padding="valid"),
]
G = [
    reshape(1, 1, LATENT),
    conv_transpose(512, 4, 2, "relu", batch_norm=True, padding="valid"),
    conv_transpose(256, 4, 2, "relu", batch_norm=True),
    conv_transpose(128, 4, 2, "relu", batch_norm=True),
    # paper: batch norm; here: none, as in the authors' code, because it ties the colours of a
    # picture to its batch
    conv_transpose(3, 4, 2, "tanh"),
]
# paper: titled D_xx(x, z); here: D_xz, which takes x and z
D_XZ = {
    "x": [
        conv(128, 4, 2, "lrelu"),
        conv(256, 4, 2, "lrelu", batch_norm=True),  # paper: ReLU; here: LReLU, as in the code
        conv(512, 4, 2, "lrelu", batch_norm=True),
        reshape(1, 1, 4 * 4 * 512),
    ],
    "z": [
        reshape(1, 1, LATENT),
        # paper: 4x4, strides 2x2; here: 1x1, because on a 1x1 map that is the same function
        conv(512, 1, 1, "lrelu", dropout=RATE),
        conv(512, 1, 1, "lrelu", dropout=RATE),
    ],
    "joint": [
        conv(1024, 1, 1, "lrelu", dropout=RATE),
        conv(1, 1, 1),  # paper: LReLU, here and in D_zz; here: logits
    ],
}
D_XX = [
    conv(64, 5, 2, "lrelu", dropout=RATE),
    conv(128, 5, 2, "lrelu", dropout=RATE),  # f_xx, flattened
    flatten(),
    dense(1),
]
D_ZZ = [
    dense(64, "lrelu", dropout=RATE),
    dense(32, "lrelu", dropout=RATE),
    dense(1),
]

ENTRY = Entry(
    name="cifar10_alad",
    dataset="cifar10",
    source="Table IX",
    summary="CIFAR-10: images of one class are normal, those of the other nine are anomalous.",
    networks={"E": E, "G": G, "D_xz": D_XZ, "D_xx": D_XX, "D_zz": D_ZZ},
    x_shape=(32, 32, 3),
    latent_dim=LATENT,
    learning_rate=2e-4,
    beta_1=0.5,
    batch_size=32,
    epochs=100,
    patience=10,
    stopping="last",
    slope=0.2,
    initializer="normal_0.01",
    pair_axis=1,
    reported={"auroc": 0.6072},
    reported_in="Table III, mean of the ten classes, ± 0.1201",
    reported_by_class=(0.68, 0.46, 0.63, 0.62, 0.67, 0.53, 0.78, 0.52, 0.77, 0.42),
    reported_by_class_in="the values by class were read off its Figure 4",
    reported_elsewhere_by_class=(0.69, 0.50, 0.67, 0.55, 0.69, 0.55, 0.75, 0.52, 0.78, 0.44),
    reported_elsewhere_in="The independent reproduction was written in PyTorch, with batch instead "
    "of spectral normalisation. Its values are from its README, "
    "<https://git.imp.fu-berlin.de/henris07/anomalydetection>",
    deviations=(
        "D_xx joins x and x', its reconstruction, along the height, as the authors' code does; the "
        "paper says 'concatenate', which suggests channels (`--pair-axis channels`). With "
        "channels, on CIFAR-10, D_xx tells its pairs apart within the first epochs, and E and G "
        "learn little.",
        "G's last layer has no batch norm, as in the authors' code.",
    ),
    notes=(
        "Without spectral normalisation (no_sn), the validation score is lowest early in training "
        "and grows afterwards, with D_xx's features. The stopping rule therefore ends training "
        "after 11 to 21 epochs; for airplane and deer the score is lowest after the first epoch. "
        "Without D_zz (no_dl) it falls for longer, and training takes more epochs than with it.",
    ),
)
