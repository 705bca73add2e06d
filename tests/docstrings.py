"""What a docstring lacks: sections, parameters, errors and examples, held against the source."""

import ast
import builtins
import dataclasses
import doctest
import functools
import inspect
import re
import textwrap

SECTION = re.compile(r"^(Args|Attributes|Call arguments|Returns|Yields|Raises|Example|Source)\b.*:")
LISTS = ("Args", "Attributes", "Call arguments", "Raises")  # sections of entries, "name: meaning"
ENTRY = re.compile(r"^    (\*{0,2}\w+(?:, \*{0,2}\w+)*):(.*)")
SENTENCE = re.compile(r"^([A-Z\d`\"'(\[{-]|[a-z]\w?['(]?\S* [=>(]|[a-z]+_[a-z]).*[.:?!]$")
# A description that tells what to give: a type, a shape, a literal, or a reference in backticks.
TYPE = re.compile(
    r"\b(str|int|float|uint|bool|bytes|dict|list|tuple|set|number|array|tensor|scalar|sequence"
    r"|mapping|name|function|class|folder|file|Path|None|True|[A-Z]\w+)(8|32|64)?(s|es)?\b"
    r"|\(\w+,[^)]*\)|\"[^\"]+\"|`[^`]+`"
)
# The papers, as docstrings cite them.
CITED = re.compile(
    r"\b([Ee]quations? |Eqs?\. |Tables? [IVX]|Algorithm \d|[Ss]ections? |appendix |et al\.|arXiv"
    r"|paper\b)|https?://"
)


def missing_parts(member, owner=None, name=None, cites=False):
    """What the docstring of a function, class, method or property lacks.

    A method that takes the place of another's of the same package adds to that one's docstring.

    Args:
        member: the object, as the module's or the class's `__dict__` holds it.
        owner: class that holds a method or property.
        name: str, its name; default its own.
        cites: bool, whether it has to say what it follows.

    Returns:
        list of str, each a missing part and what to add; empty if there is none.

    Example:
        >>> missing_parts(lambda x: x, name="f")[0]
        'a docstring: add one'
    """
    is_class, is_value = isinstance(member, type), _is_property(member)
    code = _constructor(member) if is_class else _function(member)
    text = class_text(member) if is_class else inspect.cleandoc(code.__doc__ or "")
    text = "\n\n".join(filter(None, [text, *_overridden(owner, name)]))
    if not text:
        return ["a docstring: add one"]
    found, body = sections(text), _statements(code)
    parameters = _fields(member) if is_class and _is_record(member) else _parameters(code)
    lacks = _summary(text)
    if not is_value:
        lacks += _arguments(parameters, {**found.get("Attributes", {}), **found.get("Args", {})})
    if not (is_class or is_value or {"Returns", "Yields"} & set(found)) and _gives(body):
        lacks.append("Returns: it gives something back; add `Returns:` with its type and shape")
    lacks += _errors(body, text, found, code)
    word = name or getattr(member, "__name__", "")
    shown = examples(text) + (examples(class_text(owner)) if owner else [])
    if not is_value and not (shown if is_class else _calls(word, shown)):
        lacks.append(f"Example: add lines `>>> ...` which run {word}")
    cited = " ".join([*text.split(), *(class_text(owner).split() if owner else [])])
    if cites and not CITED.search(cited):
        lacks.append("Source: name the equation, table, section or paper that it follows")
    return lacks


def sections(text):
    """A docstring's sections.

    Args:
        text: str, cleaned of the indentation that all lines share.

    Returns:
        dict by title of dicts of str: what is said of each entry, by name. A section without
        entries has its text under "".

    Example:
        >>> sections("Adds.\\n\\nArgs:\\n    a, b: ints.\\n\\nReturns:\\n    int.")
        {'Args': {'a': ' ints.', 'b': ' ints.'}, 'Returns': {'': ' int.'}}
    """
    found, title, names = {}, None, [""]
    for line in text.splitlines():
        header, entry = SECTION.match(line), ENTRY.match(line)
        if header:
            title, names, said = header[1], [""], line[header.end() :]
        elif title in LISTS and entry:
            names, said = [name.lstrip("*") for name in entry[1].split(", ")], entry[2]
        elif line.startswith(" "):
            said = f" {line.strip()}"
        else:
            title = None if line else title
            continue
        for name in names if title else ():
            section = found.setdefault(title, {})
            section[name] = section.get(name, "") + said
    told = {
        title: {name: said for name, said in entries.items() if name or said.strip()}
        for title, entries in found.items()
    }
    return {title: entries for title, entries in told.items() if entries}


def examples(text):
    """The examples in a docstring that run.

    Args:
        text: str.

    Returns:
        list of str, their code without comments.

    Example:
        >>> examples(">>> f(1)  # fast\\n>>> # g(1)\\n>>> h(1)  # doctest: +SKIP")
        ['f(1)']
    """
    parsed = doctest.DocTestParser().get_examples(text)
    lines = [e.source.splitlines() for e in parsed if not e.options.get(doctest.SKIP)]
    code = ["\n".join(re.sub(r"#.*", "", line).rstrip() for line in some) for some in lines]
    return [some for some in code if some.strip()]


def class_text(member):
    """A class's docstring, and its constructor's if that has one of its own.

    Args:
        member: class.

    Returns:
        str.

    Example:
        >>> class_text(type("A", (), {"__doc__": "An A."}))
        'An A.'
    """
    init = None if _is_record(member) else member.__dict__.get("__init__")
    texts = (member.__dict__.get("__doc__"), getattr(init, "__doc__", None))
    return "\n\n".join(inspect.cleandoc(text) for text in texts if text)


def _is_record(member):
    """Whether fields make a class's constructor: a dataclass, a named tuple."""
    return not {"__dataclass_fields__", "_fields"}.isdisjoint(vars(member))


def _is_property(member):
    return isinstance(member, (property, functools.cached_property))


def _constructor(member):
    """A class's own constructor, a dataclass's own checks; None if it inherits them."""
    return member.__dict__.get("__post_init__" if _is_record(member) else "__init__")


def _overridden(owner, name):
    """Docstrings of the methods of a package's own classes that a method takes the place of."""
    bases = owner.__mro__[1:] if owner else ()
    own = [base for base in bases if _package(base) == _package(owner)]
    members = [base.__dict__[name] for base in own if name in base.__dict__]
    return [inspect.cleandoc(_function(member).__doc__ or "") for member in members]


def _package(member):
    return member.__module__.split(".")[0]


def _function(member):
    for attribute in ("fget", "func", "__func__"):
        member = getattr(member, attribute, None) or member
    return inspect.unwrap(member)


def _fields(member):
    """A dataclass's or named tuple's own fields: dict by name of False, for no known type."""
    if not dataclasses.is_dataclass(member):
        return dict.fromkeys(member._fields, False)
    own = inspect.get_annotations(member)
    return {field.name: False for field in dataclasses.fields(member) if field.name in own}


def _parameters(code):
    """Parameters to describe: dict by name of whether the signature has the type."""
    found = inspect.signature(code).parameters.values() if code else ()
    own = [p for p in found if p.name not in ("self", "cls", "args", "kwargs")]
    return {p.name: p.annotation is not p.empty for p in own}


def _statements(code):
    """The nodes of a function's source, without those of functions and classes inside it."""
    try:
        waiting = ast.parse(textwrap.dedent(inspect.getsource(code))).body[0].body
    except (OSError, TypeError, SyntaxError, AttributeError):
        return []  # a generated function has no source
    inner, found = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef), []
    while waiting:
        node, *waiting = waiting
        found.append(node)
        waiting += [] if isinstance(node, inner) else ast.iter_child_nodes(node)
    return found


def _gives(body):
    """Whether a function returns or yields a value."""
    values = [node.value for node in body if isinstance(node, ast.Return)]
    if any(getattr(value, "value", value) is not None for value in values):  # other than `None`
        return True
    return any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in body)


def _summary(text):
    first = text.splitlines()[0]
    if SENTENCE.match(first):
        return []
    return [f"a first line that is a sentence: {first!r}; begin with a capital, end with a stop"]


def _arguments(parameters, described):
    lacks = []
    for name, typed in parameters.items():
        if name not in described:
            lacks.append(f"Args: {name} is not there; add `{name}: type or shape, meaning`")
        elif not typed and not TYPE.search(described[name]):
            lacks.append(f"Args: {name} has neither type nor shape; add it to {described[name]!r}")
    return lacks


def _errors(body, text, found, code):
    raised = [node.exc for node in body if isinstance(node, ast.Raise)]
    if raised and "Raises" not in found:
        return ["Raises: it raises; add `Raises:` with each error and when it comes"]
    lacks = []
    for exception in raised:
        called = getattr(exception, "func", exception)
        name = getattr(called, "id", getattr(called, "attr", ""))
        kind = getattr(code, "__globals__", {}).get(name, getattr(builtins, name, None))
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            continue  # raised again, or made by a function
        known = "|".join(base.__name__ for base in kind.__mro__[:-2])
        if not re.search(rf"\b({known})\b", text):
            lacks.append(f"Raises: {name} is not named; add `{name}: when it comes`")
    return lacks


def _calls(name, code):
    return any(re.search(rf"\b{re.escape(name)}\b", some) for some in code)
