"""An entry trained from several seeds: one process a seed, and what they reached together."""

import contextlib
import re
import sys

from rich.table import Table

from alad_tf.evaluate import summarize
from alad_tf.files import read_json
from alad_tf.jobs import run_jobs
from alad_tf.results import result_path


def parse_seeds(text):
    """The seeds that a text names.

    Args:
        text: str, numbers and ranges between commas; the ends of a range belong to it.

    Returns:
        list of ints in the order of the text; one that is named twice is there once.

    Raises:
        ValueError: a part is neither a number nor a range, or a range runs downwards.

    Example:
        >>> parse_seeds("0-2,7")
        [0, 1, 2, 7]
    """
    seeds = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part, re.ASCII)
        if not found:
            raise ValueError(
                f"seeds are numbers and ranges, such as 0,1,2 or 0-9 or 0-2,7; received {text!r}, "
                f"where {part!r} is neither."
            )
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise ValueError(
                f"a range of seeds runs upwards; received {part.strip()!r}. Write {last}-{first}."
            )
        seeds.update(dict.fromkeys(range(first, last + 1)))
    return list(seeds)


def as_typed(context, *without):
    """The words of a running command: its name, arguments, and options that are not the default.

    Args:
        context: `typer.Context`.
        *without: names of the parameters to leave out.

    Returns:
        list of str, for the same command to be called with.

    Example:
        >>> import typer
        >>> app = typer.Typer(add_completion=False)
        >>> @app.command()
        ... def train(context: typer.Context, name: str, seed: int = 0, epochs: int = 5):
        ...     print(as_typed(context, "seed"))
        >>> words = ["kdd99_alad", "--seed=3", "--epochs=7"]
        >>> app(words, prog_name="train", standalone_mode=False)
        ['train', 'kdd99_alad', '--epochs=7']
    """
    words = [context.info_name]
    for option in context.command.params:
        value = context.params[option.name]
        if option.name in without or value is None or value == option.default:
            continue
        if option.param_type_name == "argument":
            words.append(str(value))
        elif isinstance(value, bool):
            words += (option.opts if value else option.secondary_opts)[:1]
        else:
            words.append(f"{option.opts[0]}={value}")
    return words


def train_seeds(words, entry, settings, seeds, jobs, results, data_dir, console):
    """Train an entry from each of several seeds, in processes side by side.

    On images a seed's last bits follow from the number of cores that its process has, hence from
    `jobs`.

    Args:
        words: list of str, the `alad` command that trains one seed, without the seed.
        entry: `Entry`.
        settings: resolved `Settings`, of any of the seeds.
        seeds: list of ints.
        jobs, console: as for `alad_tf.jobs.run_jobs`.
        results: str or Path, folder that the command writes results JSONs into.
        data_dir: folder of the data; see `alad_tf.data.load`.

    Returns:
        `(trained, failed)`: list of the results of the seeds that were trained, and dict of the
        other processes' exit codes by seed.

    Raises:
        KeyboardInterrupt: after SIGINT, once all processes have ended.

    Example:
        >>> # words = ["train", "kdd99_alad"]
        >>> # train_seeds(words, entry, settings, [0, 1], 2, "results", None, Console())
    """
    import tensorflow as tf

    from alad_tf.data import load

    with contextlib.suppress(RuntimeError):  # where this process uses one already
        tf.config.set_visible_devices([], "GPU")  # they are for the others
    # Read here first: the processes would all download missing data at once, into one folder.
    load(entry.dataset, data_dir, settings.normal_class)
    # The same package as this one, wherever it came from, and not a folder of its name in the
    # working directory, which `python -c` looks into first.
    code = f"import sys; sys.path[:] = {sys.path!r}; from alad_tf.cli import main; main()"
    command = [sys.executable, "-c", code, *words]
    codes = run_jobs({f"seed {k}": [*command, f"--seed={k}"] for k in seeds}, jobs, console)
    codes = dict(zip(seeds, codes, strict=True))
    paths = [result_path(results, entry.name, settings.variant, k) for k in seeds if not codes[k]]
    return [read_json(path) for path in paths], {k: code for k, code in codes.items() if code}


def seeds_table(entry, trained):
    """F1 and AUROC of the deciding score: a row for each result, their mean and spread.

    Args:
        entry: `Entry`.
        trained: list of results, at least one.

    Returns:
        `rich.table.Table`; the spread is the sample standard deviation.

    Example:
        >>> import zoo
        >>> from alad_tf.evaluate import METRICS
        >>> results = [{"seed": 0, "metrics": {"features": dict.fromkeys(METRICS, 0.9)}}]
        >>> seeds_table(zoo.entry("kdd99_alad"), results).row_count  # the seed, the mean, the paper
        3
    """
    table, names = Table(f"score: {entry.score}", "F1", "AUROC"), ("f1", "auroc")
    for result in trained:
        values = result["metrics"][entry.score]
        table.add_row(f"seed {result['seed']}", *(f"{values[name]:.4f}" for name in names))
    summary = summarize(trained, entry.score)
    spread = (f"{summary[name]['mean']:.4f} ± {summary[name]['std']:.4f}" for name in names)
    table.add_section()
    table.add_row(f"mean ± std of {len(trained)}", *spread, style="bold")
    if entry.reported:
        values = (f"{entry.reported[n]:.4f}" if n in entry.reported else "" for n in names)
        table.add_row(f"paper ({entry.reported_in})", *values)
    return table
