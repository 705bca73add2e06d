"""The commands for the paper's tables and figures: parse, call, print."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from alad_tf.cli.lines import as_options, checking_usage, say
from alad_tf.experiments import RESULTS

app = typer.Typer()
# without markup: users' names are printed as they are
out = Console(markup=False, highlight=False)
err = Console(stderr=True, markup=False, highlight=False)
Jobs = Annotated[
    int | None,
    typer.Option(min=1, metavar="<int>", help="Processes at a time; default: one per core."),
]
Results = Annotated[Path, typer.Option(help="Folder of the results (JSON).")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the data set; default: ALAD_DATA_DIR (tables) or TFDS_DATA_DIR (images), "
        "or a download."
    ),
]
Report = Annotated[Path, typer.Option("--out", help="File to write the report to.")]


@app.command(rich_help_panel="Model zoo and paper")
def reproduce(
    names: Annotated[
        list[str],
        typer.Argument(
            help="table1 to table8, figure2 to figure10, ours (what the paper leaves open), or all."
        ),
    ],
    seeds: Annotated[
        int | None,
        typer.Option(min=1, metavar="<int>", help="Number of seeds; default: as in the paper."),
    ] = None,
    jobs: Jobs = None,
    only: Annotated[
        str | None,
        typer.Option(
            help="Only runs whose name contains one of these strings, such as "
            "kdd99_alad/no_sn,class1/seed0."
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show the runs without running them.")
    ] = False,
    results: Results = Path(RESULTS),
    path: Report = Path("RESULTS.md"),
    data_dir: DataDir = None,
):
    """Reproduce the paper's tables and figures.

    Trains what the chosen tables and figures still need, then writes the report.

    You can stop it at any time and run the same command again to continue. Runs whose data set is
    unavailable are skipped and listed; if no other run was left to do, the command fails
    (exit code 1).
    """
    import zoo
    from alad_tf.experiments import plan as planner
    from alad_tf.experiments.report import check_report

    entries = {name: zoo.entry(name) for name in zoo.list()}
    chosen = [part.strip() for part in only.split(",")] if only else None
    with checking_usage():
        names = planner.known(names)
    jobs_planned = planner.plan(names, entries, results, seeds, chosen)
    if plan:
        table = Table("run", "state")
        for job in jobs_planned:
            table.add_row(job.label, job.state)
        out.print(table)
    states = Counter(job.state for job in jobs_planned)
    counts = [f"{states[name]} {name}" for name in ("done", "stale", "to do") if states[name]]
    out.print(f"runs      {', '.join(counts) or 'none needed'}", soft_wrap=True)
    if plan:
        return
    check_report(results, path)  # before hours of training
    try:
        failed, missing = planner.run_plan(jobs_planned, results, jobs, data_dir, err)
        unmade = planner.run_steps(names, entries, results, data_dir, err)
    except KeyboardInterrupt:
        err.print("Interrupted. Run the same command again to continue from the last checkpoints.")
        raise typer.Exit(130) from None
    _report(list(entries.values()), results, path)
    for what, reasons in (("run", missing), ("written", unmade)):
        for name, why in reasons.items():
            say(f"not {what}: {name}: {as_options(str(why))}", err)
    if failed:
        labels = ", ".join(f"{label} (exit code {code})" for label, code in failed.items())
        say(f"Failed: {labels}. See the messages above.", err)
    due = {job.entry.dataset for job in jobs_planned if job.state != "done"}
    if failed or unmade or (missing and due <= set(missing)):
        raise typer.Exit(1)


@app.command(rich_help_panel="Model zoo and paper")
def report(results: Results = Path(RESULTS), path: Report = Path("RESULTS.md")):
    """Render RESULTS.md and the figures from the results.

    In a checkout of the project, also updates the results in the README, the documentation and the
    cards.
    """
    import zoo

    _report([zoo.entry(name) for name in zoo.list()], results, path)


def _report(entries, results, path):
    import zoo
    from alad_tf.experiments.card import write_cards
    from alad_tf.experiments.pages import write_pages
    from alad_tf.experiments.report import write_readme, write_report

    say(f"report    {write_report(entries, results, path)}", out)
    # README, pages and cards are the project's: what someone ran elsewhere does not belong there
    project = Path(zoo.__file__).resolve().parents[1]
    if results.resolve().parent == project:
        say(f"readme    {write_readme(entries, results, project / 'README.md')}", out)
        for page in write_pages(entries, results, project / "docs"):
            say(f"page      {page}", out)
        for card in write_cards(entries, results):
            say(f"card      {card}", out)
