"""What the paper's tables print, where no single entry of the zoo has it as `reported`.

Pairs are (mean, spread) as printed. Source: ALAD, Tables I and IV to VIII.
"""

DATASETS = {"kdd99": "KDD99", "arrhythmia": "Arrhythmia", "svhn": "SVHN", "cifar10": "CIFAR-10"}
TABULAR, IMAGES = ("kdd99", "arrhythmia"), ("svhn", "cifar10")
CLASSES = 10  # of an image set, each the normal one once

# features after encoding, rows
TABLE_ONE = {
    "kdd99": (121, 494_021),
    "arrhythmia": (274, 452),
    "svhn": (3072, 99_289),
    "cifar10": (3072, 60_000),
}

# batch, milliseconds of AnoGAN and of ALAD for it, on a GeForce GTX Titan X
TABLE_FOUR = {
    "kdd99": (50, 1235, 1.4),
    "arrhythmia": (32, 1102, 41),
    "svhn": (32, 10_496, 10.5),
    "cifar10": (32, 10_774, 10.5),
}

# A run's variant, and the table's name for it. DL is D_zz, SN is spectral normalisation.
ABLATIONS = {
    "no_sn_no_dl": "Baseline",
    "no_sn": "Baseline + DL",
    "no_dl": "Baseline + SN",
    "default": "Baseline + SN + DL",
}

# precision, recall, F1
TABLE_FIVE = {
    "kdd99": {
        "no_sn_no_dl": ((0.948, 0.007), (0.963, 0.007), (0.955, 0.007)),
        "no_sn": ((0.944, 0.008), (0.959, 0.008), (0.951, 0.008)),
        "no_dl": ((0.942, 0.004), (0.957, 0.004), (0.949, 0.004)),
        "default": ((0.943, 0.002), (0.958, 0.002), (0.950, 0.002)),
    },
    "arrhythmia": {
        "no_sn_no_dl": ((0.477, 0.039), (0.506, 0.041), (0.491, 0.040)),
        "no_sn": ((0.497, 0.040), (0.528, 0.043), (0.512, 0.042)),
        "no_dl": ((0.500, 0.021), (0.531, 0.022), (0.515, 0.021)),
        "default": ((0.482, 0.035), (0.513, 0.037), (0.497, 0.036)),
    },
}

# AUROC, mean of the ten classes
TABLE_SIX = {
    "svhn": {
        "no_sn_no_dl": (0.5194, 0.0371),
        "no_sn": (0.5289, 0.0384),
        "no_dl": (0.5513, 0.0357),
        "default": (0.5753, 0.0267),
    },
    "cifar10": {
        "no_sn_no_dl": (0.5701, 0.1282),
        "no_sn": (0.5361, 0.1348),
        "no_dl": (0.5991, 0.1308),
        "default": (0.6072, 0.1201),
    },
}

# precision, recall, F1
TABLE_SEVEN = {
    "kdd99": {
        "l1": ((0.9113, 0.0627), (0.9258, 0.0637), (0.9185, 0.0632)),
        "l2": ((0.9316, 0.0155), (0.9464, 0.0157), (0.9389, 0.0156)),
        "logits": ((0.9221, 0.0172), (0.9368, 0.0174), (0.9294, 0.0173)),
        "features": ((0.9427, 0.0018), (0.9577, 0.0018), (0.9501, 0.0018)),
    },
    "arrhythmia": {
        "l1": ((0.4588, 0.0248), (0.4875, 0.0264), (0.4727, 0.0256)),
        "l2": ((0.4529, 0.0206), (0.4813, 0.0219), (0.4667, 0.0212)),
        "logits": ((0.3706, 0.0834), (0.3938, 0.0886), (0.3818, 0.0859)),
        "features": ((0.5000, 0.0208), (0.5313, 0.0221), (0.5152, 0.0214)),
    },
}

# AUROC, mean of the ten classes
TABLE_EIGHT = {
    "svhn": {
        "l1": (0.5778, 0.0204),
        "l2": (0.5826, 0.0201),
        "logits": (0.5038, 0.0185),
        "features": (0.5753, 0.0268),
    },
    "cifar10": {
        "l1": (0.6066, 0.1006),
        "l2": (0.6012, 0.1088),
        "logits": (0.5396, 0.0783),
        "features": (0.6072, 0.1201),
    },
}
