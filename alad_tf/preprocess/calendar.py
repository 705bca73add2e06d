"""Features of dates besides elapsed time: hour, weekday, time between two dates."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import tensorflow as tf

from alad_tf.preprocess.times import DAY

MOST_PAIRS = 10  # of date columns, whose differences are features: those closest in the table
LEVEL = 0.01  # of the test whether hours and weekdays are equally frequent
WEEKS = 28 * DAY  # that training rows have to span before weekdays count
TICK = 128.0  # seconds: a day has 675, and float32 counts them exactly until 2038
PARTS = ("hour, sine", "hour, cosine", "weekday, sine", "weekday, cosine")


class Calendar:
    """Features of date columns, in addition to the elapsed seconds of each.

    Each column has the hour of day and, if the training rows span at least 28 days, the day of the
    week, both as sine and cosine. Hours or weekdays are left out if they never vary, or if all are
    equally frequent (by a chi-squared test at 1%), since then none of them is unusual. Pairs
    of columns have the seconds from the first to the second: all pairs, or the ten that
    are closest to each other in the table. All features are scaled like numbers; a gap gives the
    mean.

    Records to be scored are mostly later than all training rows. A date after the last training
    date therefore counts as that date, if it is later by no more than the span of the training
    rows; beyond that, only the excess counts.

    Args:
        dates: list of str, the columns of dates, in the table's order.
        last, span: lists of float, by column: the last training date, and the span of all of them,
            in seconds.
        hours, weekdays: lists of bool, by column: whether they are features.
        shift, scale, fill: lists of float, one per feature.
    """

    def __init__(
        self, dates=(), last=(), span=(), hours=(), weekdays=(), shift=(), scale=(), fill=()
    ):
        self.dates, self.last, self.span = list(dates), list(last), list(span)
        self.hours, self.weekdays = list(hours), list(weekdays)
        self.shift, self.scale, self.fill = list(shift), list(scale), list(fill)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Places of the two dates of each difference."""
        found = sorted(combinations(range(len(self.dates)), 2), key=lambda one: one[1] - one[0])
        return found[:MOST_PAIRS]

    def features(self) -> list[tuple[str, str]]:
        """Column and name of each feature; a difference belongs to the second of its columns."""
        found = []
        for name, hours, weekdays in zip(self.dates, self.hours, self.weekdays, strict=True):
            parts = PARTS[:2] * hours + PARTS[2:] * weekdays
            found += [(name, f"{name} ({part})") for part in parts]
        names = [(self.dates[a], self.dates[b]) for a, b in self.pairs]
        return [*found, *((b, f"{b} - {a}") for a, b in names)]

    @classmethod
    def fit(cls, dates, seconds, scaling):
        """The calendar of training rows: `seconds` (N, d), NaN for gaps; `scaling` fits columns."""
        last, span, hours, weekdays = [], [], [], []
        for column in seconds.T:
            present = column[~np.isnan(column)]
            days = np.floor(present / DAY)
            most, least = (present.max(), present.min()) if len(present) else (0.0, 0.0)
            last.append(float(most))
            span.append(float(most - least))
            hours.append(_uneven((present - days * DAY) // 3600, 24))
            weekdays.append(bool(span[-1] >= WEEKS) and _uneven(days % 7, 7))
        calendar = cls(dates, last, span, hours, weekdays)
        if not calendar.features():
            return calendar
        raw = calendar._raw(tf.constant(seconds)).numpy()
        gaps = np.isnan(raw)
        means = np.nan_to_num(np.nanmean(np.where(gaps.all(0), 0, raw), axis=0))
        shift, scale = scaling(np.where(gaps, means, raw))
        scale = np.where(scale > 0, scale, 1 / np.maximum(1, np.abs(shift)))
        calendar.shift, calendar.scale = shift.tolist(), scale.tolist()
        calendar.fill = ((means - shift) * scale).tolist()
        return calendar

    def call(self, seconds, far):
        """Features `(N, n)` float32 of dates `(N, d)` float64 or float32; pure TensorFlow."""
        if not self.features():
            return tf.zeros((tf.shape(seconds)[0], 0))
        raw, dtype = self._raw(seconds), seconds.dtype
        shift, scale, fill = (tf.constant(v, dtype) for v in (self.shift, self.scale, self.fill))
        scaled = tf.clip_by_value((raw - shift) * scale, -far, far)
        return tf.cast(tf.where(tf.math.is_nan(raw), fill, scaled), tf.float32)

    def later(self, seconds):
        """Seconds `(N, d)` after the last training date that do not count."""
        last, span = (np.array(values, np.float64) for values in (self.last, self.span))
        dtype = seconds.dtype
        high = last.astype(np.float32) if dtype == tf.float32 else last
        over = seconds - tf.constant(high, dtype) - tf.constant(last - high, dtype)
        return tf.clip_by_value(over, tf.zeros_like(over), tf.constant(span, dtype))

    def lost_in_float32(self) -> list[str]:
        """The columns whose differences float32 rounds by over a hundredth of their spread."""
        error = np.abs(self.last).max(initial=0) * 2.0**-24
        differences = zip(self.features(), self.scale, strict=True)
        return [
            c
            for (c, name), scale in differences
            if name.startswith(f"{c} - ") and error * scale > 0.01
        ]

    def _raw(self, seconds):
        columns = tf.unstack(seconds, len(self.dates), axis=1)
        found = []
        for column, hours, weekdays in zip(columns, self.hours, self.weekdays, strict=True):
            ticks, day = column / TICK, DAY / TICK
            days = tf.floor(ticks / day)
            rest = ticks - days * day
            early = tf.cast(rest < 0, rest.dtype)  # the quotient was rounded up
            days, rest = days - early, rest + early * day
            week = days - 7 * tf.floor(days / 7)
            for wanted, angle in ((hours, rest / day), (weekdays, week / 7)):
                if wanted:
                    found += [tf.sin(2 * np.pi * angle), tf.cos(2 * np.pi * angle)]
        found += [columns[b] - columns[a] for a, b in self.pairs]
        return tf.stack(found, 1)

    def state(self) -> dict:
        """JSON-able dict, empty without dates."""
        return dict(vars(self)) if self.dates else {}


def _uneven(values, count):
    """Whether whole numbers below `count` vary, and some are more frequent than others."""
    from scipy.special import chdtrc  # a slow import, which tables without dates do not need

    found = np.bincount(values.astype(int), minlength=count)
    expected = len(values) / count
    if (found > 0).sum() < 2:
        return False
    return bool(chdtrc(count - 1, ((found - expected) ** 2 / expected).sum()) < LEVEL)
