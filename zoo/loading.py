"""`zoo.load` and `zoo.save_preset`."""

from pathlib import Path

from alad_tf.data import class_names, class_number
from alad_tf.detector import CONFIG, Detector
from alad_tf.files import read_json, replacing_folder, write_json
from zoo import presets
from zoo.entries import entry as find_entry
from zoo.entries import names


def load(name, weights="pretrained", normal_class=None, seed=0):
    """A ready detector of an entry, or of a folder.

    Args:
        name: str, one of `zoo.list()`, or a folder that `zoo.save_preset`, `Detector.save` or
            `alad train` wrote.
        weights: "pretrained", the entry's own; None, fresh networks behind the preset's fitted
            preprocessing, to be trained; or the path of such a folder.
        normal_class: str or int, name or number of an image set's normal class; default class 0.
        seed: int, of the fresh networks.

    Returns:
        `alad_tf.Detector`: `anomaly_score`, `scores`, `reconstruct`, `predict`, `save`, and
        `model` for fine-tuning. A pretrained one has a threshold.

    Raises:
        ValueError: an unknown name or class, a damaged file, weights of another entry, or no
            pretrained weights (the message names the command that trains them).
        FileNotFoundError: no detector in the folder.
        ConnectionError, OSError: a download failed.

    Example:
        >>> from sklearn.datasets import load_breast_cancer
        >>> detector = load("breast_cancer_alad")
        >>> detector.anomaly_score(load_breast_cancer().data[:3]).shape
        (3,)

    Source: ALAD, Tables IX, XI and XIII.
    """
    if str(name) not in names() and Path(name).is_dir():
        return _from_folder(Path(name))
    entry = find_entry(name)
    if entry.method != "alad" and weights is None:
        raise ValueError(
            f"{entry.name} is a baseline, whose fresh detector has learnt nothing. "
            f"zoo.entry({entry.name!r}).build(seed) builds one to fit."
        )
    variant = _variant(entry, normal_class)
    if weights is not None and weights != "pretrained":
        detector = _from_folder(Path(weights))
        trained = (detector.metadata.get("entry"), detector.metadata.get("normal_class"))
        if trained[0] != entry.name or (
            normal_class is not None and variant != f"class{trained[1]}"
        ):
            raise ValueError(
                f"{weights} holds weights of {trained[0]!r}, normal class {trained[1]}; expected "
                f"{entry.name!r}" + (f", {variant}." if normal_class is not None else ".")
            )
        return detector
    if weights is None and entry.is_image:
        return _fresh(entry, seed, _image_preprocessor(entry))
    if variant not in presets.variants(entry.name):
        raise _no_preset(entry, variant)
    detector = Detector.load(presets.find(entry.name, variant))
    return detector if weights == "pretrained" else _fresh(entry, seed, detector.preprocessor)


def save_preset(detector, folder, dtype="float32"):
    """Write a detector with the sha256 of each of its files; `zoo.load(folder)` verifies them.

    Args:
        detector: `alad_tf.Detector`.
        folder: str or Path; an old preset there is replaced.
        dtype: "float32", or "float16" to round large weights to half the size.

    Returns:
        Path of the folder.

    Example:
        >>> import tempfile
        >>> folder = save_preset(load("breast_cancer_alad"), tempfile.mkdtemp() + "/mine")
        >>> sorted(path.name for path in folder.iterdir())
        ['config.json', 'scorer.weights.h5', 'sha256.json']
    """
    folder = Path(folder)
    with replacing_folder(folder) as temporary:
        detector.save(temporary / "detector", dtype)
        files = {}
        for path in sorted((temporary / "detector").iterdir()):
            files[path.name] = presets.sha256(path)
            path.rename(temporary / path.name)
        (temporary / "detector").rmdir()
        write_json(temporary / presets.MANIFEST, files)
    return folder


def _from_folder(folder):
    if not (folder / CONFIG).is_file() and (folder / "detector").is_dir():
        folder = folder / "detector"  # the run folder of `alad train`
    if (folder / presets.MANIFEST).is_file():
        wrong = presets.damaged(folder, read_json(folder / presets.MANIFEST))
        if wrong:
            raise ValueError(
                f"The preset {folder} is damaged: {wrong}. Copy or save it again; a detector that "
                "was changed on purpose is written by zoo.save_preset."
            )
    return Detector.load(folder)


def _variant(entry, normal_class):
    if not entry.is_image:
        if normal_class is not None:
            raise ValueError(
                f"received normal_class={normal_class!r} for {entry.name}; only images have one to "
                "choose. Leave it out."
            )
        return "default"
    return f"class{class_number(entry.dataset, normal_class)}"


def _fresh(entry, seed, preprocessor):
    return Detector.from_model(preprocessor, entry.build(seed), metadata={"entry": entry.name})


def _image_preprocessor(entry):
    from alad_tf.preprocess import ImagePreprocessor

    return ImagePreprocessor(entry.x_shape)


def _no_preset(entry, variant):
    command, chosen = f"alad train {entry.name}", ""
    if entry.is_image:
        chosen = class_names(entry.dataset)[int(variant.removeprefix("class"))]
        command += f" --normal-class {chosen}"
        chosen = f" with the normal class {chosen}"
    run = f"runs/{entry.name}/{variant}/seed0"
    have = presets.variants(entry.name)
    known = f" Pretrained: {', '.join(have)}." if have else ""
    return ValueError(
        f"There are no pretrained weights of {entry.name}{chosen}.{known} Train them: `{command}`, "
        f"then zoo.load({entry.name!r}, weights={run!r}); or pass weights=None for fresh networks."
    )
