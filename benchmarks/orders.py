"""Orders with planted faults: what detectors see of a table with dates, categories and gaps.

    python -m benchmarks.orders [--seeds 0,1,2]

5,000 orders train; 100 of each kind of fault are ranked against 2,500 other orders: AUROC, and the
share that `ALADDetector` flags by its default budget. It gets the table as it is. The rivals get
standardised numbers, gaps as medians with an indicator, one-hot categories, and dates as seconds;
five neighbours also the columns that `ALADDetector` makes of the table.

A second part measures the rule by which a category that was never seen is news: on tables whose
categories are more or less skewed, the share of normal rows that it flags.
"""

import time
import warnings
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from alad_tf.detector.estimator import ALADDetector
from alad_tf.preprocess import MixedPreprocessor
from alad_tf.preprocess.base import FAR
from benchmarks import common

ROWS, TEST_ROWS, FAULTS = 5000, 2500, 100
COUNTRIES = {"DE": 4.0, "FR": 6.0, "IT": 7.0, "ES": 8.0, "NL": 5.0}  # and what freight begins at
DATES = ["ordered", "delivered"]
NEIGHBOURS = 5


def orders(count, generator):
    """A data frame of normal orders."""
    quantity = generator.geometric(0.25, count)
    price = np.exp(generator.normal(3, 0.8, count)).round(2)
    some = generator.random(count) < 0.3
    discount = np.where(some, generator.choice([0.05, 0.1, 0.2], count), 0.0)
    weight = (quantity * generator.lognormal(0, 0.3, count)).round(2)
    country = generator.choice(list(COUNTRIES), count, p=[0.4, 0.25, 0.15, 0.12, 0.08])
    base = np.array([COUNTRIES[name] for name in country])
    age = generator.normal(40, 12, count).clip(18, 90).round()
    day = np.datetime64("2025-01-01") + generator.integers(0, 365, count)
    hour = generator.normal(14, 3, count).clip(7, 22.9)
    ordered = day.astype("M8[s]") + (3600 * hour).astype(int)
    took = generator.gamma(9, 8, count).clip(20) * 3600  # seconds
    return pd.DataFrame(
        {
            "order_id": [f"{number:08x}" for number in generator.integers(0, 2**32, count)],
            "quantity": quantity,
            "price": price,
            "discount": discount,
            "total": (price * quantity * (1 - discount)).round(2),
            "weight": weight,
            "country": country,
            "freight": (base + 0.8 * weight + generator.normal(0, 0.3, count)).round(2),
            "method": generator.choice(["card", "invoice", "paypal"], count, p=[0.5, 0.2, 0.3]),
            "age": np.where(generator.random(count) < 0.05, np.nan, age),
            "ordered": ordered,
            "delivered": ordered + took.astype(int),
        }
    )


def faults(generator):
    """Faulty orders by kind: dict of data frames."""
    found = {}

    def plant(kind, change):
        table = orders(FAULTS, generator)
        found[kind] = table.assign(**change(table))

    def night(table):
        day = table["ordered"].dt.normalize()
        early = day + pd.to_timedelta(generator.integers(3600, 4 * 3600, FAULTS), "s")
        return {"ordered": early, "delivered": early + (table["delivered"] - table["ordered"])}

    plant("price times a hundred", lambda t: {k: 100 * t[k] for k in ("price", "total")})
    plant("negative quantity", lambda t: {"quantity": -t["quantity"]})
    plant("total of another order", lambda t: {"total": t["total"].to_numpy()[::-1]})
    plant("freight times three", lambda t: {"freight": 3 * t["freight"]})
    plant("weight times four", lambda t: {"weight": 4 * t["weight"]})
    plant("country never seen", lambda t: {"country": "BR"})
    plant("quantity missing", lambda t: {"quantity": np.nan})
    plant(
        "freight of another country", lambda t: {"freight": 4 + 0.8 * t["weight"], "country": "ES"}
    )
    plant(
        "delivered before ordered",
        lambda t: {"delivered": t["ordered"] - (t["delivered"] - t["ordered"])},
    )
    plant("delivered a month late", lambda t: {"delivered": t["delivered"] + pd.Timedelta(days=30)})
    plant("ordered at night", night)
    return found


class Encoded:
    """A table as the rivals get it: standardised numbers and dates, indicators, one-hot columns."""

    def __init__(self, table):
        numbers = self._numbers(table)
        self.fill = numbers.median()
        filled = numbers.fillna(self.fill)
        self.mean, self.spread = filled.mean(), filled.std()
        self.known = {name: sorted(table[name].unique()) for name in ("country", "method")}

    @staticmethod
    def _numbers(table):
        numbers = table.drop(columns=["order_id", "country", "method"])
        seconds = {k: table[k].astype("M8[s]").astype("int64") for k in DATES}
        return numbers.assign(**seconds).astype("float64")

    def of(self, table):
        numbers = self._numbers(table)
        gaps = numbers[["age"]].isna().to_numpy(float)
        scaled = ((numbers.fillna(self.fill) - self.mean) / self.spread).to_numpy()
        one_hot = [
            table[name].to_numpy()[:, np.newaxis] == np.array(values)
            for name, values in self.known.items()
        ]
        return np.concatenate([scaled, gaps, *one_hot], axis=1).astype("float64")


def distances(train, others):
    """Mean distances to the five nearest training rows, by name."""
    model = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(train)
    return {name: model.kneighbors(rows)[0].mean(1) for name, rows in others.items()}


def measure(seed):
    """One seed: a JSON-able dict of AUROC by method and kind, and the shares that are flagged."""
    generator = np.random.default_rng(seed)
    train, normal = orders(ROWS, generator), orders(TEST_ROWS, generator)
    tables = {"normal": normal, **faults(generator)}
    scores, seconds, flagged = {}, {}, {}
    for name, columns in {
        "ALADDetector": {"order_id": "ignore"},
        "ALADDetector, without dates": dict.fromkeys(["order_id", *DATES], "ignore"),
    }.items():
        begun = time.perf_counter()
        detector = ALADDetector(random_state=seed, columns=columns).fit(train)
        scores[name] = {kind: detector.anomaly_score(rows) for kind, rows in tables.items()}
        seconds[name] = time.perf_counter() - begun
        flagged[name] = {
            kind: float(detector.detector_.threshold.flags(found).mean())
            for kind, found in scores[name].items()
        }
    layer = MixedPreprocessor().fit(train, columns={"order_id": "ignore"})
    ours = {kind: layer.transform(rows) for kind, rows in tables.items()}
    scores["5-NN, in ALADDetector's columns"] = distances(layer.transform(train), ours)
    encoded = Encoded(train)
    rows, others = encoded.of(train), {kind: encoded.of(table) for kind, table in tables.items()}
    filled = {kind: np.nan_to_num(some) for kind, some in others.items()}
    scores["5-NN"] = distances(rows, filled)
    forest = IsolationForest(random_state=seed).fit(rows)
    scores["Isolation Forest"] = {k: -forest.score_samples(some) for k, some in filled.items()}
    return {
        "seed": seed,
        "seconds": seconds,
        "flagged": flagged,
        "auroc": {name: _auroc(found) for name, found in scores.items()},
        "columns": detector_table(layer),
    }


def _auroc(found):
    """AUROC of each kind of fault, and of all together, against the normal rows."""
    normal = found["normal"]
    kinds = {kind: values for kind, values in found.items() if kind != "normal"}
    kinds["all"] = np.concatenate(list(kinds.values()))
    return {
        kind: float(
            roc_auc_score(
                np.arange(len(normal) + len(values)) >= len(normal),
                np.concatenate([normal, values]).astype("float64"),
            )
        )
        for kind, values in kinds.items()
    }


def detector_table(layer):
    """What was decided for the columns: a list of dicts."""
    return layer.column_table().to_dict("records")


def new_categories(seed, rows=3000, columns=5):
    """The share of normal rows with a category that is news, by how skewed categories are.

    For tables of five columns of categories, drawn by Zipf's law from 5 to 2,000 values.
    """
    found = []
    for count in (5, 20, 60, 200, 2000):
        for exponent in (0.0, 1.0, 2.0):
            generator = np.random.default_rng([seed, count, int(10 * exponent)])
            weights = 1 / np.arange(1, count + 1) ** exponent
            draws = generator.choice(count, (2 * rows, columns), p=weights / weights.sum())
            frame = pd.DataFrame(draws, columns=[f"c{i}" for i in range(columns)])
            frame = frame.map(lambda value: f"value {value} of many").assign(x=1.0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                layer = MixedPreprocessor().fit(frame[:rows])
                encoded = layer.transform(frame[rows:])
            far = (np.abs(encoded) >= np.float32(FAR)).any(1)
            one = {"values": count, "exponent": exponent, "closed": len(layer.closed)}
            found.append({**one, "flagged": float(far.mean())})
    return found


def main(seeds: Annotated[str, typer.Option(help="Seeds, separated by commas.")] = "0,1,2"):
    """Measure, print and write results/benchmarks/orders.json."""
    runs, news = [], []
    for seed in map(int, seeds.split(",")):
        runs.append(measure(seed))
        news.append(new_categories(seed))
        common.console.print(f"seed {seed}", style="dim")
    methods, kinds = list(runs[0]["auroc"]), list(runs[0]["auroc"]["ALADDetector"])
    rows = [
        [kind, *(f"{np.mean([run['auroc'][m][kind] for run in runs]):.3f}" for m in methods)]
        for kind in kinds
    ]
    common.show("AUROC by kind of fault", ["fault", *methods], rows)
    normal = np.mean([run["flagged"]["ALADDetector"]["normal"] for run in runs])
    most = max(one["flagged"] for some in news for one in some)
    common.console.print(f"normal rows flagged: {normal:.4f}; by new categories alone: {most:.4f}")
    sizes = {"train_rows": ROWS, "test_rows": TEST_ROWS, "faults": FAULTS}
    common.write("orders", {**sizes, "runs": runs, "new_categories": news}, ("scikit-learn",))


if __name__ == "__main__":
    typer.run(main)
