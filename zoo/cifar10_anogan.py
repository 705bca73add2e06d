"""Appendix A2: AnoGAN for CIFAR-10 (`svhn_anogan` shares it).

alad train cifar10_anogan --normal-class airplane --seed 0

The appendix names "the official DCGAN architecture". Here: G of Table IX, and D_xz's branch on x
with a logit, which are of that form and make the comparison with ALAD one of methods, not of sizes.

A search takes 500 steps of Adam for each image, so that 1,000 of the test images are scored;
`--test-rows 12000` scores all.
"""

from alad_tf.model.specs import conv, dense, flatten
from zoo._entry import GANEntry
from zoo.cifar10_alad import LATENT, G

D = [
    conv(128, 4, 2, "lrelu"),
    conv(256, 4, 2, "lrelu", batch_norm=True),
    conv(512, 4, 2, "lrelu", batch_norm=True),
    flatten(),  # the features that the discrimination score compares
    dense(1),
]

ENTRY = GANEntry(
    name="cifar10_anogan",
    dataset="cifar10",
    source="appendix A2",
    summary="AnoGAN for CIFAR-10: one class is normal, the other nine are anomalous.",
    networks={"G": G, "D": D},
    x_shape=(32, 32, 3),
    latent_dim=LATENT,
    learning_rate=2e-4,
    beta_1=0.5,
    batch_size=32,
    epochs=100,
    test_rows=1000,
    slope=0.2,
    initializer="normal_0.01",
    reported={"auroc": 0.5949},
    reported_in="Table III, mean of the ten classes, ± 0.1076",
)
