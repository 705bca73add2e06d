"""The `alad` command: parse, call, print."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is imported

from pathlib import Path  # noqa: E402
from typing import Annotated  # noqa: E402

import typer  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.markdown import Markdown  # noqa: E402
from rich.table import Table  # noqa: E402

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Adversarially Learned Anomaly Detection: train, evaluate, describe.",
)
out, err = Console(), Console(stderr=True)

DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder with the raw data files; default ALAD_DATA_DIR, else a download."),
]
Entry = Annotated[str, typer.Argument(help="A zoo entry; `alad list` shows them.")]


@app.command("list")
def list_entries():
    """List the zoo's entries."""
    import zoo
    from zoo.presets import variants

    table = Table("entry", "source", "dataset", "pretrained", "summary")
    for name in zoo.list():
        entry, pretrained = zoo.entry(name), ", ".join(variants(name))
        table.add_row(name, entry.source, entry.dataset, pretrained, entry.summary)
    out.print(table)


@app.command()
def describe(entry: Entry):
    """Show an entry: networks layer by layer, hyper-parameters, reported result."""
    import zoo

    text = zoo.describe(entry)
    out.print(Markdown(text) if out.is_terminal else text, markup=False, highlight=False)


@app.command()
def train(
    entry: Entry,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, noise, dropout, shuffling.")] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: the entry's.")] = None,
    out_dir: Annotated[
        Path | None,
        typer.Option("--out", help="Run folder; default runs/ENTRY/VARIANT/seedN."),
    ] = None,
    results: Annotated[Path, typer.Option(help="Folder of the results JSONs.")] = Path("results"),
    data_dir: DataDir = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the run folder's newest checkpoint.")
    ] = False,
    contaminated: Annotated[
        bool, typer.Option("--contaminated", help="Leave anomalies in the training rows.")
    ] = False,
    spectral_norm: Annotated[bool, typer.Option(help="Spectral normalisation (ablation).")] = True,
    latent_discriminator: Annotated[bool, typer.Option(help="Play D_zz's game (ablation).")] = True,
    scaling: Annotated[
        str | None, typer.Option(help="standard, minmax or none (raw); default: the data set's.")
    ] = None,
    normal_class: Annotated[
        str | None, typer.Option(help="Name or number of an image set's normal class.")
    ] = None,
    pair_axis: Annotated[
        str | None, typer.Option(help="Where D_xx joins two images: height or channels.")
    ] = None,
    stopping: Annotated[
        str | None,
        typer.Option(
            help="fixed: all epochs; last: stop when the validation score stalls, keep the last "
            "weights (the authors' code); best: the same, restore the best. Default: the entry's."
        ),
    ] = None,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Epochs without a better validation score.")
    ] = None,
    checkpoint_every: Annotated[
        float, typer.Option(min=0, help="Seconds between checkpoints; 0: every epoch.")
    ] = 30.0,
):
    """Train an entry by the paper's protocol; writes a detector and one results JSON."""
    import zoo
    from alad_tf import runs
    from alad_tf.results import result_path
    from alad_tf.settings import Settings

    chosen = zoo.entry(entry)
    if chosen.method != "alad":
        raise ValueError(
            f"{entry} holds the networks and hyper-parameters of {chosen.source}; `alad train` "
            "trains the entries whose names end in _alad."
        )
    settings = Settings(
        seed=seed,
        epochs=epochs,
        contaminated=contaminated,
        spectral_norm=spectral_norm,
        latent_discriminator=latent_discriminator,
        scaling=scaling,
        normal_class=normal_class,
        pair_axis=pair_axis,
        stopping=stopping,
        patience=patience,
    ).resolve(chosen)
    try:
        result, folder = runs.train(
            chosen, settings, out_dir, results, data_dir, resume, checkpoint_every, err
        )
    except KeyboardInterrupt:
        err.print("Interrupted. The same command with --resume goes on from the last checkpoint.")
        raise typer.Exit(130) from None
    out.print(_metrics_table(chosen, result["metrics"], result["untrained"]))
    path = result_path(results, entry, settings.variant, seed)
    out.print(f"detector  {folder / runs.DETECTOR}\nresult    {path}", highlight=False)


@app.command()
def evaluate(
    run_dir: Annotated[Path, typer.Argument(help="A folder that `alad train` wrote.")],
    data_dir: DataDir = None,
    by_label: Annotated[
        bool, typer.Option("--by-label", help="Count the flagged rows of each class, too.")
    ] = False,
    results: Annotated[
        Path, typer.Option(help="Folder that the counts by class are written to.")
    ] = Path("results"),
):
    """Score the test rows again with a run's saved detector."""
    import zoo
    from alad_tf import runs
    from alad_tf.results import write_flagged

    run = runs.read_run(run_dir)
    entry = zoo.entry(run["entry"])
    measured, flagged = runs.evaluate_run(run_dir, entry, data_dir)
    out.print(_metrics_table(entry, measured))
    if not by_label:
        return
    if flagged is None:
        raise ValueError(f"{entry.dataset} has no classes to count by; leave --by-label out.")
    table = Table("class", "training rows", "test rows", *measured)
    for row in flagged:
        counts = [f"{row['flagged'][name]:,}" for name in measured]
        table.add_row(str(row["label"]), f"{row['train_rows']:,}", f"{row['test_rows']:,}", *counts)
    out.print("Test rows called anomalous, by class and score:", table)
    out.print(f"counts    {write_flagged(results, run, flagged)}", highlight=False)


@app.command()
def report(
    results: Annotated[Path, typer.Option(help="Folder of the results JSONs.")] = Path("results"),
    path: Annotated[Path, typer.Option("--out", help="File to write.")] = Path("RESULTS.md"),
):
    """Render RESULTS.md and the model cards' results from the results JSONs."""
    import zoo
    from alad_tf.report import write_report
    from zoo.card import write_cards

    entries = [zoo.entry(name) for name in zoo.list()]
    out.print(f"report    {write_report(entries, results, path)}", highlight=False)
    for card in write_cards(entries, results):
        out.print(f"card      {card}", highlight=False)


@app.command()
def demo(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder to write.")] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(min=0)] = 0,
):
    """Train on a table that needs no download and compare, in about a minute."""
    import zoo
    from alad_tf.demo import run_demo

    result = run_demo(zoo.entry("breast_cancer_alad"), out_dir, seed, err)
    rows = result["protocol"]
    out.print(
        f"Wisconsin breast cancer: {rows['train']} benign rows train, {rows['validation']} set the "
        f"threshold; {rows['test']} rows test, {rows['anomalies']} of them malignant.",
        highlight=False,
    )
    table = _table("model")
    for name, values in result["metrics"].items():
        table.add_row(name, *_cells(values))
    out.print(table)
    for name, path in result["files"].items():
        out.print(f"{name:16}{path.resolve()}", highlight=False, soft_wrap=True)


def _table(first):
    return Table(first, *("precision", "recall", "F1", "AUROC", "AUPRC"))


def _cells(values):
    from alad_tf.evaluate import METRICS

    return [f"{values[name]:.4f}" if name in values else "" for name in METRICS]


def _metrics_table(entry, measured, untrained=None):
    table = _table("score")
    for name, values in measured.items():
        table.add_row(name, *_cells(values))
    for name, values in (untrained or {}).items():
        table.add_row(f"{name}, untrained", *_cells(values), style="dim")
    if entry.reported:
        table.add_row(f"paper ({entry.reported_in})", *_cells(entry.reported))
    return table


def main():
    """Run the command; an expected error prints its message, not a traceback."""
    try:
        app()
    # DivergenceError is a FloatingPointError; importing it by name would import TensorFlow, which
    # costs seconds that `alad --help` has no need to spend
    except (ValueError, OSError, FloatingPointError) as error:
        err.print(f"alad: {error}", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(2) from None
