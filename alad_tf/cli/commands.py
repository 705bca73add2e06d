"""The `alad` command: parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer
import typer.core
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Column, Table

from alad_tf.cli import detect, paper
from alad_tf.cli.lines import UsageError, as_options, checking_usage, one_of, say
from alad_tf.engine.quiet import quiet_tensorflow
from alad_tf.experiments import RESULTS

# as `alad --help` shows them: one's own data first
COMMANDS = "fit tune score explain export serve demo list describe train evaluate reproduce report"


class _InOrder(typer.core.TyperGroup):
    def list_commands(self, context):
        return sorted(super().list_commands(context), key=COMMANDS.split().index)


app = typer.Typer(
    cls=_InOrder,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # paragraphs of docstrings are wrapped to the terminal
    help="Adversarially Learned Anomaly Detection: fit, score, explain, export and serve "
    "detectors; reproduce the paper.",
)
FORMATS = ("saved_model", "onnx", "tflite")  # of exports
app.add_typer(detect.app)  # the commands for anyone's data
app.add_typer(paper.app)  # the paper's tables and figures
# without markup: users' names are printed as they are
out = Console(markup=False, highlight=False)
err = Console(stderr=True, markup=False, highlight=False)

Entry = Annotated[
    str,
    typer.Argument(
        help="Name of a zoo entry (see `alad list`), or a Python file that defines ENTRY.",
        autocompletion=detect.entry_names,
    ),
]


def _show_version(wanted: bool):
    if wanted:
        import alad_tf

        out.print(f"alad-tf {alad_tf.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
):
    pass  # the option does all


@app.command("list", rich_help_panel="Model zoo and paper")
def list_entries():
    """List the entries of the model zoo."""
    import zoo

    names = Column("entry", no_wrap=True)  # other columns give way on a narrow screen
    table = Table(names, "source", "dataset", "pretrained", "summary")
    for name in zoo.list():
        entry, pretrained = zoo.entry(name), ", ".join(zoo.variants(name))
        table.add_row(name, entry.source, entry.dataset, pretrained, entry.summary)
    out.print(table)


@app.command(rich_help_panel="Model zoo and paper")
def describe(entry: Entry):
    """Show a zoo entry.

    Prints its card, its networks layer by layer, its hyper-parameters, and the paper's result.
    """
    import zoo

    text = zoo.describe(entry)
    out.print(Markdown(text) if out.is_terminal else text)


@app.command(rich_help_panel="Model zoo and paper")
def train(
    entry: Entry,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="<int>",
            help="Random seed for weights, noise, dropout and shuffling; default: 0.",
        ),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Several seeds, one process each, such as 0-9 or 0,1,7.")
    ] = None,
    jobs: paper.Jobs = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, metavar="<int>", help="Number of epochs; default: the entry's."),
    ] = None,
    out_dir: Annotated[
        Path | None,
        typer.Option("--out", help="Run folder; default: a folder of its own in runs/."),
    ] = None,
    results: paper.Results = Path(RESULTS),
    data_dir: paper.DataDir = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue from the latest checkpoint in the run folder."),
    ] = False,
    contaminated: Annotated[
        bool, typer.Option("--contaminated", help="Leave the anomalies in the training rows.")
    ] = False,
    swap_halves: Annotated[
        bool, typer.Option("--swap-halves", help="Tables: swap the training and test halves.")
    ] = False,
    no_spectral_norm: Annotated[
        bool, typer.Option("--no-spectral-norm", help="Ablation: no spectral normalisation.")
    ] = False,
    no_latent_discriminator: Annotated[
        bool, typer.Option("--no-latent-discriminator", help="Ablation: no D_zz.")
    ] = False,
    scaling: Annotated[
        str | None,
        typer.Option(help="Scaling of numbers: standard, minmax or none; default: the entry's."),
    ] = None,
    normal_class: Annotated[
        str | None, typer.Option(help="Name or number of the normal class, for image data sets.")
    ] = None,
    pair_axis: Annotated[
        str | None,
        typer.Option(help="Axis on which D_xx concatenates two images: height or channels."),
    ] = None,
    stopping: Annotated[
        str | None,
        typer.Option(
            help="fixed: train for all epochs; last: stop when the validation score stops "
            "improving and keep the last weights, as in the authors' code; best: the same, "
            "but keep the best weights. Default: the entry's."
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="<int>",
            help="Stop after this many epochs without a better validation score.",
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="float32, or bfloat16 for matrix products and convolutions: faster for images on "
            "hardware that supports it."
        ),
    ] = None,
    test_rows: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="<int>",
            help="AnoGAN only: number of test rows to score, the same ones in each run.",
        ),
    ] = None,
    checkpoint_every: Annotated[
        float,
        typer.Option(min=0, metavar="<float>", help="Seconds between checkpoints; 0: every epoch."),
    ] = 30.0,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="mirrored: all devices of this machine; multiworker: those in TF_CONFIG."
        ),
    ] = None,
):
    """Train a zoo entry by the paper's protocol.

    Writes a detector, and its results as JSON.
    """
    seed, *others = _seeds(seed, seeds, jobs, out_dir)  # before imports that take seconds
    if others and strategy:
        raise UsageError(
            "received --strategy and several --seeds; --strategy distributes a single run. "
            "Leave one out."
        )
    import zoo
    from alad_tf.experiments.settings import Settings

    chosen = zoo.entry(entry)
    if scaling:
        from alad_tf.preprocess import SCALINGS

        one_of("--scaling", scaling, SCALINGS)
    if strategy:
        from alad_tf.engine.distributed import STRATEGIES

        one_of("--strategy", strategy, STRATEGIES)
    settings = Settings(
        seed=seed,
        epochs=epochs,
        contaminated=contaminated,
        swap_halves=swap_halves,
        spectral_norm=not no_spectral_norm,
        latent_discriminator=not no_latent_discriminator,
        scaling=scaling,
        normal_class=normal_class,
        pair_axis=pair_axis,
        stopping=stopping,
        patience=patience,
        precision=precision,
        test_rows=test_rows,
    )
    with checking_usage():
        settings = settings.resolve(chosen)
    try:
        if others:
            options = {"resume": resume, "checkpoint_every": checkpoint_every}
            seeds = [seed, *others]
            _train_seeds(chosen, settings, seeds, jobs, results, data_dir, **options)
        else:
            options = (resume, checkpoint_every, err, strategy)
            _train_one(chosen, settings, out_dir, results, data_dir, *options)
    except KeyboardInterrupt:
        err.print(
            "Interrupted. Run the command again with --resume to continue from the last checkpoint."
        )
        raise typer.Exit(130) from None


@app.command(rich_help_panel="Model zoo and paper")
def evaluate(
    run_dir: Annotated[Path, typer.Argument(help="A folder that `alad train` wrote.")],
    data_dir: paper.DataDir = None,
    by_label: Annotated[
        bool, typer.Option("--by-label", help="Also count the flagged rows of each class.")
    ] = False,
    rewrite: Annotated[
        bool,
        typer.Option(
            "--rewrite", help="Also replace the run's stored metrics, threshold and figures."
        ),
    ] = False,
    results: Annotated[
        Path, typer.Option(help="Results folder; --by-label writes the counts there, too.")
    ] = Path(RESULTS),
):
    """Evaluate a saved run on the test rows."""
    import zoo
    from alad_tf.cli.tables import metrics_table
    from alad_tf.experiments.results import write_flagged
    from alad_tf.experiments.run import evaluate_run, read_run, rescore_run

    run = read_run(run_dir)
    entry = zoo.entry(run["entry"])
    if rewrite:
        metrics = rescore_run(run_dir, entry, results, data_dir)["metrics"]
    if by_label or not rewrite:
        metrics, flagged = evaluate_run(run_dir, entry, data_dir, err)
    out.print(metrics_table("score", metrics, entry=entry))
    if not by_label:
        return
    if flagged is None:
        raise ValueError(f"received --by-label, but {entry.dataset} has no classes. Leave it out.")
    table = Table("class", "training rows", "test rows", *metrics)
    for row in flagged:
        counts = [f"{row['flagged'][name]:,}" for name in metrics]
        table.add_row(str(row["label"]), f"{row['train_rows']:,}", f"{row['test_rows']:,}", *counts)
    out.print("Flagged test rows, by class and score:", table)
    say(f"counts    {write_flagged(results, run, flagged)}", out)


@app.command()
def export(
    detector: Annotated[
        str,
        typer.Argument(
            help="A folder that `alad fit` or `alad train` wrote, or a pretrained zoo entry.",
            autocompletion=detect.entry_names,
        ),
    ],
    folder: Annotated[
        Path, typer.Argument(help="Folder to write to; the export is FOLDER/NAME/VERSION.")
    ],
    name: Annotated[
        str | None,
        typer.Option(help="Name of the exported model; default: the entry's name, or 'detector'."),
    ] = None,
    version: Annotated[
        int, typer.Option(min=1, metavar="<int>", help="Version of the exported model.")
    ] = 1,
    normal_class: Annotated[
        str | None, typer.Option(help="Name or number of the normal class, for image entries.")
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            "--format",
            help="saved_model, onnx or tflite. The last two need an extra: pip install "
            "'alad-tf[onnx]' or 'alad-tf[tflite]'.",
            autocompletion=lambda: list(FORMATS),
        ),
    ] = "saved_model",
):
    """Export a detector as a model for serving.

    The model takes raw records and returns scores and verdicts.
    """
    import zoo

    one_of("--format", kind, FORMATS)
    if normal_class is not None and detector not in zoo.list() and Path(detector).is_dir():
        raise ValueError(
            f"received --normal-class {normal_class} for the folder {detector}; a saved "
            "detector already has its normal class. Leave the option out."
        )
    loaded = detect.load_detector(detector, normal_class)
    try:
        say(f"export    {loaded.export(folder, name, version, kind)}", out)
    except RuntimeError as error:  # the self-check's message says all
        say(f"alad: {error}", err)
        raise typer.Exit(1) from None


@app.command()
def demo(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder to write the demo to.")] = Path(
        "runs/demo"
    ),
    seed: detect.Seed = 0,
):
    """Train on a bundled table, in about a minute.

    Compares ALAD with an untrained network and an Isolation Forest.
    """
    import zoo
    from alad_tf.cli.demo import run_demo
    from alad_tf.cli.tables import metrics_table

    result = run_demo(zoo.entry("breast_cancer_alad"), out_dir, seed, err)
    rows = result["protocol"]
    out.print(
        f"Wisconsin breast cancer: {rows['train']} benign training rows, {rows['validation']} "
        f"benign rows for the threshold, and {rows['test']} test rows, of which "
        f"{rows['anomalies']} are malignant.",
        highlight=False,
    )
    out.print(metrics_table("model", result["metrics"]))
    for name, path in result["files"].items():
        say(f"{name:16}{path.resolve()}", out)


def _seeds(seed, seeds, jobs, out_dir):
    """The seeds that `alad train` should train, from its options."""
    if seeds is None:
        if jobs is not None:
            raise UsageError(
                "received --jobs without --seeds; --jobs is how many seeds train at a time. "
                "Add --seeds, or leave --jobs out."
            )
        return [seed or 0]
    if seed is not None:
        raise UsageError(f"received --seed {seed} and --seeds {seeds}; give only one of them.")
    from alad_tf.experiments.parallel import parse_seeds

    with checking_usage():
        numbers = parse_seeds(seeds)
    if out_dir is not None and len(numbers) > 1:
        raise UsageError(
            f"received --out with {len(numbers)} seeds, but it is the folder of a single "
            "run. Leave it out: each seed then has its own folder, runs/ENTRY/VARIANT/seedN."
        )
    return numbers


def _train_one(entry, settings, out_dir, results, data_dir, *options):
    """Train one seed; show what it reached, and where its detector and result are."""
    from alad_tf.cli.tables import metrics_table
    from alad_tf.experiments.results import result_path
    from alad_tf.experiments.run import DETECTOR, train

    result, folder = train(entry, settings, out_dir, results, data_dir, *options)
    out.print(metrics_table("score", result["metrics"], result["untrained"], entry))
    path = result_path(results, entry.name, settings.variant, settings.seed)
    say(f"detector  {folder / DETECTOR}", out)
    say(f"result    {path}", out)


def _train_seeds(entry, settings, seeds, jobs, results, data_dir, **options):
    """Train several seeds side by side; show what they reached, and which of them failed."""
    from alad_tf.experiments.parallel import seeds_table, train_seeds
    from alad_tf.experiments.results import result_path

    places = (results, data_dir, err)
    trained, failed = train_seeds(entry, settings, seeds, jobs, *places, **options)
    if trained:
        out.print(seeds_table(entry, trained))
        path = result_path(results, entry.name, settings.variant, seeds[0])
        say(f"results   {path.parent}", out)
    if failed:
        names = ", ".join(f"seed {k} (exit code {code})" for k, code in failed.items())
        say(f"Failed: {names}. See the messages above.", err)
        raise typer.Exit(1)


def main():
    """Run the command; an expected error prints its message in one line, not a traceback.

    Exit codes: 2 for a command line that is wrong in itself, 1 for everything else, 130 for an
    interrupt.
    """
    import sys
    import warnings

    quiet_tensorflow()
    warnings.showwarning = lambda message, *_, **__: say(f"note      {_one_line(message)}", err)
    try:
        code = app(standalone_mode=len(sys.argv) < 2)  # without arguments: the help
    except UsageError as error:
        say(f"alad: {_one_line(error)}", err)
        code = 2
    # DivergenceError is a FloatingPointError; importing it by name would import TensorFlow, which
    # costs seconds that `alad --help` has no need to spend
    except (ValueError, OSError, ImportError, FloatingPointError, MemoryError) as error:
        say(f"alad: {_one_line(error) or type(error).__name__}", err)
        code = 1
    except Exception as error:
        if not hasattr(error, "format_message"):  # typer's errors have it
            raise
        context = getattr(error, "ctx", None)
        hint = f" Try '{context.command_path} --help'." if context else ""
        message = _one_line(error.format_message())
        say(f"alad: {message}{'' if message[-1:] in '.)?' else '.'}{hint}", err)
        code = error.exit_code
    raise SystemExit(code or 0)


def _one_line(text):
    return as_options(" ".join(str(text).split()))
