"""The commands for your own data: fit, tune, score, explain, serve."""

import csv
import difflib
import re
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from alad_tf.cli.lines import UsageError, checking_usage, duration, one_of, say

app = typer.Typer()
# without markup: users' names are printed as they are
out = Console(markup=False, highlight=False)
err = Console(stderr=True, markup=False, highlight=False)
# what is kept while `alad fit` trains
MEMBER = r"(\.|damaged-)?member\d+\.npz.*"
PICTURES = r"(row|images)_\d+\.png"  # of `alad explain`

SCORES = ("combined", "features", "l1", "l2", "logits")


def entry_names(incomplete: str):
    """Names of zoo entries and folders, for a shell's completion; without importing the zoo."""
    zoo = Path(__file__).resolve().parents[2] / "zoo"
    names = [path.stem for path in zoo.glob("[a-z]*.py")]
    folders = [f"{path}/" for path in Path().glob(f"{incomplete}*") if path.is_dir()]
    return [name for name in sorted(names) if name.startswith(incomplete)] + folders


Source = Annotated[
    Path, typer.Argument(help="A .csv, .tsv, .parquet, .npy or .npz file, or a folder of images.")
]
DetectorName = Annotated[
    str,
    typer.Argument(
        help="A folder that `alad fit` or `alad train` wrote, or a pretrained zoo entry.",
        autocompletion=entry_names,
    ),
]
FalseAlarms = Annotated[
    float | None,
    typer.Option(
        help="False-alarm rate: the share of normal rows that may be flagged; default: 0.01, or "
        "higher if there are few rows."
    ),
]
Label = Annotated[
    str | None,
    typer.Option(
        help="Label column: 1 marks anomalies, which are left out of training and used to choose "
        "the threshold."
    ),
]
Exclude = Annotated[
    str | None,
    typer.Option(
        help="Columns to leave out, such as row ids: a,b,c. For a folder of images: sub-folders, "
        "such as ground_truth."
    ),
]
Normal = Annotated[
    str | None,
    typer.Option(
        help="Sub-folders of normal images, such as good. Images in all others are anomalies: "
        "they are left out of training and used to choose the threshold."
    ),
]
Size = Annotated[
    str | None,
    typer.Option(
        help="Resize images to HEIGHTxWIDTH, such as 64x64. Default: with --features, the "
        "network's size; otherwise images are resized only if their sizes differ or a side is odd "
        "or below 8, to at most 64 pixels a side."
    ),
]
Categorical = Annotated[
    str | None,
    typer.Option(help="Columns to treat as categories even if they look like numbers: a,b,c."),
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        help="Kind of a column, NAME=KIND: number, category, date, duration, hash (many values, "
        "in 32 buckets) or ignore; may be repeated. Default: inferred from its values."
    ),
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
    typer.Option(
        help="Encoding of a CSV, such as cp1252; default: UTF-8, or what the byte-order mark says."
    ),
]
Missing = Annotated[
    list[str] | None, typer.Option(help="Marker of missing values, such as ?; may be repeated.")
]
SkipDamaged = Annotated[
    bool, typer.Option("--skip-damaged", help="Skip images that cannot be read.")
]
NormalClass = Annotated[
    str | None, typer.Option(help="Name or number of the normal class, for image entries.")
]


NewGaps = Annotated[
    str,
    typer.Option(
        help="What scoring does with a missing value in a column that had none in this data: flag "
        "(call the row anomalous) or refuse (stop with an error)."
    ),
]
KeepRows = Annotated[
    str,
    typer.Option(
        help="Training rows to store in the detector: all (at most 4,096), centroids, or none; "
        "with --features, features of the images instead. The combined score uses distances to "
        "them."
    ),
]
Seed = Annotated[
    int, typer.Option(min=0, metavar="<int>", help="Random seed for weights, noise and shuffling.")
]
Members = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="<int>",
        help="Number of ALADs to train, each of five networks; their scores are averaged. "
        "Default: 3; for the combined score, 1 for a table (3 with --keep-rows none) and none "
        "with --features.",
    ),
]
MembersOfTune = Annotated[
    int | None,
    typer.Option(
        "--members",
        min=1,
        metavar="<int>",
        help="Number of ALADs to train for the final detector; their scores are averaged. "
        "Default: 3; none with --features.",
    ),
]
Features = Annotated[
    str | None,
    typer.Option(
        help="Images only. pixels (default): networks are trained from scratch, which takes "
        "a long time. imagenet: features of a pretrained network, which Keras downloads once (24 "
        "MB). A .keras file: features of your own network. With features, images may be of "
        "any size."
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
        typer.Option(
            help="Share of the rows to flag, instead of a false-alarm rate; there are then no "
            "p-values."
        ),
    ] = None,
    label: Label = None,
    exclude: Exclude = None,
    size: Size = None,
    score: Annotated[
        str,
        typer.Option(
            help="Score to use: combined, features (the paper's), l1, l2 or logits.",
            autocompletion=lambda: list(SCORES),
        ),
    ] = "combined",
    members: Members = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="<int>", help="Training steps; default: chosen by the size of the data."
        ),
    ] = None,
    seed: Seed = 0,
    categorical: Categorical = None,
    column: Column = None,
    sep: Sep = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    missing: Missing = None,
    skip_damaged: SkipDamaged = False,
    new_gaps: NewGaps = "flag",
    keep_rows: KeepRows = "all",
    show: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    features: Features = None,
    normal: Normal = None,
):
    """Fit a detector to a table or images.

    Shows how each column is treated and how long training will take. Then writes the detector and a
    report (report.html, report.md) with the scores and the most anomalous rows or images.
    """
    _require_scores(score, false_alarms, contamination, label, normal)
    options = {
        "contamination": "auto" if contamination is None else contamination,
        "false_alarms": false_alarms,
        "score_name": score,
        "n_members": members,
        "steps": steps,
        "random_state": seed,
        "columns": _kinds(column, categorical),
        **_choices(new_gaps, keep_rows),
    }
    _require_own(folder, source)
    said = _options(sep, decimal, encoding, missing, skip_damaged)
    if features is not None:
        from alad_tf.cli.user_data import network_of

        options["features"], taken = network_of(features, source)
        size = size or taken
    names = exclude, label, categorical, column
    _fit(_read(source, size, *names, said, normal), folder, options, show)


@app.command()
def tune(
    source: Source,
    folder: Annotated[Path, typer.Option("--out", help="Folder to write the detector to.")],
    trials: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="<int>",
            help="Number of trials; each trains one ALAD, except with --features.",
        ),
    ] = 20,
    false_alarms: FalseAlarms = None,
    label: Label = None,
    exclude: Exclude = None,
    size: Size = None,
    score: Annotated[
        str | None,
        typer.Option(
            help="Score to tune, and then to use; default: combined for images, features (the "
            "paper's) for tables."
        ),
    ] = None,
    members: MembersOfTune = None,
    seed: Seed = 0,
    categorical: Categorical = None,
    column: Column = None,
    sep: Sep = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    missing: Missing = None,
    skip_damaged: SkipDamaged = False,
    new_gaps: NewGaps = "flag",
    keep_rows: KeepRows = "all",
    features: Features = None,
):
    """Search hyper-parameters, then fit a detector.

    The search needs no anomalies.

    Trials are ranked by how well they separate held-out rows from corrupted copies (AUROC). They
    are kept in OUT.trials. If interrupted, run the same command again to continue.

    With --features, the search is over the network's layers and how their features are compared.
    """
    from alad_tf.cli.tables import trials_table
    from alad_tf.data.user_files import array_shape
    from alad_tf.detector.explain import as_shown
    from alad_tf.detector.tuning import score_to_tune, search

    _require_scores(score, false_alarms, label=label)
    chosen = {"columns": _kinds(column, categorical), **_choices(new_gaps, keep_rows)}
    _require_own(folder, source)
    said = _options(sep, decimal, encoding, missing, skip_damaged)
    if features is None and source.is_file() and array_shape(source) is None:
        with checking_usage():  # before a table is read
            score_to_tune((1,), score)
    if features is not None:
        from alad_tf.cli.user_data import network_of

        features, taken = network_of(features, source)
        size = size or taken
    data = _read(source, size, exclude, label, categorical, column, said)
    rows = _to_tune(data, features, chosen["columns"], seed)
    score = rows.hypermodel(score, seed).score_name

    def report(number, values, criterion):
        shown = ", ".join(f"{name} {as_shown(value)}" for name, value in values.items())
        say(f"trial {number}/{trials}  {criterion:.4f}  {shown}", err)

    kept = folder.with_name(f"{folder.name}.trials")
    found = search(rows, kept, trials, score, seed, report)
    out.print(trials_table(found))
    options = {"score_name": score, "n_members": members, "false_alarms": false_alarms}
    options |= {**chosen, "random_state": seed, **rows.arguments(found[0][0])}
    _fit(data, folder, options)


def _to_tune(data, features, kinds, seed):
    """What a search tunes on: normal rows of a table, images, or their features."""
    from alad_tf.cli.user_data import normal_rows, preprocessed_normal
    from alad_tf.detector.pictures import uses_network
    from alad_tf.detector.tuning import TuningData

    if not uses_network(features):
        return TuningData.split(preprocessed_normal(data, kinds), seed)
    from alad_tf.detector.tuning_features import FeatureTuningData

    return FeatureTuningData.split(normal_rows(data), features, seed)


@app.command()
def score(
    detector: DetectorName,
    source: Source,
    path: Annotated[Path, typer.Option("--out", help="File to write: .csv or .parquet.")],
    count: Annotated[
        int,
        typer.Option(
            "--top",
            min=0,
            metavar="<int>",
            help="How many of the most anomalous rows to show, with reasons.",
        ),
    ] = 5,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Also write these rows to a self-contained .html file."),
    ] = None,
    normal_class: NormalClass = None,
    sep: Sep = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    missing: Missing = None,
    skip_damaged: SkipDamaged = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace the output file even if it does not contain scores."
        ),
    ] = False,
):
    """Score every row of a file or folder.

    Writes, in the order of the input, the columns row and score, and p_value and is_anomaly if the
    detector has them. Shows the rows with the highest scores and, for a table, the reasons.

    The input is read in batches, so it may be larger than memory (unless it is an NPZ). If
    interrupted, run the same command again to continue.
    """
    from alad_tf.cli.html_report import require_report
    from alad_tf.cli.score_files import require_output, write_scores
    from alad_tf.cli.top_rows import TopRows

    require_output(path, source, overwrite)
    if report:
        require_report(report)
    said = _options(sep, decimal, encoding, missing, skip_damaged)
    loaded, top = load_detector(detector, normal_class), TopRows(count)
    options = {"options": said, "note": _note, "overwrite": overwrite, "top": top}
    try:
        counts = write_scores(loaded, source, path, err, **options)
    except KeyboardInterrupt:
        err.print("Interrupted. Run the same command again to score the remaining batches.")
        raise typer.Exit(130) from None
    _show_top(loaded, top, source, said, counts, report)
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
            help="Row numbers, counted from 0, such as 3,17; default: the rows with the highest "
            "scores."
        ),
    ] = None,
    count: Annotated[
        int,
        typer.Option(
            "--top", min=1, metavar="<int>", help="How many of the most anomalous rows to explain."
        ),
    ] = 3,
    normal_class: NormalClass = None,
    sep: Sep = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    missing: Missing = None,
    skip_damaged: SkipDamaged = False,
):
    """Show which columns or pixels a score comes from.

    Writes figures and, for a table, prints the reasons.
    """
    from alad_tf.cli.fit_report import draw_reasons
    from alad_tf.cli.tables import reasons_table
    from alad_tf.cli.user_data import UserData
    from alad_tf.engine.files import adding_to, check_adding

    check_adding(folder, PICTURES)
    said = _options(sep, decimal, encoding, missing, skip_damaged)
    loaded = load_detector(detector, normal_class)
    data = UserData.for_detector(loaded, source, said, _note)
    chosen = _row_numbers(rows, len(data.ids)) if rows else None  # before scoring takes time
    scores = loaded.anomaly_score(data.rows)
    if chosen is None:
        chosen = list((-scores).argsort()[:count])
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
        int, typer.Option(min=0, max=65535, metavar="<int>", help="REST port; 0: any free port.")
    ] = 8501,
    grpc_port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="<int>", help="gRPC port; 0: any free port.")
    ] = 8500,
    most_mib: Annotated[
        int, typer.Option(min=1, max=1024, metavar="<int>", help="Largest request, in MiB.")
    ] = 32,
    grace: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="<int>",
            help="Seconds allowed for open requests to finish when the server is stopped.",
        ),
    ] = 25,
    normal_class: NormalClass = None,
):
    """Serve a detector on this machine.

    The server has the REST and gRPC interfaces of TensorFlow Serving. It is meant for development
    and tests; in production, use TensorFlow Serving (docs/serving.md). Ctrl-C or SIGTERM stops it
    once open requests are answered.
    """
    import tempfile

    from alad_tf.export.graph import METADATA
    from alad_tf.export.serving.server import Server, stopping_early

    with stopping_early(), tempfile.TemporaryDirectory() as scratch:
        folder = Path(detector)
        if not (folder / METADATA).is_file():
            folder = load_detector(detector, normal_class).export(scratch)
        server = Server(folder, host, port, grpc_port, most_mib * 2**20, grace)
        say(f"REST      {server.url}:predict", out)
        say(f"gRPC      {server.grpc_address}", out)
        server.run()
    out.print("stopped")


def load_detector(name, normal_class):
    """A detector by its folder or entry."""
    import zoo

    known = zoo.list()
    if name not in known and not Path(name).is_dir():
        what = "a file" if Path(name).exists() else "neither a folder nor a zoo entry"
        close = difflib.get_close_matches(name, known, 1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise FileNotFoundError(
            f"received the detector {name}, which is {what}; expected a folder that `alad "
            f"fit` or `alad train` wrote, or the name of an entry in `alad list`.{hint}"
        )
    return zoo.load(name, normal_class=normal_class)


def _show_top(detector, top, source, options, counts, report):
    """Show the most anomalous rows, with reasons where the detector has some."""
    from alad_tf.cli.html_report import write_score_report
    from alad_tf.cli.score_files import record_at
    from alad_tf.cli.top_rows import top_table

    if top.table is None:
        return
    explanation = records = None
    tables = bool(detector.preprocessor.groups)
    explainable = getattr(detector.scorer, "explainable", False)
    if report or (tables and explainable):
        records = top.records(lambda place: record_at(detector, source, place, options))
        explanation = detector.explain(records) if explainable else None
    out.print(top_table(top.table, explanation))
    if report:
        write_score_report(report, detector, source, counts, top.table, explanation, records)
        say(f"report    {report}", out)


def _choices(new_gaps, keep_rows):
    """The estimator's arguments of two options, checked."""
    one_of("--new-gaps", new_gaps, ("flag", "refuse"))
    one_of("--keep-rows", keep_rows, tuple(KEPT))
    return {"missing": new_gaps, "keep_rows": KEPT[keep_rows]}


def _require_scores(score, false_alarms, contamination=None, label=None, normal=None):
    """Refuse values that are wrong for any data, before the data are read."""
    rules = {"--false-alarms": false_alarms, "--contamination": contamination, "--label": label}
    rules |= {"--normal": normal}
    chosen = [name for name, value in rules.items() if value is not None]
    if len(chosen) > 1:
        raise UsageError(
            f"received {' and '.join(chosen)}, each of which sets the threshold; give only one."
        )
    if score is not None:
        one_of("--score", score, SCORES)
    if false_alarms is not None and not 0 < false_alarms < 1:
        raise UsageError(
            f"received --false-alarms {false_alarms}; expected a share between 0 and 1, such as "
            "0.01."
        )
    if contamination is not None and not 0 < contamination <= 0.5:
        raise UsageError(
            f"received --contamination {contamination}; expected a share above 0 and at most "
            "0.5, such as 0.05."
        )


def _options(sep, decimal, encoding, missing, skip_damaged):
    from alad_tf.data.user_files import ReadOptions

    with checking_usage():
        return ReadOptions(sep, decimal, encoding, missing or (), skip_damaged)


def _kinds(column, categorical):
    """The estimator's `columns` of --column and --categorical; None for neither."""
    from alad_tf.preprocess.kinds import KINDS

    found = dict.fromkeys(_names(categorical), "category")
    for text in column or ():
        name, mark, kind = text.rpartition("=")
        if not mark or not name:
            raise UsageError(f"received --column {text}; expected NAME=KIND, such as zip=category.")
        if kind not in KINDS:
            known = ", ".join(KINDS)
            raise UsageError(f"received --column {text}; the kind must be one of {known}.")
        if found.setdefault(name, kind) != kind:
            raise UsageError(
                f"received two kinds for the column {name!r}, {found[name]} and {kind}; give "
                "only one."
            )
    return found or None


def _read(source, size, exclude, label, categorical, column, options, normal=None):
    from alad_tf.cli.user_data import UserData

    names, chosen = (_names(exclude), label, _names(categorical)), _kinds(column, None)
    return UserData.read(source, _size(size), *names, options, _note, chosen, _names(normal))


def _note(line):
    say(f"read      {line}", err)


def _require_own(folder, source):
    """Refuse an --out whose content would be lost: it is replaced when the detector is written."""
    from alad_tf.engine.weights import require_place

    if folder.is_dir() and source.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"received --out {folder}, which contains the input, {source}. Choose another folder."
        )
    require_place(folder)
    partial = _partial(folder)
    if partial.exists() and any(not re.fullmatch(MEMBER, p.name) for p in partial.iterdir()):
        raise ValueError(
            f"Checkpoints go to {partial}, but it contains other files. Move them away, or "
            "choose another --out."
        )


def _partial(folder):
    return folder.with_name(f"{folder.name}.partial")


def _open(path):
    """Show a file in the browser."""
    import webbrowser

    if not webbrowser.open(path.resolve().as_uri()):
        say(f"note      no browser found; open {path} yourself", err)


def _fit(data, folder, options, show=False):
    """Fit a detector, write it with its report, and print where they are."""
    from alad_tf.cli.fit_plan import FitPlan
    from alad_tf.cli.fit_report import write_fit_report
    from alad_tf.cli.user_data import label_metrics, labelled_split
    from alad_tf.detector.estimator import ALADDetector
    from alad_tf.detector.pictures import uses_network
    from alad_tf.engine.files import adding_to, remove_own

    begun, partial = time.monotonic(), _partial(folder)
    estimator = ALADDetector(**options, checkpoint=str(partial), verbose=True)
    train, validation = data.rows, None
    if data.is_anomaly is not None:
        train, validation = labelled_split(data, options["random_state"])
    try:
        callbacks = [] if uses_network(estimator.features) else [FitPlan(err)]
        estimator.fit(train, validation_data=validation, callbacks=callbacks)
    except KeyboardInterrupt:
        err.print("Interrupted. Run the same command again to continue from the last checkpoint.")
        raise typer.Exit(130) from None
    estimator.detector_.metadata["input"] = data.origin
    measured = validation and label_metrics(estimator.detector_, *validation)
    estimator.save(folder)
    remove_own(partial, re.compile(MEMBER).fullmatch)
    say(f"threshold {data.rule_of(estimator.detector_)}", out)
    if measured:
        say(f"labels    {measured['words']}", out)
    say(f"detector  {folder}", out)
    try:  # the detector is safe by now, whatever happens to its pictures
        with adding_to(folder, "report") as report:
            name = write_fit_report(report, estimator.detector_, data, err, measured).name
    except Exception as error:
        say(
            "The detector was saved and can be used (`alad score --report` reports its alarms), "
            f"but its own report could not be written: {type(error).__name__}: {error}",
            err,
        )
        raise typer.Exit(1) from error
    say(f"report    {folder / 'report' / name}", out)
    if show:
        _open(folder / "report" / name)
    say(f"took      {duration(time.monotonic() - begun)}", err)


def _size(text):
    """(height, width) of "64x48", or None."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdigit() and int(side) for side in sides):
        raise UsageError(f"received --size {text}; expected HEIGHTxWIDTH, such as 64x48.")
    return int(sides[0]), int(sides[1])


def _names(text):
    """Names between commas; one that holds a comma is in double quotes."""
    names = next(csv.reader([text or ""], skipinitialspace=True), [])
    return [name.strip() for name in names if name.strip()]


def _row_numbers(text, total):
    names = _names(text)
    if not names or not all(name.isdigit() and int(name) < total for name in names):
        raise UsageError(
            f"received --rows {text}; expected row numbers from 0 to {total - 1}, such as 3,17."
        )
    return [int(name) for name in names]
