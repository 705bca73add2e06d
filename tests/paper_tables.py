"""Tables IX to XIII as the paper prints them, misprints included; and what was corrected in them.

Below them the networks of DSEBM and DAGMM: appendix A1, and what their own papers print.

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


POOL = ("max_pool", 2, 2, "valid", 0, None, False, 0.0)

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
A1 = {  # "one convolutional layer ... one max-pooling layer and one fully connected layer"
    "networks": {"f": [conv(3, 2, 64, "softplus", False), POOL, dense(128, "softplus")]},
    "hyper": {"learning_rate": 3e-3, "batch_size": 32, "beta_1": 0.9, "noise": 1.0},
}
A2 = {
    "networks": {
        "G": IX["networks"]["G"],
        "D": [*IX["networks"]["D_xz"]["x"], dense(1, "sigmoid")],
    },
    "hyper": {key: value for key, value in IX["hyper"].items() if key != "patience"},
}


def dsebm(batch_size, *units):
    hyper = {"learning_rate": 1e-4, "batch_size": batch_size, "beta_1": 0.9, "noise": 1.0}
    return {"networks": {"f": [dense(n, "softplus") for n in units]}, "hyper": hyper}


def dagmm(batch_size, epochs, components, *units):
    """`units`: of the features, then of the encoder; the decoder goes back the same way."""
    *hidden, code = units[1:]
    back = [*reversed(hidden), units[0]]
    networks = {
        "encoder": [*(dense(n, "tanh") for n in hidden), dense(code, None)],
        "decoder": [*(dense(n, "tanh") for n in back[:-1]), dense(back[-1], None)],
        "estimation": [dense(10, "tanh", 0.5), dense(components, None)],
    }
    hyper = {"learning_rate": 1e-4, "batch_size": batch_size, "epochs": epochs}
    hyper |= {"lambda_energy": 0.1, "lambda_singularity": 0.005}
    return {"networks": networks, "hyper": hyper}


_PRINTED = ("Zhai et al. 2016, Section 5", "Zong et al. 2018, Section 4.2")
_DAGMM = "Zong et al. 2018, Section 4.3"
TABLES = {
    "cifar10_dsebm": ("appendix A1", A1),
    "svhn_dsebm": ("appendix A1", A1),
    "cifar10_anogan": ("appendix A2", A2),
    "svhn_anogan": ("appendix A2", A2),
    "kdd99_dsebm": (_PRINTED[0], dsebm(100, 128, 512)),
    "arrhythmia_dsebm": (_PRINTED[1], dsebm(26, 10, 2)),
    "kdd99_dagmm": (_DAGMM, dagmm(1024, 200, 4, 121, 60, 30, 10, 1)),
    "arrhythmia_dagmm": (_DAGMM, dagmm(128, 10_000, 2, 274, 10, 2)),
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
_GAN_IMAGES = {("G", 3): _IMAGES["G", 3], ("D", 1): _IMAGES["D_xz.x", 1]}
CORRECTED = {
    "cifar10_alad": _IMAGES,
    "svhn_alad": _IMAGES,
    "kdd99_alad": {("E", 1): dense(32, None)},
    "cifar10_anogan": _GAN_IMAGES,
    "svhn_anogan": _GAN_IMAGES,
}
