"""`python -m benchmarks.report`: BENCHMARKS.md and docs/reliability.md from results/benchmarks."""

from pathlib import Path

from alad_tf.engine.files import read_json, write_text
from alad_tf.engine.markdown import markdown_table
from alad_tf.experiments.results import network_of
from benchmarks.common import beside, median_range, origin
from benchmarks.reliability import render_reliability

FOLDER = Path("results/benchmarks")
HEAD = """# Benchmarks

Rendered by `python -m benchmarks.report` from `results/benchmarks/`; do not edit by hand. Times and
ratios are medians (minimum to maximum) of measurements that alternate within one run. Commands that
compare with other libraries need `pip install -r requirements-bench.txt`. A + after a commit: the
code had uncommitted changes.
"""


def render(folder=FOLDER):
    """The report as Markdown; a benchmark without a JSON is listed as not measured.

    Args:
        folder: str or Path of the benchmarks' JSONs.

    Returns:
        str.
    """
    parts, missing = [HEAD, *_summary(Path(folder))], []
    for name, section in SECTIONS.items():
        path = Path(folder) / f"{name}.json"
        if not path.is_file():
            missing.append(f"- `python -m benchmarks.{name}`")
            continue
        data = read_json(path)
        parts.append("\n".join([*section(data), "", origin(data), ""]))
    if missing:
        parts.append("\n".join(["## Not measured yet", "", *missing, ""]))
    return "\n".join(parts)


def _summary(folder):
    """What most readers want to know, for KDD99; nothing unless all of it was measured."""
    try:
        step, scoring, latency = (
            read_json(folder / f"{name}.json")["entries"]["kdd99_alad"]
            for name in ("train_step", "scoring", "latency")
        )
        request = next(iter(latency["requests"]["1"].values()))  # in Python
        single = latency["requests"]["1"]["PyOD's ALAD"]
        slower = step["times_ours"]["PyOD"]["median"]
        pyod = scoring["ours_times"]["PyOD's decision_function"]["median"]
    except (FileNotFoundError, KeyError):  # not measured, or without the other libraries
        return []
    forest = scoring["ours_times"]["Isolation Forest's score_samples"]["median"]
    lines = [
        f"a training step takes {step['seconds']['ours, XLA']['median'] * 1e3:.1f} ms; PyOD's ALAD "
        f"takes {slower:.1f} times as long;",
        f"{scoring['rows_per_second']['ours']['median']:,.0f} rows are scored per second: "
        f"{pyod:.1f} times as many as by PyOD's ALAD, {forest:.1f} times as many as by an "
        "Isolation Forest;",
        f"one raw record is scored in {request['median'] * 1e3:.1f} ms; PyOD's ALAD scores a "
        f"preprocessed row in {single['median'] * 1e3:.1f} ms.",
    ]
    head = "With the networks for KDD99, on a CPU:"
    return ["\n".join([head, "", *(f"- {line}" for line in lines), ""])]


def _train_step(data):
    lines = ["## Training step", ""]
    for name, found in data["entries"].items():
        limit = found["limit_gflops"]
        lines += [
            f"### {name}",
            "",
            f"{found['gflop_per_step']:.4g} GFLOP of matrix products and convolutions per step. "
            f"Run by themselves (*products alone*), they reach {median_range(limit, 1, 0)} "
            "GFLOP/s on this machine; the whole step reaches "
            f"{median_range(found['share_of_limit'], 100, 0)} per cent of that rate.",
            "",
        ]
        rows = beside(found["seconds"], found["times_ours"])
        lines += [*markdown_table(["step", "ms", "relative to ours"], rows), ""]
        ratio = found.get("pyod_over_ours_both_without_spectral_norm")
        if ratio:
            lines += [
                f"Without spectral norm in either, PyOD's step takes "
                f"{median_range(ratio, 1, 2)} times as long as ours.",
                "",
            ]
    return lines + [
        "Our step is the whole step inside `fit`: both passes, spectral norm, D_zz, weight "
        "averaging and the input pipeline. PyOD's is `train_step` alone, on prepared rows, with "
        "networks no "
        "larger than ours."
    ]


def _precision(data):
    lines = ["## bfloat16", ""]
    for what, found in data["parts"].items():
        rows = beside(found["seconds"], found["times_float32"])
        lines += [
            *markdown_table([f"{data['entry']}: {what}", "ms", "relative to float32"], rows),
            "",
        ]
    return lines + [
        "The step is that of `alad train --precision`. On a CPU, bfloat16 runs without XLA, whose "
        "bfloat16 products are no faster there."
    ]


def _scoring(data):
    lines = ["## Scoring from memory", ""]
    for name, found in data["entries"].items():
        lines += [
            f"### {name}",
            "",
            f"{found['rows']:,} rows ({found['kind_of_rows']}), {found['flop_per_row'] / 1e3:,.1f} "
            f"kFLOP each; {median_range(found['share_of_limit'], 100, 0)} per cent of the rate of "
            "the matrix products by themselves.",
            "",
        ]
        rows = beside(found["rows_per_second"], found["ours_times"], 1, 0)
        lines += [*markdown_table(["scorer", "rows/s", "ours is faster by a factor of"], rows), ""]
    return lines + [
        "The rate can exceed 100 per cent because the scorer works on one block of rows per core "
        "at the same time, whereas the products by themselves run one after the other, each on "
        "all cores."
    ]


def _latency(data):
    rows, peers = [], []
    for name, found in data["entries"].items():
        for size, ways in found["requests"].items():
            rows += [
                [name, size, way, *(f"{v[key] * 1e3:.2f}" for key in ("median", "p95", "p99"))]
                for way, v in ways.items()
            ]
        peers += [[name, peer, median_range(v, 1, 1)] for peer, v in found["over_ours"].items()]
    header = ["entry", "rows", "scorer", "median", "95th percentile", "99th percentile"]
    lines = [
        "## Latency of a request",
        "",
        f"Milliseconds from raw records to scores, over {data['rounds']} rounds of "
        f"{data['requests']} requests. REST: to `alad serve` in another process, over an open "
        "connection. The other libraries get a row that is already preprocessed.",
        "",
        *markdown_table(header, rows),
        "",
        *markdown_table(["entry", "one row, scored by", "time relative to ours"], peers),
    ]
    for name, one in data["bounds"].items():
        lines += [
            "",
            f"{name}: {one['python_ms']:.2f} ms in Python (target: at most {one['at_most_ms']:g}), "
            f"{one['rest_more_ms']:.2f} ms more through REST (target: at most "
            f"{one['rest_at_most_ms']:g}).",
        ]
    return lines


def _soak(data):
    rows = [
        [name, f"{one['records']:,}", *(f"{one[key]:,.0f}" for key in ("rest_mib", "more_mib"))]
        for name, one in data["large_request"].items()
    ]
    gains = [
        [
            name,
            *(median_range(one["requests_per_s"][way], 1, 0) for way in one["requests_per_s"]),
            median_range(one["ratio"], 1, 2),
        ]
        for name, one in data["together"].items()
    ]
    load, times = data["load"], data["load"]["latency"]
    return [
        "## A server under load",
        "",
        "Memory of `alad serve` at rest, and in addition during a REST request of nearly 32 MiB:",
        "",
        *markdown_table(["entry", "records", "at rest, MiB", "in addition, MiB"], rows),
        "",
        f"Requests per second, of one record each, from {load['clients']} clients at once. "
        "*Together*: requests that arrive while others are being scored share the next call.",
        "",
        *markdown_table(["entry", "together", "one by one", "ratio"], gains),
        "",
        f"{load['clients']} clients without a pause, {load['entry']}, {load['seconds']:.0f} s: "
        f"{load['requests']:,} requests, {load['requests_per_s']:.0f} a second, median "
        f"{times['median'] * 1e3:.1f} ms, 99th percentile {times['p99'] * 1e3:.1f} ms; wrong "
        f"answers {load['wrong']}, failed requests {len(load['failed'])}; memory "
        f"{load['growth']:+.1%} from the first minutes to the last.",
    ]


def _anogan(data):
    rows = []
    for name, found in data["datasets"].items():
        for key, value in found["seconds"].items():
            ratio = found["speed_up"].get(key)
            method = key.replace("a call a step", "one call per step")
            rows.append([name, str(found["batch"]), method, median_range(value, 1e3, 2)])
            rows[-1].append(median_range(ratio, 1, 0) if ratio else "")
        paper = found["paper"]
        times = f"{paper['anogan_ms']:,}, {paper['alad_ms']}"
        last = f"~ {paper['speed_up']}"
        rows.append([name, str(found["batch"]), "paper: AnoGAN, ALAD (TITAN X)", times, last])
    header = ["data", "batch", "method", "ms per batch", "ALAD's speed-up"]
    return [
        "## Table IV: inference time against AnoGAN",
        "",
        f"AnoGAN takes {data['steps']} steps for each batch. The speed-up depends on how these are "
        "run: with one call per step, as published, or in one compiled program (tables only, "
        "because XLA's convolutions are slow inside a loop on a CPU).",
        "",
        *markdown_table(header, rows),
    ]


def _gpu(data):
    steps = [
        [
            name,
            median_range(found["seconds"]),
            median_range(found["tflops"], 1, 1),
            median_range(found["product_tflops"], 1, 0),
            median_range(found["share_of_product"], 100, 1),
        ]
        for name, found in data["steps"].items()
    ]
    head = ["precision", "ms a step", "TFLOP/s", "one large product, TFLOP/s", "share, %"]
    apart = "; ".join(f"{k} {v:.1e}" for k, v in data["beside_the_cpu"]["losses"].items())
    scores = "; ".join(f"{k} {v:.1e}" for k, v in data["beside_the_cpu"]["scores"].items())
    images = ", ".join(
        f"{median_range(found, 1, 0)} in a {name}"
        for name, found in data["images_per_second"].items()
    )
    return [
        "## CIFAR-10's networks on a GPU",
        "",
        *markdown_table(head, steps),
        "",
        f"A step has {data['gflop_per_step']:.4g} GFLOP. Images scored per second: {images}. "
        f"Largest relative difference of a loss from the CPU's in float32: {apart}; of a score: "
        f"{scores}.",
    ]


def _import_time(data):
    rows = [[name, median_range(value, 1)] for name, value in data["seconds"].items()]
    return ["## Start-up", "", *markdown_table(["operation", "s"], rows)]


def _fit_time(data):
    from benchmarks.fit_time import TITLES

    kinds = list(data["seconds"]["ALADDetector"])
    rows = [
        [
            name,
            what,
            *(median_range(data[key][name][kind], 1, 2) for kind in kinds),
        ]
        for name in data["seconds"]
        for key, what in (("seconds", "elapsed"), ("processor_seconds", "processor"))
    ]
    note = [data["note"], ""] if data["note"] else []
    return [
        "## Fit",
        "",
        "Seconds to fit a detector with default settings, in fresh processes, without imports: a "
        "first table, a second one in the same process, and a wide one. *Processor* is the time of "
        "all cores together.",
        "",
        *note,
        *markdown_table(["detector", "seconds", *(TITLES[kind] for kind in kinds)], rows),
    ]


def _contamination(data):
    shares = [f"{share:.0%}" for share in data["shares"]]
    rows = [
        [name, *(f"{value:.3f}" for value in (*one["test"], *one["own"]))]
        for name, one in data["means"].items()
    ]
    header = ["method", *(f"new, {s}" for s in shares), *(f"own, {s}" for s in shares[1:])]
    sets = {run["set"] for run in data["runs"]}
    seeds = {run["seed"] for run in data["runs"]}
    return [
        "## Anomalies among the training rows",
        "",
        f"Mean AUROC over {len(sets)} tables of ADBench and {len(seeds)} "
        f"seed{'s' * (len(seeds) > 1)}, by the share of anomalies among the training rows (at most "
        "half of a set's anomalies). *New*: new rows are ranked; *own*: the training rows "
        "themselves, as `fit_predict` does. The first three rows are `ALADDetector`'s combined "
        "score: by default, with `contamination=`, and fitted again without the tenth of the "
        "training rows that had the highest scores.",
        "",
        *markdown_table(header, rows),
    ]


def _reasons(data):
    rows = []
    for kind, one in data["means"].items():
        first, error = one["first"], one["error_over_medians"]
        shares = (f"{first[way]:.1%}" for way in ("explain", "integrated gradients"))
        errors = (f"{error[rule]:.2f}" for rule in ("explain", "reconstruction in range"))
        kind = kind.replace(" deviations", " standard deviations")
        rows.append([kind, *shares, *errors])
    header = [
        "fault", "named first", "by integrated gradients", "expected value's error",
        "reconstruction's error",
    ]  # fmt: skip
    return [
        "## Reasons",
        "",
        f"Faults were planted in one column of normal rows that were not trained on, in "
        f"{len(data['tables'])} tables of ADBench. *Named first* is how often `explain` names that "
        "column first for the combined score; the next column is the same for integrated gradients "
        "from the reconstruction. Errors are those of the expected value, and of the "
        "reconstruction clipped to the training rows' range, relative to the error of the column's "
        "median. *Another row's value* often fits just as well, and cannot be found then.",
        "",
        *markdown_table(header, rows),
    ]


def _seeds(data):
    rows = [
        [name, way, count, median_range(value, 1, 0)]
        for name, ways in data["entries"].items()
        for way, counts in ways.items()
        for count, value in counts.items()
    ]
    header = ["entry", "method", "seeds", "total steps/s"]
    return [
        "## Training several seeds at once",
        "",
        "Steps per second of all seeds together: processes with a core each, as `alad train "
        "--jobs` runs them; processes left to the scheduler (*free*); and all seeds in one "
        "compiled program.",
        "",
        *markdown_table(header, rows),
    ]


def _growth(data):
    lines = ["## Scaling", ""]
    rows = [
        [part, name, f"{curve['slope']:.2f}"]
        for part, curves in data["parts"].items()
        for name, curve in curves.items()
    ]
    lines += [
        "Slope of log time against log size, over the upper half of the sizes: at 1, time is "
        "proportional to size; at 0, it is constant.",
        "",
        *markdown_table(["size", "time of", "slope"], rows),
        "",
    ]
    return lines + [
        f"![seconds by {part}](results/benchmarks/growth_{part}.png)" for part in data["parts"]
    ]


def _orders(data):
    runs = data["runs"]
    methods, kinds = list(runs[0]["auroc"]), list(runs[0]["auroc"]["ALADDetector"])

    def mean(values):
        return f"{sum(values) / len(values):.3f}"

    rows = [
        [
            kind,
            *(mean([run["auroc"][method][kind] for run in runs]) for method in methods),
            "" if kind == "all" else mean([run["flagged"]["ALADDetector"][kind] for run in runs]),
        ]
        for kind in kinds
    ]
    normal = mean([run["flagged"]["ALADDetector"]["normal"] for run in runs])
    news = [one for some in data["new_categories"] for one in some]
    most = max(one["flagged"] for one in news)
    tables = len(data["new_categories"][0])
    return [
        "## A table of orders with planted faults",
        "",
        f"Mean AUROC over {len(runs)} seeds: {data['faults']} faulty orders of each kind against "
        f"{data['test_rows']:,} normal ones, after training on {data['train_rows']:,} normal ones. "
        "`ALADDetector` takes the table as it is, with categories, missing values and dates; the "
        "others get numbers, one-hot columns and dates as seconds, except that *5-NN, in "
        "ALADDetector's columns* gets the columns that `ALADDetector` derives. The last column is "
        "the share of faulty orders that `ALADDetector` flags by default; of normal orders, the "
        f"share is {normal}.",
        "",
        *markdown_table(["fault", *methods, "flagged"], rows),
        "",
        "A new category is flagged in columns where new ones are not expected. On "
        f"{tables} kinds of tables, with five columns of more or less skewed categories each, this "
        f"rule flags at most {most:.2%} of the normal rows.",
    ]


def _picture_speed(data):
    rates = data["pictures a second"]
    return [
        "## Images with pretrained features",
        "",
        f"`ALADDetector(features=...)` with {network_of(data)} on images of 224 x 224 pixels. "
        f"A fit on {data['training pictures']:,} images took "
        f"{median_range(data['seconds to fit'], 1, 0)} s. Scoring is limited by the network, which "
        "sees one image at a time, so that an image's score does not depend on others:",
        "",
        *markdown_table(
            ["images a second", ""],
            [
                ["the network alone", median_range(rates["network"], 1, 1)],
                ["scoring", median_range(rates["scoring"], 1, 1)],
                ["ratio", median_range(data["scoring beside the network"], 1, 2)],
            ],
        ),
        "",
        "The ratio can exceed 1 because scoring works on one image per core at the same time, "
        "whereas the network alone takes one image after the other, each on all cores.",
        "",
        "[RESULTS.md](RESULTS.md) shows how well images are ranked.",
    ]


SECTIONS = {
    "train_step": _train_step,
    "precision": _precision,
    "scoring": _scoring,
    "latency": _latency,
    "soak": _soak,
    "anogan": _anogan,
    "gpu": _gpu,
    "import_time": _import_time,
    "fit_time": _fit_time,
    "contamination": _contamination,
    "reasons": _reasons,
    "seeds": _seeds,
    "growth": _growth,
    "orders": _orders,
    "picture_speed": _picture_speed,
}

if __name__ == "__main__":
    print(write_text("BENCHMARKS.md", render()))
    print(write_text("docs/reliability.md", render_reliability(FOLDER)))
