"""KEY=VALUE text to typed parameters, with errors that say what would have been right.

A scenario declares its parameters as a frozen `msgspec.Struct` whose fields carry their bounds
(`count`, `size`, `share`, `number` below). Everything else follows from that declaration: parsing,
the text of an error, and the list a command line shows.

Numbers may carry a suffix. Sizes in bytes take binary ones (4k is 4096); counts take decimal ones
(4k is 4000, 1.5M is 1500000).
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Meta

P = TypeVar("P", bound=msgspec.Struct)

_SUFFIX = {"": 0, "k": 1, "m": 2, "g": 3}
_NUMBER = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?)\s*([kKmMgG]?)(?:i?[bB])?")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class ParameterError(ValueError):
    """A parameter is unknown, has a value it may not have, or does not fit the others.

    key and value are as typed (value is None where there is none), allowed says what would do, and
    suggestion is the nearest valid spelling or None.
    """

    def __init__(
        self, key: str, value: str | None, allowed: str, suggestion: str | None = None, problem: str = ""
    ) -> None:
        self.key, self.value, self.allowed, self.suggestion = key, value, allowed, suggestion
        text = problem or (f"{key}={value}" if value is not None else key)
        text += f": expected {allowed}"
        if suggestion is not None:
            text += f" (did you mean {suggestion!r}?)"
        super().__init__(text)


def count(low: int, high: int, text: str) -> Meta:
    """A whole number of things."""
    return Meta(ge=low, le=high, description=text, extra={"base": 1000})


def size(low: int, high: int, text: str) -> Meta:
    """A size in bytes, a multiple of 8."""
    return Meta(ge=low, le=high, multiple_of=8, description=text, extra={"base": 1024})


def share(text: str) -> Meta:
    """A part of a whole, 0 to 1."""
    return Meta(ge=0.0, le=1.0, description=text)


def number(low: float, high: float, text: str) -> Meta:
    """A finite number."""
    return Meta(ge=low, le=high, description=text)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like this one, or None if none is like it."""
    folded = {name.lower().replace("-", "_"): name for name in known}
    found = difflib.get_close_matches(word.lower().replace("-", "_"), folded, n=1)
    return folded[found[0]] if found else None


def parse(kind: type[P], settings: Mapping[str, str] | Sequence[str]) -> P:
    """Parameters of the given kind from KEY=VALUE strings or a mapping; what is not named keeps its default.

    Raises ParameterError for text without "=", an unknown key, a key given twice, a value of the
    wrong type or out of bounds, and whatever the parameters' own checks refuse.
    """
    fields = {field.name: field for field in _fields(kind)}
    types = {field.name: field.type for field in msgspec.structs.fields(kind)}
    values: dict[str, Any] = {}
    for key, text in _pairs(settings):
        if key not in fields:
            raise ParameterError(
                key, text, f"one of {', '.join(fields)}", nearest(key, fields), problem=f"there is no parameter {key!r}"
            )
        if key in values:
            raise ParameterError(key, text, "each parameter once", problem=f"{key} is given twice")
        values[key] = _convert(key, text, types[key], fields[key].type)
    return kind(**values)


def describe(kind: type[msgspec.Struct]) -> list[tuple[str, str, str, str]]:
    """(name, default, what is allowed, meaning) of each parameter, as text."""
    rows = []
    for field in _fields(kind):
        schema = field.type.extra_json_schema if isinstance(field.type, msgspec.inspect.Metadata) else None
        rows.append((field.name, render(field.default), allowed(field.type), (schema or {}).get("description", "")))
    return rows


def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.inspect.Field, ...]:
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    return info.fields


def render(value: object) -> str:
    """A value the way it would be typed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def allowed(kind: msgspec.inspect.Type) -> str:
    """What a value of this type must be, as the end of "expected ..."."""
    extra: dict[str, Any] = {}
    if isinstance(kind, msgspec.inspect.Metadata):
        extra, kind = kind.extra or {}, kind.type
    match kind:
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.LiteralType(values=values):
            words = list(map(str, values))
            return " or ".join(words) if len(words) == 2 else f"one of {', '.join(words)}"
        case msgspec.inspect.VarTupleType(item_type=item):
            return f"a comma-separated list, each {allowed(item)}"
        case msgspec.inspect.IntType(ge=low, le=high, multiple_of=step):
            what = "a size in bytes" if extra.get("base") == 1024 else "a whole number"
            return f"{what} from {low} to {high}" + (f", a multiple of {step}" if step else "")
        case msgspec.inspect.FloatType(ge=low, le=high):
            return f"a number from {low:g} to {high:g}"
    raise TypeError(f"parameters of type {kind} are not supported")


def _pairs(settings: Mapping[str, str] | Sequence[str]) -> list[tuple[str, str]]:
    if isinstance(settings, Mapping):
        return list(settings.items())
    pairs = []
    for item in settings:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise ParameterError(item, None, "KEY=VALUE", problem=repr(item))
        pairs.append((key.strip(), text.strip()))
    return pairs


def _convert(key: str, text: str, kind: Any, info: msgspec.inspect.Type) -> Any:
    base = 1000
    bare = info
    if isinstance(info, msgspec.inspect.Metadata):
        base, bare = (info.extra or {}).get("base", base), info.type
    value: Any = text
    if isinstance(bare, (msgspec.inspect.IntType, msgspec.inspect.FloatType)):
        value = _number(text, base)
    elif isinstance(bare, msgspec.inspect.BoolType):
        value = True if text.lower() in _TRUE else False if text.lower() in _FALSE else text
    elif isinstance(bare, msgspec.inspect.VarTupleType):
        value = [part.strip() for part in text.split(",") if part.strip()]
        if isinstance(bare.item_type, msgspec.inspect.IntType):
            value = [_number(part, base) for part in value]
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        words = _words(bare)
        wrong = [part for part in (value if isinstance(value, list) else [text]) if part not in words]
        hint = nearest(wrong[0], words) if words and wrong else None
        raise ParameterError(key, text, allowed(info), hint) from None


def _words(kind: msgspec.inspect.Type) -> tuple[str, ...]:
    if isinstance(kind, msgspec.inspect.VarTupleType):
        kind = kind.item_type
    return tuple(map(str, kind.values)) if isinstance(kind, msgspec.inspect.LiteralType) else ()


def _number(text: str, base: int) -> int | float | str:
    """The number meant, an int where it is whole; text that is no number comes back unchanged."""
    if found := _NUMBER.fullmatch(text):
        digits, suffix = found.groups()
        factor = base ** _SUFFIX[suffix.lower()]
        if "." not in digits:
            return int(digits.replace("_", "")) * factor
        value = float(digits) * factor
    else:
        try:
            value = float(text)
        except ValueError:
            return text
        if not math.isfinite(value):
            return text
    return int(value) if value.is_integer() else value
