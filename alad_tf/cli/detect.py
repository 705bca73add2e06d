"""The commands for users' data: fit, tune, score, explain, serve."""

import csv
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from alad_tf.cli.lines import say

app = typer.Typer()
# without markup: users' names are printed as they are
out = Console(markup=False, highlight=False)
err = Console(stderr=True, markup=False, highlight=False)
# what is kept while `alad fit` trains
MEMBER = r"(\.|damaged-)?member\d+\.npz.*"
PICTURES = r"(row|images)_\d+\.png"  # of `alad explain`

Source = Annotated[
    Path, typer.Argument(help="A .csv, .tsv, .parquet, .npy or .npz file, or a folder of images.")
]
DetectorName = Annotated[
    str,
    typer.Argument(
        help="A folder that `alad fit` or `alad train` wrote, or a pretrained zoo entry."
    ),
]
FalseAlarms = Annotated[
    float | None,
    typer.Option(
        help="Share of normal rows that may be flagged; default: 0.01, or more for few rows."
    ),
]
Label = Annotated[
    str | None,
    typer.Option(
        help="Label column: 1 marks anomalies. They are not trained on and set the threshold."
    ),
]
Exclude = Annotated[
    str | None,
    typer.Option(
        help="Columns to leave out, such as row ids: a,b,c; of a folder of images, sub-folders, "
        "such as ground_truth."
    ),
]
Normal = Annotated[
    str | None,
    typer.Option(
        help="Sub-folders with normal images, such as good. Images in others are anomalies: they "
        "are not trained on and set the threshold."
    ),
]
Size = Annotated[str | None, typer.Option(help="Resize images to HEIGHTxWIDTH, such as 64x64.")]
Categorical = Annotated[
    str | None,
    typer.Option(help="Columns to treat as categories even if they look like numbers: a,b,c."),
]
Sep = Annotated[
    str | None,
    typer.Option(help="Separator of a CSV's columns, such as ; or tab; default: detected."),
]
Decimal = Annotated[
    str | None, typer.Option(help="Decimal mark of a CSV, . or a comma; default: detected.")
]
Encoding = Annotated[
    str | None,
    typer.Option(help="Encoding of a CSV, such as cp1252; default: UTF-8, or by byte-order mark."),
]
Missing = Annotated[
    list[str] | None, typer.Option(help="A missing-value marker, such as ?; may be repeated.")
]
SkipDamaged = Annotated[
    bool, typer.Option("--skip-damaged", help="Leave out images that cannot be read.")
]
NormalClass = Annotated[
    str | None, typer.Option(help="Name or number of an image entry's normal class.")
]


NewGaps = Annotated[
    str,
    typer.Option(
        help="Missing values, later, in columns that have none here: flag (the row) or refuse."
    ),
]
KeepRows = Annotated[
    str,
    typer.Option(
        help="Training rows to store in the detector: all (at most 4,096), centroids, or none. The "
        "combined score uses distances to them."
    ),
]
Members = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Networks whose scores are averaged; default 3, or 1 for the combined score of a "
        "table, in which networks have no part.",
    ),
]
Features = Annotated[
    str | None,
    typer.Option(
        help="What to look at in images: pixels (the default; networks learn from nothing, for "
        "long), imagenet (features of a network that Keras downloads once, 24 MB), or a .keras "
        "file with a network of your own. With a network, images may have any sizes."
    ),
]
KEPT = {"all": True, "centroids": "centroids", "none": False}


@app.command()
def fit(
    source: Source,
    folder: Annotated[Path, typer.Option("--out", help="Folder to write the detector to.")],
    false_alarms: FalseAlarms = None,
    contamination: Annotated[
        float | None,
        typer.Option(help="Flag this share of the rows instead; there are no p-values then."),
    ] = None,
    label: Label = None,
    exclude: Exclude = None,
    size: Size = None,
    score: Annotated[
        str, typer.Option(help="combined, features (the paper's), l1, l2 or logits.")
    ] = "combined",
    members: Members = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Training steps; chosen from the data's size by default."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, noise and shuffling.")] = 0,
    categorical: Categorical = None,
    sep: Sep = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    missing: Missing = None,
    skip_damaged: SkipDamaged = False,
    new_gaps: NewGaps = "flag",
    keep_rows: KeepRows = "all",
    features: Features = None,
    normal: Normal = None,
):
    """Fit a detector to a table or images.

    Writes the detector, and a report on the most anomalous rows or images.
    """
    options = {
        "contamination": "auto" if contamination is None else contamination,
        "false_alarms": false_alarms,
        "score_name": score,
        "n_members": members,
        "steps": steps,
        "random_state": seed,
        **_choices(new_gaps, keep_rows),
    }
    _require_own(folder, source)
    said = _options(sep, decimal, encoding, missing, skip_damaged)
    if features is not None:
        from alad_tf.cli.user_data import network_of

        options["features"], taken = network_of(features, source)
        size = size or taken
    _fit(_read(source, size, exclude, label, categorical, said, normal), folder, options)


@app.command()
def tune(
    source: Source,
    folder: Annotated[Path, typer.Option("--out", help="Folder to write the detector to.")],
    trials: Annotated[
        int, typer.Option(min=1, help="Number of trials, each the training of one network.")
    ] = 20,
    false_alarms: FalseAlarms = None,
    label: Label = None,
    exclude: Exclude = None,
    size: Size = None,
    score: Annotated[
        str | None,
        typer.Option(
            help="Score to tune, which then decides; default: of images combined, of tables "
            "features (the paper's)."
        ),
    ] = None,
    members: Members = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, noise and shuffling.")] = 0,
    categorical: Categorical = None,
    sep: Sep = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    missing: Missing = None,
    skip_damaged: SkipDamaged = False,
    new_gaps: NewGaps = "flag",
    keep_rows: KeepRows = "all",
):
    """Search hyper-parameters, then fit.

    The search needs no anomalies.

    Trials are ranked by how well they separate held-out rows from corrupted copies (AUROC). They
    are kept in OUT.trials; if interrupted, run the same command again to continue.
    """
    from alad_tf.cli.tables import trials_table
    from alad_tf.cli.user_data import preprocessed_normal
    from alad_tf.detector.explain import as_shown
    from alad_tf.detector.tuning import TuningData, score_to_tune, search

    chosen = _choices(new_gaps, keep_rows)
    _require_own(folder, source)
    said = _options(sep, decimal, encoding, missing, skip_damaged)
    data = _read(source, size, exclude, label, categorical, said)
    rows = TuningData.split(preprocessed_normal(data), seed)
    score = score_to_tune(rows.train.shape[1:], score)

    def report(number, values, criterion):
        shown = ", ".join(f"{name} {as_shown(value)}" for name, value in values.items())
        say(f"trial {number}/{trials}  {criterion:.4f}  {shown}", err)

    kept = folder.with_name(f"{folder.name}.trials")
    found = search(rows, kept, trials, score, seed, report)
    out.print(trials_table(found))
    options = {"score_name": score, "n_members": members, "false_alarms": false_alarms}
    _fit(data, folder, {**options, **chosen, "random_state": seed, **found[0][0]})


@app.command()
def score(
    detector: DetectorName,
    source: Source,
    path: Annotated[Path, typer.Option("--out", help="File to write: .csv or .parquet.")],
    normal_class: NormalClass = None,
    sep: Sep = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    missing: Missing = None,
    skip_damaged: SkipDamaged = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace OUT even if it is not a file of scores.")
    ] = False,
):
    """Score every row of a file or folder.

    Writes row, score, p_value and is_anomaly, in the order of the input.

    Rows are streamed. If interrupted, run the same command again to continue.
    """
    import zoo
    from alad_tf.cli.score_files import require_output, write_scores

    require_output(path, source, overwrite)
    said = _options(sep, decimal, encoding, missing, skip_damaged)
    loaded = zoo.load(detector, normal_class=normal_class)
    try:
        counts = write_scores(
            loaded, source, path, err, options=said, note=_note, overwrite=overwrite
        )
    except KeyboardInterrupt:
        err.print("Interrupted. Run the same command again to score the remaining batches.")
        raise typer.Exit(130) from None
    flagged = "no threshold" if counts[1] is None else f"{counts[1]:,} flagged"
    say(f"rows      {counts[0]:,}, {flagged}", out)
    say(f"scores    {path}", out)


@app.command()
def explain(
    detector: DetectorName,
    source: Source,
    folder: Annotated[Path, typer.Option("--out", help="Folder for the figures.")],
    rows: Annotated[
        str | None,
        typer.Option(
            help="Row numbers, from 0, such as 3,17; default: the rows with the highest scores."
        ),
    ] = None,
    count: Annotated[
        int, typer.Option("--top", min=1, help="Number of rows with the highest scores to explain.")
    ] = 3,
    normal_class: NormalClass = None,
    sep: Sep = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    missing: Missing = None,
    skip_damaged: SkipDamaged = False,
):
    """Explain scores by columns or pixels.

    Prints tables and draws figures.
    """
    import zoo
    from alad_tf.cli.fit_report import draw_reasons
    from alad_tf.cli.tables import reasons_table
    from alad_tf.cli.user_data import UserData
    from alad_tf.engine.files import adding_to, check_adding

    check_adding(folder, PICTURES)
    said = _options(sep, decimal, encoding, missing, skip_damaged)
    loaded = zoo.load(detector, normal_class=normal_class)
    data = UserData.for_detector(loaded, source, said, _note)
    scores = loaded.anomaly_score(data.rows)
    chosen = _row_numbers(rows, len(scores)) if rows else list((-scores).argsort()[:count])
    explanation = loaded.explain(data.take(chosen))
    for place, row in enumerate(chosen):
        if explanation.columns:
            out.print(reasons_table(explanation, place, f"row {data.ids[row]}"))
    with adding_to(folder, ".") as temporary:
        names = [picture.name for picture in draw_reasons(temporary, explanation, data, chosen)]
    for name in names:
        say(f"picture   {folder / name}", out)


@app.command()
def serve(
    detector: Annotated[
        str,
        typer.Argument(
            help="An export (NAME/VERSION), a detector's folder, or a pretrained zoo entry."
        ),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="REST port; 0: any free port.")
    ] = 8501,
    grpc_port: Annotated[
        int, typer.Option(min=0, max=65535, help="gRPC port; 0: any free port.")
    ] = 8500,
    most_mib: Annotated[int, typer.Option(min=1, max=1024, help="Largest request, in MiB.")] = 32,
    grace: Annotated[
        int, typer.Option(min=0, help="Seconds to finish open requests when stopped.")
    ] = 25,
    normal_class: NormalClass = None,
):
    """Serve a detector on this machine.

    It has TensorFlow Serving's REST and gRPC interfaces. It is meant for development and tests; for
    production, use TensorFlow Serving (docs/serving.md). Ctrl-C or SIGTERM stops the server after
    open requests are answered.
    """
    import tempfile

    import zoo
    from alad_tf.export.graph import METADATA
    from alad_tf.export.serving.server import Server, stopping_early

    with stopping_early(), tempfile.TemporaryDirectory() as scratch:
        folder = Path(detector)
        if not (folder / METADATA).is_file():
            folder = zoo.load(detector, normal_class=normal_class).export(scratch)
        server = Server(folder, host, port, grpc_port, most_mib * 2**20, grace)
        say(f"REST      {server.url}:predict", out)
        say(f"gRPC      {server.grpc_address}", out)
        server.run()
    out.print("stopped")


def _choices(new_gaps, keep_rows):
    """The estimator's arguments of two options, checked."""
    for option, value, known in (
        ("--new-gaps", new_gaps, ("flag", "refuse")),
        ("--keep-rows", keep_rows, tuple(KEPT)),
    ):
        if value not in known:
            raise ValueError(f"received {option} {value}; expected one of {', '.join(known)}.")
    return {"missing": new_gaps, "keep_rows": KEPT[keep_rows]}


def _options(sep, decimal, encoding, missing, skip_damaged):
    from alad_tf.data.user_files import ReadOptions

    return ReadOptions(sep, decimal, encoding, missing or (), skip_damaged)


def _read(source, size, exclude, label, categorical, options, normal=None):
    from alad_tf.cli.user_data import UserData

    names = _names(exclude), label, _names(categorical)
    return UserData.read(source, _size(size), *names, options, _note, _names(normal))


def _note(line):
    say(f"read      {line}", err)


def _require_own(folder, source):
    """Refuse an --out whose content would be lost: it is replaced when the detector is written."""
    from alad_tf.engine.weights import require_place

    if folder.is_dir() and source.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"received --out {folder}, which contains {source}. Choose another folder."
        )
    require_place(folder)
    partial = _partial(folder)
    if partial.exists() and any(not re.fullmatch(MEMBER, p.name) for p in partial.iterdir()):
        raise ValueError(
            f"{partial} is needed for checkpoints but contains other files. Move them away."
        )


def _partial(folder):
    return folder.with_name(f"{folder.name}.partial")


def _fit(data, folder, options):
    """Fit a detector, write it with its report, and print where they are."""
    from alad_tf.cli.fit_report import write_fit_report
    from alad_tf.cli.user_data import labelled_split
    from alad_tf.detector.estimator import ALADDetector
    from alad_tf.engine.files import adding_to, remove_own

    partial = _partial(folder)
    estimator = ALADDetector(**options, checkpoint=str(partial), verbose=True)
    train, validation = data.rows, None
    if data.is_anomaly is not None:
        train, validation = labelled_split(data, options["random_state"])
    try:
        estimator.fit(train, validation_data=validation)
    except KeyboardInterrupt:
        err.print("Interrupted. Run the same command again to continue from the last checkpoint.")
        raise typer.Exit(130) from None
    estimator.detector_.metadata["input"] = data.origin
    estimator.save(folder)
    remove_own(partial, re.compile(MEMBER).fullmatch)
    say(f"threshold {estimator.detector_.threshold_rule}", out)
    say(f"detector  {folder}", out)
    try:  # the detector is safe by now, whatever happens to its pictures
        with adding_to(folder, "report") as report:
            name = write_fit_report(report, estimator.detector_, data, err).name
    except Exception as error:
        say(f"The report was not written: {type(error).__name__}: {error}", err)
        raise typer.Exit(1) from error
    say(f"report    {folder / 'report' / name}", out)


def _size(text):
    """(height, width) of "64x48", or None."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdigit() and int(side) for side in sides):
        raise ValueError(f"received --size {text}; expected HEIGHTxWIDTH, such as 64x48.")
    return int(sides[0]), int(sides[1])


def _names(text):
    """Names between commas; one that holds a comma is in double quotes."""
    names = next(csv.reader([text or ""], skipinitialspace=True), [])
    return [name.strip() for name in names if name.strip()]


def _row_numbers(text, total):
    names = _names(text)
    if not names or not all(name.isdigit() and int(name) < total for name in names):
        raise ValueError(f"received --rows {text}; expected numbers from 0 to {total - 1}: 3,17.")
    return [int(name) for name in names]
