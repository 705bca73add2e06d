"""Tables and figures, planned: what a table needs, what is there already, and running the rest."""

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

from alad_tf.data import load
from alad_tf.error_analysis import examples_path
from alad_tf.experiments import EXPERIMENTS, runs_of, steps_of
from alad_tf.files import read_json
from alad_tf.jobs import run_jobs
from alad_tf.results import result_path
from alad_tf.statistics_of import write_statistics
from alad_tf.toy import run_toy

# of a result's config: found out by the run, or how it was computed
_NOT_COMPARED = ("scaling", "kept_epoch", "precision")
_FLAGS = {
    "contaminated": "--contaminated",
    "swap_halves": "--swap-halves",
    "spectral_norm": "--no-spectral-norm",
    "latent_discriminator": "--no-latent-discriminator",
}


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of a plan.

    Attributes:
        entry: the zoo's entry.
        settings: resolved `Settings`.
        state: "done"; "stale": its result is of other hyper-parameters; or "to do".
    """

    entry: object
    settings: object
    state: str

    @property
    def label(self):
        """Such as "kdd99_alad/no_sn/seed3"."""
        return f"{self.entry.name}/{self.settings.variant}/seed{self.settings.seed}"

    def words(self, results, data_dir=None):
        """The `alad` command that makes this run, or goes on with it: list of str."""
        words = ["train", self.entry.name, "--resume", f"--results={results}"]
        for field in dataclasses.fields(self.settings):
            value = getattr(self.settings, field.name)
            if field.name == "seed" or value != field.default:
                option = f"--{field.name.replace('_', '-')}={value}"
                words.append(_FLAGS.get(field.name, option))
        return words + [f"--data-dir={data_dir}"] * (data_dir is not None)


def plan(names, entries, results="results", seeds=None, only=None):
    """The runs that tables and figures need.

    Args:
        names: sequence of keys of `alad_tf.experiments.EXPERIMENTS`, or "all".
        entries: dict of the zoo's entries by name.
        results: str or Path of the results folder.
        seeds: int, how many of each; default the paper's.
        only: sequence of str; keep runs whose label holds one of them.

    Returns:
        list of `Job`, in the order they are to be run.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> import zoo
        >>> entries = {name: zoo.entry(name) for name in zoo.list()}
        >>> plan(["table7"], entries, "nowhere", seeds=1)[0].label
        'kdd99_alad/default/seed0'
    """
    jobs = []
    for run in runs_of(known(names), seeds):
        entry = entries[run.entry]
        settings = run.settings.resolve(entry)
        job = Job(entry, settings, _state(entry, settings, results))
        if not only or any(text in job.label for text in only):
            jobs.append(job)
    return jobs


def known(names):
    """The names, "all" spelt out, each once; ValueError for one that is no table or figure."""
    found = []
    for name in names:
        if name != "all" and name not in EXPERIMENTS:
            raise ValueError(f"received {name!r}; expected {', '.join(EXPERIMENTS)} or all.")
        found += EXPERIMENTS if name == "all" else [name]
    return list(dict.fromkeys(found))


def _state(entry, settings, results):
    path = result_path(results, entry.name, settings.variant, settings.seed)
    if not path.is_file():
        return "to do"
    stored = read_json(path)["config"]
    planned = json.loads(json.dumps(settings.config(entry)))  # tuples as JSON keeps them
    # A hyper-parameter that the result does not name did not exist when it was made; its default is
    # what was done then.
    same = all(planned.get(k) == v for k, v in stored.items() if k not in _NOT_COMPARED)
    return "done" if same else "stale"


def run_plan(jobs, results="results", count=None, data_dir=None, console=None):
    """Make the runs of a plan that are not done.

    A run that was killed goes on from its checkpoint. A set that cannot be had stops no other's.

    Args:
        jobs: list of `Job`.
        results: str or Path of the results folder.
        count: int, processes at a time; default one a core. On images the last bits of a run
            follow from the cores that its process has, hence from this.
        data_dir: folder of the raw files.
        console: `rich.console.Console`.

    Returns:
        `(failed, missing)`: dict of exit codes by label, and of reasons by data set.

    Raises:
        KeyboardInterrupt: after SIGINT, once all processes have ended.
    """
    due = [job for job in jobs if job.state != "done"]
    missing = {}
    for job in due:
        if job.entry.dataset not in missing:
            missing[job.entry.dataset] = _why_missing(job, data_dir)
    missing = {name: why for name, why in missing.items() if why}
    due = [job for job in due if job.entry.dataset not in missing]
    # The same package as this one: see `alad_tf.seeds.train_seeds`.
    code = f"import sys; sys.path[:] = {sys.path!r}; from alad_tf.cli import main; main()"
    commands = {
        job.label: [sys.executable, "-c", code, *job.words(results, data_dir)] for job in due
    }
    codes = run_jobs(commands, count, console) if commands else []
    return {k: code for k, code in zip(commands, codes, strict=True) if code}, missing


def _why_missing(job, data_dir):
    try:
        load(job.entry.dataset, data_dir, job.settings.normal_class)
    except Exception as error:  # whatever a download may end with; it stops no other set's runs
        return str(error).splitlines()[0]
    return None


def run_steps(names, entries, results="results", data_dir=None, console=None):
    """Do what tables and figures need besides runs, where it is not done.

    Args:
        names: sequence of keys of `EXPERIMENTS`, or "all".
        entries, results, data_dir, console: as for `plan` and `run_plan`.

    Returns:
        dict of failures by name: what could not be done and why.
    """
    failures = {}
    for name, step in steps_of(known(names)):
        if console:
            console.print(f"{name}: {step}", highlight=False)
        told = STEPS[step](name, entries, Path(results), data_dir, console)
        if told:
            failures[name] = told
    return failures


def _statistics(name, entries, results, data_dir, console):
    for dataset, why in write_statistics(results, data_dir).items():
        if console:
            console.print(f"not counted: {dataset}: {why}", highlight=False, soft_wrap=True)


def _toy(name, entries, results, data_dir, console):
    if not (results / "figure2.json").is_file():
        run_toy(results)


def _timing(name, entries, results, data_dir, console):
    if (results / "benchmarks" / "anogan.json").is_file():
        return None
    if importlib.util.find_spec("benchmarks") is None:
        return "the timing is benchmarks.anogan; run this from a checkout of the project."
    (code,) = run_jobs({name: [sys.executable, "-m", "benchmarks.anogan"]}, 1, console)
    return f"benchmarks.anogan ended with exit code {code}" if code else None


def _examples(name, entries, results, data_dir, console):
    """The example images of runs whose JSON is older than this step, from their detectors."""
    from alad_tf.runs import evaluate_run

    for job in plan([name], entries, results):
        path = examples_path(results, job.entry.name, job.settings.variant, job.settings.seed)
        if job.state != "done" or path.is_file():
            continue
        folder = Path("runs") / job.label
        if not folder.is_dir():
            return f"no example images, and no run in {folder} to make them from; train it again."
        evaluate_run(folder, job.entry, data_dir, console, results)
    return None


STEPS = {"statistics": _statistics, "toy": _toy, "timing": _timing, "examples": _examples}
