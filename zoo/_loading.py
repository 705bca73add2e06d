"""What `import zoo` gives: entries by name, their cards, and detectors loaded and saved."""

import builtins
import importlib
from pathlib import Path

from alad_tf.data import class_names, class_number
from alad_tf.data.records import unknown_name_error
from alad_tf.detector.detector import Detector
from alad_tf.engine.files import CONFIG, read_json, replacing_folder, write_json
from alad_tf.model.networks import Stack
from zoo import _presets as presets

_NAMES = (
    "arrhythmia_alad",
    "arrhythmia_anogan",
    "arrhythmia_dagmm",
    "arrhythmia_dsebm",
    "arrhythmia_iforest",
    "arrhythmia_ocsvm",
    "breast_cancer_alad",
    "cifar10_alad",
    "cifar10_anogan",
    "cifar10_dsebm",
    "cifar10_iforest",
    "cifar10_ocsvm",
    "kdd99_alad",
    "kdd99_anogan",
    "kdd99_dagmm",
    "kdd99_dsebm",
    "kdd99_iforest",
    "kdd99_ocsvm",
    "svhn_alad",
    "svhn_anogan",
    "svhn_dsebm",
    "svhn_iforest",
    "svhn_ocsvm",
)
CARDS = Path(__file__).resolve().parent / "cards"


def names():
    """Names of all entries, sorted."""
    return builtins.list(_NAMES)


def list(dataset=None):  # noqa: A001 - reads as zoo.list()
    """Names of the entries.

    Args:
        dataset: str, only the entries of this dataset, e.g. "kdd99"; default all.

    Returns:
        sorted list of str.

    Raises:
        ValueError: no entry has this dataset.

    Example:
        >>> list("kdd99")[:3]
        ['kdd99_alad', 'kdd99_anogan', 'kdd99_dagmm']
    """
    if dataset is None:
        return names()
    found = [name for name in _NAMES if entry(name).dataset == dataset]
    if not found:
        known = sorted({entry(name).dataset for name in _NAMES})
        raise ValueError(f"No entry for the dataset {dataset!r}; the zoo has {known}.")
    return found


def entry(name):
    """The entry of a name.

    Args:
        name: str, one of `zoo.list()`.

    Returns:
        `zoo._entry.Entry`, or an entry of `zoo._entry`.

    Raises:
        ValueError: an unknown name; the closest known names are in the message.

    Example:
        >>> entry("kdd99_alad").source
        'Table XI'
    """
    if name not in _NAMES:
        raise unknown_name_error("zoo entry", name, _NAMES)
    return importlib.import_module(f"zoo.{name}").ENTRY


find_entry = entry  # where a local variable is an entry


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
        dtype: "float32"; or "float16" or "int8", which round large weights, to half or
            a quarter of the size.

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


def card_path(name):
    """Where an entry's model card lies: `zoo/cards/<name>.md`."""
    return CARDS / f"{name}.md"


def describe(name):
    """An entry's model card, networks, hyper-parameters and deviations as Markdown.

    Args:
        name: str, one of `zoo.list()`.

    Returns:
        str, Markdown.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> print(describe("kdd99_alad").splitlines()[0])
        # kdd99_alad (Table XI)
    """
    entry = find_entry(name)
    lines = [f"# {entry.name} ({entry.source})", "", entry.summary, ""]
    card = card_path(name).read_text(encoding="utf-8").strip()
    lines += [line for line in card.splitlines() if not line.startswith("<!--")] + [""]
    networks = entry.build_networks()
    lines += ["## Networks", ""] if networks else []
    for key, layer in networks.items():
        lines += [f"### {key}: {layer.count_params():,} parameters", ""]
        lines += ["| block | operation | output | non-linearity | batch norm | dropout |"]
        lines += ["| --- | --- | --- | --- | --- | --- |"]
        rows, shapes = entry.networks[key], _input_shapes(entry, key, layer)
        if isinstance(rows, dict):
            for block, stack in (("x", layer.x_branch), ("z", layer.z_branch)):
                lines += _table(f"only {block}", rows[block], [stack], shapes[block])
            lines += _table("joined", rows["joint"], [layer.body, layer.top], shapes["joint"])
        else:
            stacks = [layer] if isinstance(layer, Stack) else [layer.body, layer.top]
            lines += _table("", rows, stacks, shapes)
        lines.append("")
    lines += ["## Hyper-parameters", ""]
    lines += [f"- {key}: {value}" for key, value in entry.hyper_parameters().items()]
    if entry.reported:
        told = ", ".join(f"{k} {v:.4f}" for k, v in entry.reported.items())
        lines += ["", f"## Reported ({entry.reported_in})", "", told]
        for score, values in entry.reported_others.items():
            told = ", ".join(f"{k} {v:.4f}" for k, v in values.items())
            lines += ["", f"{score}: {told}"]
    if entry.deviations:
        lines += ["", "## Deviations from the paper", ""]
        lines += [f"- {text}" for text in entry.deviations]
    return "\n".join(lines) + "\n"


def _input_shapes(entry, network, layer):
    x = (None, *entry.x_shape)
    if network in ("E", "D", "f", "encoder"):
        return x
    if network in ("decoder", "estimation"):
        code = entry.networks["encoder"][-1].units
        return (None, code if network == "decoder" else code + 2)  # two errors beside the code
    z = (None, entry.latent_dim)
    if network == "D_xz":
        branches = [
            stack.compute_output_shape(shape)
            for stack, shape in ((layer.x_branch, x), (layer.z_branch, z))
        ]
        joint = (*branches[0][:-1], sum(shape[-1] for shape in branches))
        return {"x": x, "z": z, "joint": joint}
    if network == "G":
        return z
    pair = [*(x if network == "D_xx" else z)]
    pair[layer.axis] *= 2
    return tuple(pair)


def _table(block, rows, stacks, shape):
    steps = [layer for stack in stacks for layer in stack.steps]
    lines, position = [], 0
    for row in rows:
        count = 1 + row.batch_norm + bool(row.activation) + bool(row.dropout)
        for layer in steps[position : position + count]:
            shape = layer.compute_output_shape(shape)
        position += count
        size = " x ".join(str(side) for side in shape[1:])
        kernel = f" {row.kernel}x{row.kernel}/{row.strides} {row.padding}" if row.kernel else ""
        cells = (block, row.op + kernel, size, row.activation or "none")
        flags = ("yes" if row.batch_norm else "no", f"{row.dropout:g}")
        lines.append("| " + " | ".join(cells + flags) + " |")
        block = ""
    return lines
