"""MixedPreprocessor: tables with columns of all kinds and missing values, to one vector a row."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from alad_tf.data.cells import MARKS
from alad_tf.preprocess.base import (
    FAR,
    MISSING,
    ScalingPreprocessor,
    among,
    fit_scaling,
    likeliest,
    one_hot,
)
from alad_tf.preprocess.calendar import Calendar
from alad_tf.preprocess.columns import (
    MOST_CATEGORIES,
    as_categories,
    as_values,
    side_by_side,
)
from alad_tf.preprocess.containers import read_table
from alad_tf.preprocess.kinds import (
    CATEGORY,
    DATE,
    DURATION_,
    HASH,
    IGNORE,
    NUMBER,
    Decision,
    checked_choices,
    decide,
    tells_rows_apart,
)
from alad_tf.preprocess.times import DAY, iso_text

NEW_GAPS = ("flag", "refuse")  # what is done with a gap in a column that had none
NEW_CATEGORIES = 1 / 200  # share of normal rows that may be flagged for a new category
BUCKETS = 32  # of a column of kind "hash"
HASHED = "(hashed)"  # a reconstruction of it
CONVERT = "Convert dates with pandas.to_datetime, and remove units from numbers. "


@keras.saving.register_keras_serializable(package="alad_tf")
class MixedPreprocessor(ScalingPreprocessor):
    """Infers the kind of each column, fills missing values, encodes and scales.

    The training rows decide the kind of each column (see `fit`), and later rows are read
    accordingly, whatever their types. `column_table` shows the decisions. Columns are matched by
    name, in any order; input without names is matched by position, with scikit-learn's warning.

    - "number": numbers and bools, including Decimals and numbers stored as objects, and text in
      which every cell is a number (with a decimal comma, if it cannot be read otherwise) and none
      is a code such as 007.
    - "date": dates and times of any type and resolution, periods (their start), and ISO 8601 text.
      They become seconds since 1970-01-01, in UTC if they have a time zone; plain numbers are taken
      as such seconds. Exports take them in float64. Features are the seconds, scaled like numbers,
      and those of `alad_tf.preprocess.calendar.Calendar`: hour, weekday, time between two columns.
    - "duration": durations and times of day, also as text; they become seconds and are then treated
      as numbers.
    - "category": text, intervals and pandas categories of any type.
    - "hash": text in 32 buckets, one-hot; for columns with many values that matter.
    - "ignore": left out. Identifiers and free text are left out by default, with a warning: text in
      which more than half of at least 20 rows have a value that no other row has.

    Numbers are scaled. A gap (a missing value) gets the training rows' median, and a column that
    has gaps in the training rows also gets an indicator, 1 where there is one. A gap in a column
    that had none, of numbers or of text, is treated as an extreme value, or refused, as `missing`
    says. Categories become one-hot blocks of their 64 most frequent values; a gap is
    a value of its own (and so is empty text). A new value is treated as extreme if the column is
    closed. A column is closed if it has at most 64 values in the training rows and
    normal rows will rarely have a new one. How rarely is estimated by the share of rows with a
    value that no other row has (Good and Turing); summed over all closed columns, this share is at
    most 0.5%. In other columns a new value gives zeros. Columns that never vary give 0;
    a later value c' instead of the constant c gives (c' - c) / max(1, |c|), a later date the days
    between.

    Args:
        scaling: "standard", "minmax" or "none", for the numbers.
        names: list of str, all columns in the table's order, from a state; None before `fit`.
        vocabularies: dict of lists of str by categorical column, likewise.
        fill: `(n,)` medians of the numeric columns, likewise.
        gaps: list of bool `(n,)`, which of them have an indicator, likewise.
        shift, scale: `(n,)`, likewise.
        missing: "flag" or "refuse", what to do with a gap in a column that had none in the training
            rows.
        closed: list of str, the closed categorical columns, from a state.
        kinds: dict by column of `alad_tf.preprocess.kinds.Decision` states, likewise.
        calendar: dict, the state of a `Calendar`, likewise.
        hashed: dict of bools by column of kind "hash", whether it had gaps, likewise.
        **kwargs: `name` of the layer.

    Raises:
        ValueError: if `scaling` or `missing` is unknown.

    Example:
        >>> table = pd.DataFrame({"size": [1.0, None, 3.0], "kind": ["a", "b", None]})
        >>> layer = MixedPreprocessor().fit(table)
        >>> layer.feature_names
        ['size', 'size (missing)', 'kind=(missing)', 'kind=a', 'kind=b']
        >>> layer.transform(table)[1].tolist()
        [0.0, 1.0, 0.0, 0.0, 1.0]
    """

    kind = "mixed"
    accepts_gaps = True

    def __init__(
        self,
        scaling="standard",
        names=None,
        vocabularies=None,
        fill=None,
        gaps=None,
        shift=None,
        scale=None,
        missing="flag",
        closed=(),
        kinds=None,
        calendar=None,
        hashed=None,
        **kwargs,
    ):
        super().__init__(scaling, shift, scale, **kwargs)
        if missing not in NEW_GAPS:
            raise ValueError(f"received missing={missing!r}; expected one of {NEW_GAPS}.")
        self.missing = missing
        self.names = None if names is None else [str(name) for name in names]
        self.vocabularies = {k: list(v) for k, v in (vocabularies or {}).items()}
        self.fill = np.asarray([] if fill is None else fill, np.float64)
        self.gaps = np.asarray([] if gaps is None else gaps, bool)
        self.closed = list(closed)
        self.kinds = {name: Decision(**one) for name, one in (kinds or {}).items()}
        self.calendar = Calendar(**(calendar or {}))
        self.hashed = dict(hashed or {})
        self._new = {}  # by column, the share of rows that may hold a new category

    @property
    def numeric(self) -> list[str]:
        """Names of the columns that are numbers: also dates and durations, in seconds."""
        self._require_fitted()
        others = {*self.vocabularies, *self.hashed, *self.ignored}
        return [name for name in self.names if name not in others]

    @property
    def texts(self) -> list[str]:
        """Names of the columns that are text."""
        return [*self.vocabularies, *self.hashed]

    @property
    def ignored(self) -> list[str]:
        """Names of the columns that are left out, which later rows need not have."""
        return [name for name, one in self.kinds.items() if one.kind == IGNORE]

    @property
    def written(self) -> list[str]:
        """Names of the columns that files may store as numbers or as text: dates and durations."""
        return [name for name, one in self.kinds.items() if one.kind in (DATE, DURATION_)]

    @property
    def named(self) -> bool:
        """Whether it was fitted on named columns, not on an array of numbers."""
        other = any(one.kind != NUMBER for one in self.kinds.values())
        counted = self.names == [f"x{i}" for i in range(len(self.names))]
        return bool(self.vocabularies) or other or not counted

    @property
    def groups(self) -> dict[str, list[int]]:
        """Which output columns each raw column became: dict of lists of ints."""
        found = super().groups
        return {name: found[name] for name in self.names if name in found}

    def _blocks(self) -> list[tuple[str, list[str]]]:
        numeric = self.numeric
        gaps = [name for name, gap in zip(numeric, self.gaps, strict=True) if gap]
        one_hot = [(n, [f"{n}={v}" for v in known]) for n, known in self.vocabularies.items()]
        one_hot += [(n, [f"{n} (bucket {b})" for b in range(BUCKETS)]) for n in self.hashed]
        marks = [(name, [f"{name} (missing)"]) for name in gaps]
        times = [(column, [feature]) for column, feature in self.calendar.features()]
        return [*((name, [name]) for name in numeric), *marks, *times, *one_hot]

    def _decision(self, name) -> Decision:
        """What a column is; earlier versions kept numbers and categories alone."""
        kind = CATEGORY if name in self.vocabularies else NUMBER
        return self.kinds.get(name) or Decision(kind, "")

    def column_table(self) -> pd.DataFrame:
        """How each column is treated.

        Returns:
            `pandas.DataFrame` with a row for each column of `fit`, in that order: "column", "kind"
            (one of `alad_tf.preprocess.kinds.KINDS`), "features" (int, how many numbers it
            becomes), "reason" (str, why it is treated like this).

        Example:
            >>> layer = MixedPreprocessor().fit({"size": [1.0, None], "kind": ["a", "b"]})
            >>> layer.column_table().to_dict("records")[0]["reason"]
            'numbers, from 1 to 1; 1 gap'
        """
        self._require_fitted()
        groups = self.groups
        found = [(name, self._decision(name), len(groups.get(name, ()))) for name in self.names]
        rows = [(name, one.kind, count, one.reason) for name, one, count in found]
        return pd.DataFrame(rows, columns=["column", "kind", "features", "reason"])

    def from_request(self, request: dict[str, tf.Tensor]) -> dict:
        columns = super().from_request(request)
        if not isinstance(columns, dict):
            return {"numbers": columns, "categories": []}
        numbers = [columns[name] for name in self.numeric]
        count = tf.shape(next(iter(columns.values())))[0]
        return {
            "numbers": _side_by_side(numbers) if numbers else tf.zeros((count, 0)),
            "categories": [columns[name] for name in self.texts],
        }

    def request(self, records) -> dict[str, np.ndarray]:
        """Raw records in the form that an export takes: dates and durations are seconds.

        Args:
            records: dict or DataFrame of columns (N,).

        Returns:
            dict of arrays (N,) by input.

        Example:
            >>> layer = MixedPreprocessor().fit({"day": ["2024-01-31", "2024-02-01"]})
            >>> layer.request({"day": ["1970-01-02"]})
            {'day': array([86400.])}
        """
        columns, specs = self.input_columns(), self.signature()
        if columns is None:
            return super().request(records)
        found = {}
        for name, column in columns.items():
            found[name] = np.asarray(records[column])
            if column not in self.texts and found[name].dtype.kind not in "biuf":
                (values,) = read_table({column: records[column]}).columns
                numbers = as_values(values, column, self._decision(column))
                found[name] = numbers.astype(specs[name].dtype.as_numpy_dtype)
        return found

    def _input_dtypes(self) -> list[tf.DType]:
        """As for other numbers, and float64 for dates: their hours and differences are small."""
        found = zip(self.numeric, super()._input_dtypes(), strict=True)
        return [tf.float64 if name in self.calendar.dates else dtype for name, dtype in found]

    def lost_in_float32(self) -> list[str]:
        """The columns that float32 rounds by over a hundredth of their spread.

        Returns:
            list of str: columns of numbers, and columns of dates, for the time between two of them.

        Example:
            >>> MixedPreprocessor().fit({"x": [1e9, 1e9 + 1]}).lost_in_float32()
            ['x']
        """
        return [*super().lost_in_float32(), *self.calendar.lost_in_float32()]

    def sample(self, count: int, reach: float = 1):
        found = super().sample(count, reach)
        texts = {name: [*"abc"] + ([""] if gaps else []) for name, gaps in self.hashed.items()}
        chosen = np.random.default_rng(count)
        return found | {k: chosen.choice(v, count) for k, v in texts.items()} if texts else found

    def decode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        groups, numeric = self.groups, self.numeric
        numbers = self._unscale(x[:, [groups[name][0] for name in numeric]])
        columns = dict(zip(numeric, numbers.T, strict=True))
        columns |= {k: likeliest(x[:, groups[k]], known) for k, known in self.vocabularies.items()}
        columns |= {name: np.full(len(x), HASHED) for name in self.hashed}
        return self._dated({name: columns[name] for name in groups})

    def _dated(self, columns):
        """Columns with the seconds of dates as text."""
        dates = self.calendar.dates
        return {k: iso_text(v, MISSING) if k in dates else v for k, v in columns.items()}

    def raw_columns(self, x) -> dict[str, np.ndarray]:
        clean, numeric = self.check(x), self.numeric
        found = dict(zip(numeric, clean["numbers"].T, strict=True))
        found |= dict(zip(self.texts, clean["categories"].T, strict=True))
        return self._dated({name: found[name] for name in self.names if name in found})

    def fit(self, x, gaps_from=None, columns=None) -> MixedPreprocessor:
        """Decide the kinds of columns, and learn medians, vocabularies and scaling.

        Args:
            x: `(N, d)` array or list of rows, NaN or None for gaps; or with names: a DataFrame of
                pandas, Polars or Arrow, a dict of `(N,)` columns, a list of dicts, a structured
                array.
            gaps_from: None; or all rows: those of x, and others that are held out of training.
                Kinds of columns are decided by all rows, and gaps and categories in any of them
                count as seen.
            columns: dict of kinds by column, from `alad_tf.preprocess.kinds.KINDS`, that replace
                the inferred ones; None for none.

        Returns:
            the layer itself.

        Raises:
            ValueError: if x is not a table or has no rows or columns, numbers are infinite, two
                columns have the same name, a few cells of a numeric column are text, or a column or
                kind in `columns` is unknown.
            RuntimeError: if it is fitted already.

        Warns:
            UserWarning: if identifiers or free text are left out, or float64 rounds different
                integers to the same number.
        """
        if self.fitted:
            raise RuntimeError(
                "This MixedPreprocessor is fitted already. Make a new one for another table."
            )
        table = read_table(x).named()
        more = gaps_from is not None and gaps_from is not x
        whole = table | read_table(gaps_from).named() if more else table
        chosen = checked_choices(columns, list(table))
        kinds = {name: decide(whole[name], name, chosen.get(name)) for name in table}
        for name in [name for name, one in kinds.items() if one.kind in (CATEGORY, HASH)]:
            kinds[name] = self._learn_text(name, table[name], whole[name], kinds[name], chosen)
        self.names, self.kinds = list(table), kinds
        self._close()
        own = [name for name in self.ignored if name not in chosen]
        if len(self.ignored) == len(table):
            raise ValueError(
                f"All columns are left out: {self._reasons(self.ignored)}. Choose another "
                f"kind for at least one of them, such as columns={{{self.ignored[0]!r}: "
                "'category'}."
            )
        if own:
            shown = [kinds[name].reason.startswith(("dates", "numbers")) for name in own]
            advice = CONVERT if any(shown) else ""
            warnings.warn(
                f"left out {self._reasons(own)}. {advice}To use such a column, choose its kind: "
                f"columns={{{own[0]!r}: 'hash'}} or 'category'. To leave it out without this "
                f"warning, use columns={{{own[0]!r}: 'ignore'}}.",
                stacklevel=2,
            )
        used = [n for n in self.names if kinds[n].kind in (NUMBER, DATE, DURATION_)]
        values = {name: as_values(table[name], name, kinds[name]) for name in used}
        block = side_by_side(values, len(next(iter(table.values()))))
        missing = np.isnan(block)
        self.gaps = missing.any(axis=0)
        for place in np.flatnonzero(~self.gaps) if more else ():
            name = used[place]
            self.gaps[place] = np.isnan(as_values(whole[name], name, kinds[name])).any()
        present = np.where(missing.all(axis=0), 0, block)
        self.fill = np.nanmedian(present, axis=0)
        filled = np.where(missing, self.fill, block)
        self.range = np.array([filled.min(axis=0), filled.max(axis=0)])
        shift, scale = fit_scaling(filled, self.scaling)
        dates = np.array([kinds[name].kind == DATE for name in used], bool)
        if self.scaling == "none":  # seconds since the first
            shift = np.where(dates, np.nanmin(present, axis=0, initial=np.inf), shift)
        # another value in a column that never varied is extreme: it counts in the column's own unit
        unit = np.where(dates, DAY, np.maximum(1, np.abs(shift)))
        self._set_scaling(shift, np.where(scale > 0, scale, 1 / unit))
        places = np.flatnonzero(dates)
        self.calendar = Calendar.fit(
            [used[place] for place in places],
            block[:, places],
            lambda features: fit_scaling(features, self.scaling),
        )
        self._note_ranges(used, present, missing.sum(axis=0))
        return self

    def _learn_text(self, name, column, whole, decision, chosen):
        """The vocabulary of a column of text; returns the decision, with its reason."""
        texts = pd.Series(as_categories(column, name))
        values = texts if whole is column else pd.Series(as_categories(whole, name))
        counts = values.value_counts()
        gaps = MISSING in counts.index
        what = f"{len(counts) - gaps:,} values" + _gaps(counts.get(MISSING, 0))
        if decision.kind == HASH:
            self.hashed[name] = gaps
            return replace(decision, reason=f"{decision.reason}; {what} in {BUCKETS} buckets")
        own = None if name in chosen else tells_rows_apart(counts.drop(MISSING, errors="ignore"))
        if own:
            return Decision(IGNORE, own)
        most = list(texts.value_counts().index)
        most += [value for value in values.unique() if value not in set(most)]
        if gaps:  # gaps that were seen are not news, if rare
            most = [MISSING, *(value for value in most if value != MISSING)]
        self.vocabularies[name] = sorted(most[:MOST_CATEGORIES])
        if len(most) <= MOST_CATEGORIES:
            self._new[name] = (counts.drop(MISSING, errors="ignore") == 1).sum() / len(values)
        else:
            what += f", of which the {MOST_CATEGORIES} most frequent are used"
        return replace(decision, reason=f"{decision.reason}; {what}")

    def _close(self):
        """Decide which columns are closed, starting with those least likely to have a new value."""
        expected = 0.0
        for name in sorted(self._new, key=self._new.get):
            expected += self._new[name]
            if expected <= NEW_CATEGORIES:
                self.closed.append(name)
        self.closed.sort(key=self.names.index)
        for name in self.vocabularies:
            news = "is flagged" if name in self.closed else "counts as none of these"
            one = self.kinds[name]
            self.kinds[name] = replace(one, reason=f"{one.reason}; a new value {news}")

    def _reasons(self, names):
        some = "; ".join(f"{name!r} ({self.kinds[name].reason})" for name in names[:5])
        return some + (f"; and {len(names) - 5} more" if len(names) > 5 else "")

    def _note_ranges(self, used, present, gaps):
        """Add the range of numbers, and their gaps, to the reasons."""
        if not used:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            least, most = np.nanmin(present, axis=0), np.nanmax(present, axis=0)
        dates = dict(
            zip(self.calendar.dates, iso_text(np.array(self.calendar.last), ""), strict=True)
        )
        for name, first, last, count in zip(used, least, most, gaps, strict=True):
            one = self.kinds[name]
            if name in dates:
                shown = f"from {iso_text(np.array([first]), '')[0]} to {dates[name]}"
            else:
                digits = 6 if f"{first:.6g}" != f"{last:.6g}" else 15
                shown = f"from {first:.{digits}g} to {last:.{digits}g}"
            reason = f"{one.reason}, {shown}{_gaps(count)}"
            if count == len(present):
                reason = "empty in all training rows"
            self.kinds[name] = replace(one, reason=reason)

    def check(self, x) -> dict[str, np.ndarray]:
        """Check raw rows.

        Args:
            x: rows, as for `fit`.

        Returns:
            dict: "numbers" `(N, n)` float64 with NaN for gaps, "categories" `(N, c)` text.

        Raises:
            ValueError: as for `fit`, or if columns are missing or have text instead of numbers.
            RuntimeError: if it is not fitted.

        Warns:
            UserWarning: if columns are ignored because the training rows did not have them, or only
                one side has names.
        """
        self._require_fitted()
        columns = read_table(x).select(self.names, type(self).__name__, optional=self.ignored)
        length = len(next(iter(columns.values())))
        numbers = {k: as_values(columns[k], k, self._decision(k)) for k in self.numeric}
        texts = [as_categories(columns[k], k, self.vocabularies.get(k, ())) for k in self.texts]
        empty = np.zeros((length, 0), dtype="<U1")
        numbers = side_by_side(numbers, length)
        if self.missing == "refuse":
            self._refuse_new_gaps(numbers, texts)
        return {"numbers": numbers, "categories": np.stack(texts, axis=1) if texts else empty}

    def _refuse_new_gaps(self, numbers, texts) -> None:
        columns = zip(self.numeric, np.isnan(numbers).T, self.gaps, strict=True)
        missing = {name: rows for name, rows, seen in columns if not seen}
        for (name, known), text in zip(self.vocabularies.items(), texts, strict=False):
            if MISSING not in known:
                missing[name] = text == MISSING
        for (name, gaps), text in zip(
            self.hashed.items(), texts[-len(self.hashed) :], strict=False
        ):
            if not gaps:
                missing[name] = text == MISSING
        for name, rows in missing.items():
            if np.any(rows):
                raise ValueError(
                    f"column {name!r} has {int(np.sum(rows))} missing value(s), the first in "
                    f"row {int(np.argmax(rows))}, but had none in the training rows, and "
                    'missing="refuse" was chosen. Fill in or drop these rows, or fit with '
                    'missing="flag".'
                )

    def call(self, inputs: Mapping[str, tf.Tensor], double: bool = True) -> tf.Tensor:
        """Encodes what `check` returned; pure TensorFlow.

        "categories" may be a list of `(N,)` columns as well, which other runtimes than TensorFlow
        need: TensorFlow Lite stacks no text.
        """
        self._require_fitted()
        dtype = tf.float64 if double else tf.float32
        news = np.float32(FAR if self.missing == "flag" else np.nan)
        numbers = tf.cast(inputs["numbers"], dtype)
        missing = tf.math.is_nan(numbers)
        filled = tf.where(missing, tf.constant(self.fill, dtype), numbers)
        scaled = self._scaled(filled, double)
        dates = np.flatnonzero([name in self.calendar.dates for name in self.numeric])
        if len(dates):
            later = self.calendar.later(tf.gather(filled, dates, axis=1))
            later *= tf.constant(self._numbers("scale")[dates], dtype)
            places = np.eye(len(self.numeric), dtype=np.float32)[dates]
            scaled -= tf.matmul(tf.cast(later, tf.float32), places)
        blocks = [tf.where(missing & ~self.gaps, news, scaled)]
        if self.gaps.any():
            marks = tf.gather(missing, np.flatnonzero(self.gaps), axis=1)
            blocks.append(tf.cast(marks, tf.float32))
        if len(dates):
            blocks.append(self.calendar.call(tf.gather(numbers, dates, axis=1), FAR))
        texts = inputs["categories"]
        if not isinstance(texts, (list, tuple)):
            texts = tf.unstack(texts, len(self.texts), axis=1)
        columns = dict(zip(self.texts, texts, strict=True))
        for name, known in self.vocabularies.items():
            unknown = FAR if name in self.closed else 0.0
            # in requests "" is a gap
            blocks.append(one_hot(columns[name], known, MISSING, news, unknown))
        for name, gaps in self.hashed.items():
            column = tf.reshape(columns[name], (-1, 1))
            gap = among(column, MARKS | {MISSING})
            buckets = tf.strings.to_hash_bucket_fast(tf.where(gap, MISSING, column), BUCKETS)
            block = tf.one_hot(tf.reshape(buckets, (-1,)), BUCKETS)
            blocks.append(block if gaps else tf.where(gap, news, block))
        return tf.concat(blocks, axis=1)  # (N, output_dim)

    def _own_config(self) -> dict:
        return {
            "names": self.names,
            "vocabularies": self.vocabularies if self.fitted else None,
            "fill": self.fill.tolist(),
            "gaps": self.gaps.tolist(),
            "missing": self.missing,
            "closed": self.closed,
            "kinds": {name: one.state() for name, one in self.kinds.items()},
            "calendar": self.calendar.state(),
            "hashed": self.hashed,
            **super()._own_config(),
        }


def _gaps(count) -> str:
    return f"; {count:,} gap{'s' * bool(count > 1)}" if count else ""


def _side_by_side(columns: list[tf.Tensor]) -> tf.Tensor:
    """Columns `(N,)` as `(N, n)`, of float64 if one of them is."""
    dtype = tf.float64 if any(c.dtype == tf.float64 for c in columns) else columns[0].dtype
    return tf.stack([tf.cast(column, dtype) for column in columns], 1)
