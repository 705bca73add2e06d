"""Tables IX to XIII as the paper prints them, misprints included; and what was corrected in them.

A layer is (operation, kernel, strides, padding, units, non-linearity, batch norm, dropout). Kernel,
strides and padding are None for dense layers. Table IX marks dropout by a dagger and valid padding
by an asterisk ("All convolutional layers have 'same' padding unless specified otherwise"), and
prints no dropout rate: DAGGER.
"""

DAGGER = "dagger"


def conv(kernel, strides, units, activation, batch_norm, dropout=0.0, padding="same", op="conv"):
    return (op, kernel, strides, padding, units, activation, batch_norm, dropout)


def transposed(kernel, strides, units, activation, batch_norm, padding="same"):
    return conv(kernel, strides, units, activation, batch_norm, 0.0, padding, "conv_transpose")


def dense(units, activation, dropout=0.0, batch_norm=False):
    return ("dense", None, None, None, units, activation, batch_norm, dropout)


IX = {
    "networks": {
        "E": [
            conv(4, 2, 128, "lrelu", True),
            conv(4, 2, 256, "lrelu", True),
            conv(4, 2, 512, "lrelu", True),
            conv(4, 1, 100, None, False, padding="valid"),
        ],
        "G": [
            transposed(4, 2, 512, "relu", True, padding="valid"),
            transposed(4, 2, 256, "relu", True),
            transposed(4, 2, 128, "relu", True),
            transposed(4, 2, 3, "tanh", True),
        ],
        "D_xz": {
            "x": [
                conv(4, 2, 128, "lrelu", False),
                conv(4, 2, 256, "relu", True),
                conv(4, 2, 512, "lrelu", True),
            ],
            "z": [
                conv(4, 2, 512, "lrelu", False, DAGGER),
                conv(4, 2, 512, "lrelu", False, DAGGER),
            ],
            "joint": [
                conv(1, 1, 1024, "lrelu", False, DAGGER),
                conv(1, 1, 1, "lrelu", False),
            ],
        },
        "D_xx": [
            conv(5, 2, 64, "lrelu", False, DAGGER),
            conv(5, 2, 128, "lrelu", False, DAGGER),
            dense(1, None),
        ],
        "D_zz": [
            dense(64, "lrelu", DAGGER),
            dense(32, "lrelu", DAGGER),
            dense(1, "lrelu", DAGGER),
        ],
    },
    "hyper": {
        "learning_rate": 2e-4,
        "beta_1": 0.5,
        "batch_size": 32,
        "latent_dim": 100,
        "epochs": 100,
        "patience": 10,
        "slope": 0.2,
        "initializer": "normal_0.01",
    },
}
X = {
    "networks": {
        "G": [dense(64, "relu"), dense(128, "relu"), dense(121, None)],
        "D": [
            dense(256, "lrelu", 0.2),
            dense(128, "lrelu", 0.2),
            dense(128, "lrelu", 0.2),
            dense(1, "sigmoid"),
        ],
    },
    "hyper": {
        "learning_rate": 1e-5,
        "beta_1": 0.5,
        "batch_size": 50,
        "latent_dim": 32,
        "epochs": 100,
        "slope": 0.2,
        "initializer": "glorot_uniform",
    },
}
XI = {
    "networks": {
        "E": [dense(64, "lrelu"), dense(1, None)],
        "G": [dense(64, "relu"), dense(128, "relu"), dense(121, None)],
        "D_xz": {
            "x": [dense(128, "lrelu", batch_norm=True)],
            "z": [dense(128, "lrelu", 0.5)],
            "joint": [dense(128, "lrelu", 0.5), dense(1, "sigmoid")],
        },
        "D_xx": [dense(128, "lrelu", 0.2), dense(1, "sigmoid")],
        "D_zz": [dense(32, "lrelu", 0.2), dense(1, "sigmoid")],
    },
    "hyper": X["hyper"],
}
XII = {
    "networks": {
        "G": [dense(128, "relu"), dense(256, "relu"), dense(274, None)],
        "D": [dense(256, "lrelu", 0.2), dense(128, "lrelu", 0.5), dense(1, "sigmoid")],
    },
    "hyper": {
        "learning_rate": 1e-5,
        "beta_1": 0.5,
        "batch_size": 32,
        "latent_dim": 64,
        "epochs": 1000,
        "slope": 0.2,
        "initializer": "glorot_uniform",
    },
}
XIII = {
    "networks": {
        "E": [dense(256, "lrelu"), dense(128, "lrelu"), dense(64, None)],
        "G": [dense(128, "relu"), dense(256, "relu"), dense(274, None)],
        "D_xz": {
            "x": [dense(128, "lrelu", batch_norm=True)],
            "z": [dense(128, "lrelu", 0.5)],
            "joint": [dense(256, "lrelu", 0.5), dense(1, "sigmoid")],
        },
        "D_xx": [dense(256, "lrelu", 0.2), dense(128, "lrelu", 0.2), dense(1, "sigmoid")],
        "D_zz": [dense(64, "lrelu", 0.2), dense(32, "lrelu", 0.2), dense(1, "sigmoid")],
    },
    "hyper": XII["hyper"],
}
TABLES = {
    "cifar10_alad": ("Table IX", IX),
    "svhn_alad": ("Table IX", IX),
    "kdd99_anogan": ("Table X", X),
    "kdd99_alad": ("Table XI", XI),
    "arrhythmia_anogan": ("Table XII", XII),
    "arrhythmia_alad": ("Table XIII", XIII),
}

# (network, layer) -> what stands in the code where the table is misprinted; see the entries'
# comments for why. Printed sigmoids of last layers are in the loss everywhere (logits).
_IMAGES = {
    ("G", 3): transposed(4, 2, 3, "tanh", False),
    ("D_xz.x", 1): conv(4, 2, 256, "lrelu", True),
    ("D_xz.z", 0): conv(1, 1, 512, "lrelu", False, DAGGER),
    ("D_xz.z", 1): conv(1, 1, 512, "lrelu", False, DAGGER),
    ("D_xz.joint", 1): conv(1, 1, 1, None, False),
    ("D_zz", 2): dense(1, None),
}
CORRECTED = {
    "cifar10_alad": _IMAGES,
    "svhn_alad": _IMAGES,
    "kdd99_alad": {("E", 1): dense(32, None)},
}
