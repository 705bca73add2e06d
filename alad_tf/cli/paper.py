"""The commands on the paper's tables and figures: parse, call, print."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from alad_tf.cli.lines import say
from alad_tf.experiments import RESULTS

app = typer.Typer()
out, err = Console(), Console(stderr=True)
Results = Annotated[Path, typer.Option(help="Folder of the results JSONs.")]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder with the raw data files; default ALAD_DATA_DIR, else a download."),
]
Report = Annotated[Path, typer.Option("--out", help="The report to write.")]


@app.command()
def reproduce(
    names: Annotated[
        list[str], typer.Argument(help="table1 to table8, figure2 to figure10, ours, or all.")
    ],
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Seeds of each run; default: as many as the paper.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes at a time; default: one a core.")
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(help="Runs whose name holds one of these: kdd99_alad/no_sn,class1/seed0"),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what is to be run; run nothing.")
    ] = False,
    results: Results = Path(RESULTS),
    path: Report = Path("RESULTS.md"),
    data_dir: DataDir = None,
):
    """Make the runs that tables and figures need and are not there yet; then report.

    Stop it at any time: the same command goes on from the runs' checkpoints. Runs whose data set
    cannot be had are left out and named; it is a failure (exit code 1) only if those are all.
    """
    import zoo
    from alad_tf.experiments import plan as planner

    entries = {name: zoo.entry(name) for name in zoo.list()}
    chosen = [part.strip() for part in only.split(",")] if only else None
    jobs_planned = planner.plan(names, entries, results, seeds, chosen)
    if plan:
        table = Table("run", "state")
        for job in jobs_planned:
            table.add_row(job.label, job.state)
        out.print(table)
    states = Counter(job.state for job in jobs_planned)
    counts = [f"{states[name]} {name}" for name in ("done", "stale", "to do") if states[name]]
    out.print(f"runs      {', '.join(counts) or 'none needed'}", highlight=False)
    if plan:
        return
    try:
        failed, missing = planner.run_plan(jobs_planned, results, jobs, data_dir, err)
        unmade = planner.run_steps(names, entries, results, data_dir, err)
    except KeyboardInterrupt:
        err.print("Interrupted. The same command goes on from the last checkpoints.")
        raise typer.Exit(130) from None
    _report(list(entries.values()), results, path)
    for what, reasons in (("run", missing), ("made", unmade)):
        for name, why in reasons.items():
            say(f"not {what}: {name}: {why}", err)
    if failed:
        labels = ", ".join(f"{label} (exit code {code})" for label, code in failed.items())
        say(f"Failed: {labels}. Their lines above say why.", err)
    due = {job.entry.dataset for job in jobs_planned if job.state != "done"}
    if failed or unmade or (missing and due <= set(missing)):
        raise typer.Exit(1)


@app.command()
def report(results: Results = Path(RESULTS), path: Report = Path("RESULTS.md")):
    """Render RESULTS.md, the figures, and the README's and cards' results from the JSONs."""
    import zoo

    _report([zoo.entry(name) for name in zoo.list()], results, path)


def _report(entries, results, path):
    import zoo
    from alad_tf.experiments.card import write_cards
    from alad_tf.experiments.report import write_readme, write_report

    say(f"report    {write_report(entries, results, path)}", out)
    # the README and the cards are the project's: what someone ran elsewhere does not belong there
    project = Path(zoo.__file__).resolve().parents[1]
    if results.resolve().parent == project:
        say(f"readme    {write_readme(entries, results, project / 'README.md')}", out)
        for card in write_cards(entries, results):
            say(f"card      {card}", out)
