"""Appendix A1: DSEBM for CIFAR-10 (`svhn_dsebm` shares it).

alad train cifar10_dsebm --normal-class airplane --seed 0
"""

from alad_tf.model.specs import conv, dense, flatten, max_pool
from zoo._entry import DSEBMEntry

F = [  # run backwards, with the same weights, by the slope of the energy
    conv(64, 3, 2, "softplus"),
    max_pool(2),
    flatten(),
    dense(128, "softplus"),
]

ENTRY = DSEBMEntry(
    name="cifar10_dsebm",
    dataset="cifar10",
    source="appendix A1",
    summary="DSEBM for CIFAR-10: one class is normal, the other nine are anomalous.",
    networks={"f": F},
    x_shape=(32, 32, 3),
    learning_rate=3e-3,
    batch_size=32,
    epochs=50,  # not stated anywhere; here: the denoising loss has stopped falling
    reported={"auroc": 0.5956},
    reported_others={"reconstruction_error": {"auroc": 0.6071}},
    reported_in="Table III, means of the ten classes, ± 0.1151 and ± 0.1007",
)
