"""scikit-learn's handwritten digits by the features of a network trained on letters only.

    alad train digits_features_alad --normal-class 3 --seed 0

Not the paper's method: an image is scored by distances between features of the frozen network. It
is a small example of what `ALADDetector(features="imagenet")` does with a network that was trained
on ImageNet. The network here, zoo/networks/letters.keras, was trained to tell apart letters of
matplotlib's fonts (`python -m alad_tf.experiments.letters`); no digit was among them.
"""

from zoo._entry import FeaturesEntry

ENTRY = FeaturesEntry(
    name="digits_features_alad",
    dataset="digits",
    source="not in the paper",
    summary="Handwritten digits, scored with the features of a network trained on letters only: "
    "one digit is normal, the other nine are anomalous.",
    x_shape=(32, 32, 1),  # to which the images of 8 x 8 pixels are enlarged
    network="letters",
    rows=300,
    hidden=64,
    steps=1000,
    notes=(
        "*combined* consists of distances between features, without ALAD. The other scores are the "
        "paper's, from an ALAD trained on the features at single positions of the feature maps.",
        "The data set is small, and easy because its digits look unlike each other. It shows how "
        "features are used, not how well they do elsewhere.",
    ),
)
