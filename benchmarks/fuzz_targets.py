"""What is fuzzed: readers of files, saved detectors, requests, command lines.

A target makes its samples once (`prepare`), draws inputs (`inputs`, a strategy of hypothesis), and
takes one (`run`): "answered" if there is a result, an error of `errors` if it is refused. Any other
exception is a finding; so is `Wrong`, an answer that is not right.
"""

import asyncio
import bz2
import contextlib
import csv
import gzip
import hashlib
import io
import json
import lzma
import os
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import strategies as st

ODD = ("", " ", "0", "-0", "1e999", "nan", "-inf", "NULL", "None", "1,5", "1.234,5", "0x1F", "ä")
ODD += ("007", "True", "1_000", "'", '"', '""', "a\nb", "\t", "\ufeff", "\u2028", "2024-01-01")
ODD += ("9" * 400, "x" * 3000, "\U0001f600", "=1+1", "[bold]", "$x^2$", "%s", "{0}", "--", "#")
VALUES = (None, True, False, 0, -1, 1, 2, 10**9, 2**63, 10**400, -0.5, 1e308, 1e-320, float("inf"))
VALUES += (float("nan"), "", "x", "ä", "features", "x" * 5000, [], {}, [0], [None], [[]], {"a": 1})


class Wrong(Exception):
    """An answer that is not right."""


@st.composite
def mutated(draw, samples):
    """One of some bytes with up to four edits: cut, flipped, doubled, moved, overwritten."""
    content = bytearray(draw(st.sampled_from(samples)))
    for edit in draw(
        st.lists(st.sampled_from(["cut", "flip", "drop", "copy", "insert", "zero"]), max_size=4)
    ):
        begin = draw(st.integers(0, len(content)))
        end = min(begin + draw(st.integers(1, 40)), len(content))
        if edit == "cut":
            del content[begin:]
        elif edit == "drop":
            del content[begin:end]
        elif edit == "copy":
            content[begin:begin] = content[begin:end] * draw(st.integers(1, 5))
        elif edit == "insert":
            content[begin:begin] = draw(st.binary(max_size=8))
        elif edit == "zero":
            content[begin:end] = draw(st.sampled_from([b"\0", b"\xff"])) * (end - begin)
        elif begin < len(content):
            content[begin] ^= 1 << draw(st.integers(0, 7))
    return bytes(content)


class Target:
    """What inputs are tried on.

    Attributes:
        name: str, for the report.
        share: float, of all inputs.
        errors: tuple of exceptions by which an input is refused.
        good: sequence of inputs that are answered, tried first.
        home: Path, where `prepare` left its samples.
        scratch: Path, a folder for this process.
    """

    errors, good = (ValueError, OSError), ()

    def __init__(self, home, scratch):
        self.home, self.scratch = Path(home), Path(scratch)

    @classmethod
    def prepare(cls, home):
        """Write what all processes share into a folder."""


class _Files(Target):
    """A file read at once, in pieces, from its middle: the same rows, or an error with its name."""

    def read(self, path, **how):
        from alad_tf.data.user_files import read_all, read_batches

        try:
            ids, rows = read_all(path, **how)
        except self.errors as error:
            if str(path) not in str(error):
                raise Wrong(f"an error that does not name the file: {error!r}") from error
            raise
        try:
            parts = list(read_batches(path, batch=self.piece, **how))
            later = list(read_batches(path, batch=self.piece, skip=1, **how))
        except self.errors as error:
            raise Wrong(f"refused only when it is read in pieces: {error!r}") from error
        for begin, some in ((0, parts), (1, later)):
            if [one for part, _ in some for one in part] != ids[begin:]:
                raise Wrong(f"other row numbers from row {begin} on when it is read in pieces")
            if not _same(_joined([rows for _, rows in some]), rows[begin:]):
                raise Wrong(f"other rows from row {begin} on when it is read in pieces")
        return rows

    piece = 3


def _joined(parts):
    if not parts:
        return None
    if isinstance(parts[0], pd.DataFrame):
        return pd.concat(parts, ignore_index=True)
    return np.concatenate(parts)


def _same(some, others):
    if some is None:
        return len(others) == 0
    if isinstance(some, pd.DataFrame):
        return _cells(some) == _cells(others)
    return np.array_equal(some, others, equal_nan=some.dtype.kind == "f")


def _cells(frame):
    return {name: [repr(cell) for cell in frame[name].tolist()] for name in frame.columns}


class Text(_Files):
    """CSV and TSV: bytes with edits, rows of odd cells, and tables whose cells are known."""

    name, share = "delimited text", 0.42
    SAMPLES = (
        b"a,b,c\n1,2.5,x\n3,4.5,y\n5,6.5,z\n",
        b"a;b;c\n1;2,5;x\n3;4,5;y\n",
        b"a\tb\n1\t2\n3\t4\n5\t6\n7\t8\n",
        b'"a","b"\n"1","x, ""y"""\n"2","line\nbreak"\n',
        b"sep=;\na;b\n1;2\n3;4\n",
        "\ufeffä,b\n1,x\n2,ü\n".encode(),
        "a,b\n1,x\n2,ü\n".encode("utf-16"),
        "a,b\n1,x\n2,ü\n".encode("cp1252"),
        b"a b\n1 2\n3 4\n",
        b"'a','b'\n'x','y'\n",
        b"a,b,\n1,2,\n3,4,\n",
        b"a\n1\n2\n\n3\n",
        b"a,b\r\n1,2\r\n3,\r\n",
    )

    @property
    def inputs(self):
        packed = [p(s) for s in self.SAMPLES[:2] for p in (gzip.compress, bz2.compress, _zip)]
        packed += [lzma.compress(self.SAMPLES[0])]
        cells = st.one_of(st.sampled_from(ODD), st.integers().map(str), st.floats().map(repr))
        rows = st.lists(st.lists(cells, min_size=1, max_size=4), min_size=1, max_size=6)
        odd = st.builds(_written, rows, st.sampled_from(",;\t|"), st.booleans())
        suffixes = st.sampled_from([".csv", ".tsv", ".csv.gz", ".CSV", ".zip"])
        edited = st.one_of(mutated(self.SAMPLES), mutated(self.SAMPLES), mutated(packed))
        content = st.one_of(edited, odd.map(lambda text: text.encode()), st.binary(max_size=60))
        return st.one_of(
            st.tuples(st.just("bytes"), suffixes, content, _options()),
            st.tuples(st.just("table"), _tables()),
        )

    def run(self, value):
        from alad_tf.data.user_files import ReadOptions

        if value[0] == "table":
            return self.run_table(**value[1])
        _, suffix, content, options = value
        path = self.scratch / f"table{suffix}"
        path.write_bytes(content)
        self.read(path, options=ReadOptions(**options))
        return "answered"

    def run_table(self, columns, sep, decimal, encoding, quoted, named, end):
        """A table written by the csv module is read as it was, or refused."""
        from alad_tf.data.user_files import ReadOptions

        texts = {
            name: [str(cell).replace(".", decimal) for cell in cells] if name[0] == "n" else cells
            for name, cells in columns.items()
        }
        rows = [list(texts), *zip(*texts.values(), strict=True)]
        path = self.scratch / "table.csv"
        path.write_bytes(_written(rows, sep, quoted, end).encode(encoding))
        options = {"sep": sep, "decimal": decimal, "encoding": encoding} if named else {}
        frame = self.read(path, options=ReadOptions(**options))
        if list(frame.columns) != list(columns):
            raise Wrong(f"the columns {list(frame.columns)}")
        for name, cells in columns.items():
            found = frame[name].tolist()
            if found != ([float(cell) for cell in cells] if name[0] == "n" else cells):
                raise Wrong(f"column {name!r} holds {found}")
        return "answered"


def _options():
    return st.fixed_dictionaries(
        {},
        optional={
            "sep": st.sampled_from([",", ";", "tab", "|", " "]),
            "decimal": st.sampled_from(".,"),
            "encoding": st.sampled_from(["utf-8", "utf-16", "cp1252", "ascii", "utf-7", "idna"]),
            "missing": st.lists(st.sampled_from(ODD), max_size=2).map(tuple),
        },
    )


@st.composite
def _tables(draw):
    rows = draw(st.integers(1, 5))
    numbers = st.one_of(
        st.integers(-(10**6), 10**6), st.floats(allow_nan=False, allow_infinity=False)
    )
    text = st.text("aäß ,;|\t'\"\n", max_size=5).map(lambda rest: f"t{rest}z")
    columns = {}
    for place, kind in enumerate(draw(st.lists(st.sampled_from("nt"), min_size=1, max_size=4))):
        cells = st.lists(numbers if kind == "n" else text, min_size=rows, max_size=rows)
        columns[f"{kind}{place}"] = draw(cells)
    sep = draw(st.sampled_from(",;\t|"))
    return {
        "columns": columns,
        "sep": sep,
        "decimal": draw(st.sampled_from(".," if sep != "," else ".")),
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])),
        "quoted": draw(st.booleans()),
        "named": draw(st.booleans()),
        "end": draw(st.sampled_from(["\n", "\r\n"])),
    }


def _written(rows, sep, quoted, end="\n"):
    text = io.StringIO()
    how = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    csv.writer(text, delimiter=sep, quoting=how, lineterminator=end).writerows(rows)
    return text.getvalue()


def _zip(content):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("table.csv"), content)  # without the time
    return whole.getvalue()


class Arrays(_Files):
    """NPY, NPZ and Parquet with edits."""

    name, share = "arrays and Parquet", 0.12

    def __init__(self, home, scratch):
        super().__init__(home, scratch)
        generator = np.random.default_rng(0)
        arrays = [generator.normal(size=(5, 3)), generator.integers(0, 255, (4, 2, 2, 3), "uint8")]
        arrays += [np.arange(12, dtype=">i2").reshape(6, 2), np.ones((3, 2), "float16")]
        arrays += [np.array([[1, "a"]], object), np.zeros(3, [("a", "f4")]), np.float64(1)]
        self.samples = {".npy": [], ".npz": [], ".parquet": []}
        for array in arrays:
            for suffix, save in ((".npy", np.save), (".npz", np.savez)):
                whole = io.BytesIO()
                save(whole, array)
                self.samples[suffix].append(whole.getvalue())
        table = pd.DataFrame(
            {"a": [1.0, None, 3.0], "b": ["x", None, "y"], "c": [True, False, True]}
        )
        table["d"], table["e"] = pd.to_datetime(["2024-01-01"] * 3), [[1], [2], [3]]
        for columns in (["a"], ["a", "b", "c"], ["a", "d"], ["a", "e"]):
            for compression in (None, "snappy", "zstd"):
                whole = io.BytesIO()
                table[columns].to_parquet(whole, compression=compression, index=False)
                self.samples[".parquet"].append(whole.getvalue())

    @property
    def inputs(self):
        kinds = [st.tuples(st.just(kind), mutated(s)) for kind, s in self.samples.items()]
        return st.one_of(*kinds)

    def run(self, value):
        suffix, content = value
        path = self.scratch / f"array{suffix}"
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        self.read(path)
        return "answered"


class Pictures(_Files):
    """A folder with one good picture and one with edits, of any kind and name."""

    name, share, piece = "pictures", 0.1, 100

    def __init__(self, home, scratch):
        from PIL import Image

        super().__init__(home, scratch)
        pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), "uint8")
        colour = Image.fromarray(pixels)
        deep = Image.fromarray(pixels[..., 0].astype("uint16") * 257)
        turned = Image.Exif()
        turned[0x0112] = 6
        self.samples = []
        for image, kinds in (
            (colour, ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")),
            (colour.convert("L"), ("PNG", "JPEG", "TIFF")),
            (colour.convert("P"), ("PNG", "GIF")),
            (colour.convert("RGBA"), ("PNG", "WEBP", "TIFF")),
            (colour.convert("CMYK"), ("JPEG", "TIFF")),
            (colour.convert("1"), ("PNG", "TIFF")),
            (deep, ("PNG", "TIFF")),
        ):
            for kind in kinds:
                whole = io.BytesIO()
                image.save(whole, kind, **({"exif": turned} if kind == "JPEG" else {}))
                self.samples.append(whole.getvalue())
        self.folder = self.scratch / "pictures"
        self.folder.mkdir(exist_ok=True)
        (self.folder / "a.png").write_bytes(self.samples[0])

    @property
    def inputs(self):
        names = st.sampled_from(["b.png", "b.jpg", "b.tif", "b.GIF", "b.webp", "b.bmp"])
        sizes = st.sampled_from([None, (4, 4), (6, 5)])
        return st.tuples(mutated(self.samples), names, sizes, st.booleans())

    def run(self, value):
        from alad_tf.data.user_files import ReadOptions

        content, name, size, skip = value
        path = self.folder / name
        path.write_bytes(content)
        try:
            rows = self.read(self.folder, size=size, options=ReadOptions(skip_damaged=skip))
        finally:
            path.unlink()
        if rows.dtype != np.uint8 or rows.ndim != 4 or rows.shape[3] not in (1, 3):
            raise Wrong(f"{rows.dtype} of shape {rows.shape}")
        return "answered"


def _sample_detectors():
    """Small detectors of four kinds, by name, each with records that it scores."""
    import zoo
    from alad_tf import Detector
    from alad_tf.baselines import IsolationForest
    from alad_tf.detector.threshold import by_contamination, by_false_alarms
    from alad_tf.preprocess import ImagePreprocessor, MixedPreprocessor

    generator, n = np.random.default_rng(0), 60
    table = pd.DataFrame(
        {"size (m)": generator.normal(size=n), "kind": generator.choice(["ä", "b"], n)}
    )
    images = generator.integers(0, 256, (20, 8, 8, 1), dtype="uint8")
    made = {"alad": (zoo.load("breast_cancer_alad"), generator.normal(size=(3, 30)) + 10)}
    for name, preprocessor, rows in (
        ("mixed", MixedPreprocessor().fit(table), table),
        ("images", ImagePreprocessor((8, 8, 1)), images),
    ):
        forest = IsolationForest().fit(preprocessor.transform(rows))
        detector = Detector.from_model(preprocessor, forest)
        rule = by_false_alarms if name == "mixed" else by_contamination
        detector.set_threshold(rule(detector.anomaly_score(rows), 0.1))
        made[name] = detector, rows[:3]
    return made


class Artefacts(Target):
    """Saved detectors: damaged, or edited and the manifest made right again."""

    name, share = "saved detectors", 0.012
    good = [((name, "config.json"), "json", [], False) for name in ("alad", "mixed", "images")]

    @classmethod
    def prepare(cls, home):
        for name, (detector, _) in _sample_detectors().items():
            detector.save(Path(home) / "detectors" / name)

    def __init__(self, home, scratch):
        super().__init__(home, scratch)
        generator = np.random.default_rng(0)
        self.records = {
            "alad": generator.normal(size=(3, 30)) + 10,
            "mixed": pd.DataFrame({"size (m)": [0.0, 1.0, 2.0], "kind": ["ä", "b", "c"]}),
            "images": generator.integers(0, 256, (3, 8, 8, 1), dtype="uint8"),
        }

    @property
    def inputs(self):
        edits, where = [], st.integers(0, 2**30)
        for name in sorted(self.records):
            for path in sorted((self.home / "detectors" / name).iterdir()):
                about = st.just((name, path.name))
                edits.append(
                    st.tuples(about, st.just("bytes"), mutated([path.read_bytes()]), st.booleans())
                )
                if path.name == "config.json":
                    change = st.tuples(where, st.sampled_from(VALUES))
                    changes = st.lists(change, min_size=1, max_size=2)
                    json_edit = st.tuples(about, st.just("json"), changes, st.just(True))
                    edits += [json_edit, json_edit]
        return st.one_of(edits)

    def run(self, value):
        from alad_tf import Detector
        from alad_tf.engine.files import MANIFEST, write_manifest

        (name, file), kind, edit, mend = value
        folder = self.scratch / "detector"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.home / "detectors" / name, folder)
        path, before = folder / file, (folder / file).read_bytes()
        if edit:
            path.write_bytes(edit if kind == "bytes" else _edited(before, edit))
        changed = path.read_bytes() != before
        if mend and file != MANIFEST:
            write_manifest(folder)
        try:
            detector = Detector.load(folder)
        except self.errors as error:
            if str(folder) not in str(error):
                raise Wrong(f"an error that does not name the folder: {error!r}") from error
            raise
        if changed and not mend and file != MANIFEST:
            raise Wrong("a damaged file is loaded")
        score = detector.anomaly_score(self.records[name])
        flags = detector.predict(self.records[name])
        if (~np.isfinite(score) & ~flags).any():
            raise Wrong(f"the scores {score} are called {flags}")
        return "answered"


def _edited(content, changes):
    """JSON with some of its values replaced, chosen by number."""
    tree = json.loads(content)
    for where, value in changes:
        places = list(_places(tree))
        holder, key = places[where % len(places)]
        holder[key] = value
    return json.dumps(tree).encode()


def _places(tree):
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], (dict, list)):
            yield from _places(tree[key])


class _Served(Target):
    """Exports of three detectors."""

    @classmethod
    def prepare(cls, home):
        from alad_tf.export import saved_model

        if (Path(home) / "served").exists():
            return
        compare, saved_model.difference = saved_model.difference, lambda *_: None
        try:
            for name, (detector, _) in _sample_detectors().items():
                detector.export(Path(home) / "served", name)
        finally:
            saved_model.difference = compare

    def __init__(self, home, scratch):
        from alad_tf.export.serving.model import ServedModel

        super().__init__(home, scratch)
        self.models = {
            path.name: ServedModel.load(path / "1")
            for path in sorted((self.home / "served").iterdir())
        }


def _json_values():
    plain = st.one_of(st.sampled_from(VALUES), st.sampled_from(ODD), st.floats(), st.integers())
    return st.recursive(
        plain,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(st.sampled_from(["x", "kind", "b64", "size__m_"]), inner, max_size=3),
        ),
        max_leaves=8,
    )


FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


def _vector(number):
    """30 numbers, of which up to four are drawn: drawing all takes long."""
    some = st.lists(st.tuples(st.integers(0, 29), number), max_size=4)
    return some.map(lambda pairs: [dict(pairs).get(place, 1.0) for place in range(30)])


def _pixels(content):
    rows = [content[begin : begin + 8] for begin in range(0, len(content), 8)]
    return [[[value] for value in row] for row in rows]


class Rest(_Served):
    """Bodies, routes and headers of requests, through the server's application."""

    name, share = "REST requests", 0.22
    MOST = 100_000

    def __init__(self, home, scratch):
        from alad_tf.export.serving.rest import rest_app

        super().__init__(home, scratch)
        self.apps = {name: rest_app(model, self.MOST) for name, model in self.models.items()}
        self.loop = asyncio.new_event_loop()

    @property
    def inputs(self):
        number = st.one_of(st.floats(width=32), st.sampled_from(VALUES), st.integers(-9, 9))
        text = st.one_of(st.sampled_from(ODD), st.text(max_size=5), number)
        # of each export: records that it takes, and records that may be odd
        records = {
            "alad": (_vector(FINITE), st.one_of(_vector(number), st.lists(number, max_size=40))),
            "mixed": (
                st.fixed_dictionaries({"size__m_": FINITE, "kind": st.text(max_size=3)}),
                st.fixed_dictionaries({"size__m_": number, "kind": text}, optional={"x": number}),
            ),
            "images": (
                st.binary(min_size=64, max_size=64).map(_pixels),
                st.binary(max_size=70).map(_pixels),
            ),
        }
        signatures = ["scores", "serving_default", "reconstruct", "x", None, 1]
        signatures += ["encoded_images", "serialized_examples"]
        bodies = [
            b'{"instances": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, '
            b"20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30]]}",
            b'{"instances": [{"size__m_": 1, "kind": "b"}, {"size__m_": null, "kind": ""}]}',
            b'{"inputs": {"size__m_": [1, 2], "kind": ["b", "c"]}}',
            b'{"signature_name": "encoded_images", "instances": [{"b64": "iVBORw0KGgo="}]}',
            b'{"signature_name": "serialized_examples", "instances": [{"b64": "CgA="}]}',
        ]
        routes = ["/v1/models/{}"] + ["/v1/models/{}/metadata", "/healthz", "/"]
        routes += ["/v1/models/{}/versions/x:predict", "/v1/models/\udcff:predict"]
        headers = [{"content-type": "application/json; charset=latin-1"}, {"content-type": "a/b"}]
        headers += [{"content-encoding": "gzip"}, {"content-length": "999999999"}]
        other = st.one_of(
            st.fixed_dictionaries({"inputs": _json_values()}),
            st.fixed_dictionaries({"instances": _json_values()}),
            _json_values(),
        ).map(_json)
        predict = st.sampled_from(["/v1/models/{}:predict", "/v1/models/{}/versions/1:predict"])
        made = []
        for name, (right, odd) in records.items():
            rows = st.lists(right, min_size=1, max_size=4)
            asked = [rows.map(lambda rows: {"instances": rows})] * 2
            for some in (rows, st.lists(odd, max_size=4), st.lists(st.one_of(right, odd))):
                fields = {"instances": some, "signature_name": st.sampled_from(signatures)}
                asked.append(st.fixed_dictionaries(fields))
                asked.append(some.map(lambda rows: {"instances": rows}))
            no_headers, model, body = st.just({}), st.just(name), st.one_of(asked).map(_json)
            usual = st.tuples(model, st.just("POST"), predict)
            made.append(st.tuples(usual, no_headers, body))
            made.append(st.tuples(usual, no_headers, body))
            unusual = st.one_of(other, other, mutated(bodies), st.binary(max_size=40))
            made.append(st.tuples(usual, no_headers, unusual))
            method, route = st.sampled_from(["GET", "POST", "PUT"]), st.sampled_from(routes)
            first = st.one_of(usual, st.tuples(model, method, route))
            made.append(st.tuples(first, st.sampled_from([{}, *headers]), body))
        return st.one_of(made)

    def run(self, value):
        (name, method, route), headers, body = value
        path = route.format(name)
        status, answer = self.loop.run_until_complete(
            _ask(self.apps[name], method, path, headers, body)
        )
        try:
            told = json.loads(answer, parse_constant=_no_constant)
        except ValueError as error:
            raise Wrong(f"status {status} with a body that is not JSON: {error}") from error
        if status == 200:
            if ":predict" in route:
                _require_finite(told, body)
            return "answered"
        if status not in (400, 404, 405, 413, 415) or not isinstance(told.get("error"), str):
            raise Wrong(f"status {status}: {told}")
        raise ValueError(told["error"])


def _json(value):
    try:
        return json.dumps(value).encode()
    except (ValueError, RecursionError):  # a number too long to be written
        return b"[" * 3000


def _no_constant(text):
    raise ValueError(f"{text} is not JSON")


def _require_finite(told, body):
    rows = told.get("predictions")
    asked = json.loads(body.decode("utf-8-sig"))
    if rows is not None and len(rows) != len(asked["instances"]):
        raise Wrong(f"{len(rows)} answers for {len(asked['instances'])} records")
    for row in rows or ():
        if isinstance(row, dict) and "is_anomaly" in row:
            if not isinstance(row["is_anomaly"], bool) or not np.isfinite(row["score"]):
                raise Wrong(f"the answer {row}")
            if not 0 <= row.get("p_value", 1) <= 1:
                raise Wrong(f"the answer {row}")


async def _ask(app, method, path, headers, body):
    """Ask an ASGI application: status and body."""
    sent, status, parts = False, [], []

    async def receive():
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        if message["type"] == "http.response.start":
            status.append(message["status"])
        else:
            parts.append(message.get("body", b""))

    raw = path.encode("utf-8", "surrogateescape")
    scope = {"type": "http", "http_version": "1.1", "method": method, "scheme": "http"}
    scope |= {"path": path, "raw_path": raw, "query_string": b"", "root_path": ""}
    scope |= {"headers": [(k.encode(), v.encode()) for k, v in headers.items()]}
    await app({**scope, "asgi": {"version": "3.0"}}, receive, send)
    return status[0], b"".join(parts)


class _Aborted(ValueError):
    """A call that the service refused."""


class _Context:
    def abort(self, code, text):
        import grpc

        if code not in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND) or not text:
            raise Wrong(f"{code}: {text}")
        raise _Aborted(text)

    def is_active(self):
        return True


class Grpc(_Served):
    """Messages of PredictionService: tensors of any type, shape and content; bytes with edits."""

    name, share = "gRPC messages", 0.12

    def __init__(self, home, scratch):
        from alad_tf.export.serving.grpc import Prediction

        super().__init__(home, scratch)
        self.services = {name: Prediction(m, 100_000) for name, m in self.models.items()}

    @property
    def inputs(self):
        import tensorflow as tf

        values = st.fixed_dictionaries(
            {},
            optional={
                "float_val": st.lists(st.floats(width=32), max_size=60),
                "double_val": st.lists(st.floats(), max_size=30),
                "int_val": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=64),
                "int64_val": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30),
                "bool_val": st.lists(st.booleans(), max_size=30),
                "half_val": st.lists(st.integers(0, 2**31 - 1), max_size=30),
                "string_val": st.lists(st.binary(max_size=9), max_size=3),
                "tensor_content": st.binary(max_size=240),
            },
        )
        side = st.sampled_from([0, 1, 2, 3, 8, 30, -1, 10**6, 2**62])
        shape = st.one_of(
            st.sampled_from([(1, 30), (2, 30), (1,), (1, 8, 8, 1)]), st.lists(side, max_size=5)
        )
        dtypes = st.one_of(st.sampled_from([1, 2, 3, 4, 7, 9, 10, 14, 19]), st.integers(0, 200))
        tensor = st.tuples(dtypes, shape, values)
        vectors = _vector(st.floats(width=32)).map(lambda row: (1, (1, 30), {"float_val": row}))
        numbers = st.floats(width=32).map(lambda one: (1, (1,), {"float_val": [one]}))
        texts = st.binary(max_size=5).map(lambda one: (7, (1,), {"string_val": [one]}))
        pixels = st.binary(min_size=64, max_size=64)
        images = pixels.map(lambda one: (4, (1, 8, 8, 1), {"tensor_content": one}))
        coded = (
            st.fixed_dictionaries({"encoded": texts}),
            st.fixed_dictionaries({"examples": texts}),
        )
        names = st.sampled_from(["x", "images", "kind", "size__m_", "encoded", "examples", "\0"])
        odd = st.dictionaries(names, tensor, max_size=3)
        signature = st.sampled_from(["", "scores", "serialized_examples", "encoded_images", "?"])
        made = []
        for name, right in {
            "alad": {"x": vectors},
            "mixed": {"size__m_": numbers, "kind": texts},
            "images": {"images": images},
        }.items():
            whole = st.fixed_dictionaries(right)
            mixed = st.fixed_dictionaries(
                {key: st.one_of(tensor, tensor, v) for key, v in right.items()}
            )
            fields, model = st.just("fields"), st.just(name)
            usual = st.sampled_from(["", "", "scores"])
            made += [
                st.tuples(model, st.tuples(fields, whole, usual)),
                st.tuples(model, st.tuples(fields, mixed, usual)),
                st.tuples(model, st.tuples(fields, st.one_of(odd, mixed, *coded), signature)),
            ]
        good = [
            _message("alad", {"x": tf.zeros((2, 30))}),
            _message("mixed", {"size__m_": [1.0], "kind": ["ä"]}),
            _message("images", {"images": tf.zeros((1, 8, 8, 1), tf.uint8)}),
        ]
        edited = st.tuples(st.just("bytes"), mutated([one.SerializeToString() for one in good]))
        return st.one_of(*made, st.tuples(st.sampled_from(sorted(self.services)), edited))

    def run(self, value):
        import tensorflow as tf
        from google.protobuf.message import DecodeError
        from tensorflow_serving.apis import predict_pb2

        name, (kind, *what) = value
        if kind == "bytes":
            try:
                request = predict_pb2.PredictRequest.FromString(what[0])
            except DecodeError as error:  # gRPC refuses it before the service sees it
                raise _Aborted(str(error)) from error
            request.model_spec.name = name
        else:
            inputs, signature = what
            request = predict_pb2.PredictRequest()
            request.model_spec.name, request.model_spec.signature_name = name, signature
            for key, (dtype, shape, fields) in inputs.items():
                proto = request.inputs[key]
                proto.dtype = dtype
                for side in shape:
                    proto.tensor_shape.dim.add(size=side)
                for field, values in fields.items():
                    if field == "tensor_content":
                        proto.tensor_content = values
                    else:
                        getattr(proto, field).extend(values)
        answer = self.services[name].Predict(request, _Context())
        for key, proto in answer.outputs.items():
            if key == "score" and not np.isfinite(tf.make_ndarray(proto)).all():
                raise Wrong(f"the score {tf.make_ndarray(proto)}")
        return "answered"


def _message(name, inputs):
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    for key, values in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(values))
    return request


class Reached(Exception):
    """A command came to work that takes long: its arguments and its files were in order."""


class Commands(Target):
    """Arguments of `alad`: an answer or one line of error, and nobody's files changed."""

    name, share = "command lines", 0.008
    good = (
        ["list"],
        ["describe", "kdd99_alad"],
        ["score", "alad", "rows.npy", "--out", "new.csv"],
        ["explain", "alad", "rows.npy", "--out", "new"],
        ["fit", "table.csv", "--out", "new"],
        ["tune", "table.csv", "--out", "new"],
        ["export", "alad", "new"],
        ["train", "breast_cancer_alad"],
    )
    errors = (ValueError,)
    KEPT = ("thesis.txt", "table.csv", "odd.csv", "rows.npy", "folder/notes.md", "photos/a.png")
    LONG = (  # where commands begin work that takes long, or reach for the network
        "alad_tf.experiments.run.train",
        "alad_tf.experiments.parallel.train_seeds",
        "alad_tf.experiments.plan.run_plan",
        "alad_tf.experiments.plan.run_steps",
        "alad_tf.experiments.report.write_report",
        "alad_tf.cli.demo.run_demo",
        "alad_tf.detector.estimator.ALADDetector.fit",
        "alad_tf.detector.tuning.search",
        "alad_tf.detector.detector.Detector.export",
        "alad_tf.export.serving.server.Server.run",
        "alad_tf.cli.fit_report.draw_reasons",
        "urllib.request.urlopen",
        "socket.create_server",
    )

    @classmethod
    def prepare(cls, home):
        Artefacts.prepare(home)

    def __init__(self, home, scratch):
        super().__init__(home, scratch)
        from PIL import Image

        os.environ["KERAS_HOME"] = str(self.scratch / "keras")
        self.work = self.scratch / "in" / "work"
        for name in self.KEPT:
            (self.work / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / name).write_text("years of work")
        generator = np.random.default_rng(0)
        table = generator.normal(10, 1, size=(20, 30))
        pd.DataFrame(table).add_prefix("c").to_csv(self.work / "table.csv", index=False)
        (self.work / "odd.csv").write_text("a,[b],label\n1,x,0\n,$y$,1\n3,,0\n")
        np.save(self.work / "rows.npy", table)
        Image.new("L", (8, 8), 7).save(self.work / "photos/a.png")
        (self.work / "link").symlink_to("folder", target_is_directory=True)
        for name in ("alad", "mixed"):
            shutil.copytree(self.home / "detectors" / name, self.work / name)
        self.before = _hashes(self.work)

    @property
    def inputs(self):
        from typer.main import get_command

        from alad_tf.cli import app

        options = sorted(
            {name for c in get_command(app).commands.values() for p in c.params for name in p.opts}
        )
        places = [*self.KEPT, "alad", "mixed", "folder", "photos", "link", ".", "..", "nowhere"]
        places += ["new", "new/deep", "new.csv", "new.parquet", "folder/new.csv", "thesis.txt/x"]
        entries = ["breast_cancer_alad", "kdd99_alad", "cifar10_alad", "no_alad"]
        numbers = ["0", "1", "-1", "0.5", "1e9", "nan", "3,17", "0-3", "9-1", "64x64", "0x0", "a,b"]
        names = [
            "label",
            "c0",
            "[b]",
            "features",
            "onnx",
            "saved_model",
            "--help",
            "--",
            ";",
            "utf-16",
        ]
        random = st.text(st.characters(exclude_characters="/\0", exclude_categories=()), max_size=8)
        word = st.one_of(
            *(st.sampled_from(some) for some in (places, entries, numbers, names, list(ODD))),
            random,
        )
        dashed = st.sampled_from([name for name in options if name.startswith("-")])
        pair = st.one_of(st.tuples(dashed, word), st.tuples(dashed), st.tuples(word))
        free = st.tuples(
            st.sampled_from([*get_command(app).commands, "nonsense"]), st.lists(pair, max_size=5)
        ).map(lambda drawn: [drawn[0], *(w for words in drawn[1] for w in words)])
        place, detector = st.sampled_from(places), st.sampled_from(["alad", "mixed", *entries[:1]])
        more = st.lists(pair, max_size=2).map(lambda pairs: [w for words in pairs for w in words])
        shaped = [
            st.builds(lambda s, o, m: ["fit", s, "--out", o, *m], place, place, more),
            st.builds(
                lambda d, s, o, m: ["score", d, s, "--out", o, *m], detector, place, place, more
            ),
            st.builds(
                lambda d, s, o, m: ["explain", d, s, "--out", o, *m], detector, place, place, more
            ),
            st.builds(lambda d, o, m: ["export", d, o, *m], detector, place, more),
            st.builds(lambda s, o, m: ["tune", s, "--out", o, *m], place, place, more),
        ]
        return st.one_of(free, *shaped)

    def run(self, words):
        from unittest import mock

        from alad_tf.cli import main

        def reached(*arguments, **options):
            raise Reached

        told, errors, code, was = io.StringIO(), io.StringIO(), 0, Path.cwd()
        with contextlib.ExitStack() as stack:
            for name in self.LONG:
                stack.enter_context(mock.patch(name, reached))
            stack.enter_context(mock.patch.object(sys, "argv", ["alad", *words]))
            stack.enter_context(contextlib.redirect_stdout(told))
            stack.enter_context(contextlib.redirect_stderr(errors))
            os.chdir(self.work)
            try:
                main()
            except Reached:
                pass
            except SystemExit as left:
                code = left.code or 0
            finally:
                os.chdir(was)
                self._tidy()
        if code not in (0, 1, 2, 130):
            raise Wrong(f"exit code {code!r}")
        text = errors.getvalue()
        if "Traceback" in text or (code and not (text.strip() or told.getvalue().strip())):
            raise Wrong(f"exit code {code} with {text[-300:]!r}")
        if code:
            raise ValueError(text)
        return "answered"

    def _tidy(self):
        """Nothing that was there is lost or changed; what is new goes."""
        now = _hashes(self.work)
        wrong = [name for name, digest in self.before.items() if now.get(name) != digest]
        for name in now.keys() - self.before.keys():
            (self.work / name).unlink()
        for folder, _, files in os.walk(self.work, topdown=False):
            if not files and not os.listdir(folder):
                os.rmdir(folder)
        if wrong:
            raise Wrong(f"{wrong[0]} was changed or is lost")


def _hashes(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


TARGETS = {cls.name: cls for cls in (Text, Arrays, Pictures, Artefacts, Rest, Grpc, Commands)}
