"""Layers of settings, each value with its origin: defaults < files < environment < flags.

Knows struct classes, not what their fields mean: a schema is a frozen msgspec Struct whose fields
are values or further Structs, and a key is a dotted path such as "risk.cash_reserve_bps".
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import UNSET, Struct

from btcbot.domain.money import is_sane

PREFIX = "BTCBOT__"
# What a fleet tells its own processes (btcbot/cli/fleet.py).
OWN = frozenset(
    {f"BTCBOT_{name}" for name in ("PYTHON", "RUN", "LOG", "SANDBOX", "SUPERVISOR_PID")}
)


NO_SUCH_USER = "no user of that name; expected a path from / or ~/ on"


class ConfigError(Exception):
    """The configuration may not be used; each problem is one line that says what to do."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Layer(Struct, frozen=True):
    """Keys with their values, all from one place; relative paths among them start at `base`."""

    origin: str
    values: Mapping[str, Any]
    base: Path


class Leaf(Struct, frozen=True):
    """One key that may be set, its type and its default; a table of free keys is one leaf."""

    key: str
    type: Any
    default: Any

    @property
    def is_free(self) -> bool:
        return get_origin(self.type) is dict

    @property
    def is_optional(self) -> bool:
        return type(None) in get_args(self.type)

    @property
    def is_path(self) -> bool:
        return self.type is Path or Path in get_args(self.type)


def leaves(schema: type[Struct], prefix: str = "") -> Iterator[Leaf]:
    """Yield every key of `schema`, tables flattened, in the order of the classes."""
    for field in msgspec.structs.fields(schema):
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            yield from leaves(field.type, f"{prefix}{field.name}.")
        else:
            yield Leaf(prefix + field.name, field.type, _default(field))


def read_file(path: Path) -> Layer:
    """Return the TOML file at `path`; numbers with a point become exact Decimals.

    Raises ConfigError when it cannot be read or is not TOML.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; check the path and who may read it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    return Layer(str(path), dict(flatten(tree)), path.absolute().parent)


def read_environment(variables: Mapping[str, str], schema: type[Struct], base: Path) -> list[Layer]:
    """Return one layer per variable `BTCBOT__SECTION__KEY`; an empty one counts as not set.

    A value is read as TOML and, where that fails or the key holds text, as a plain string. Raises
    ConfigError for a name that somebody may believe to be a setting, and that is none.
    """
    known = {leaf.key: leaf for leaf in leaves(schema)}
    found = []
    if strangers := [name for name in sorted(variables) if _is_mistaken(name) and variables[name]]:
        raise ConfigError(*(f"environment {name}: {_meant(name, known)}" for name in strangers))
    for name in sorted(variables):
        if name.startswith(PREFIX) and variables[name]:
            key = name.removeprefix(PREFIX).lower().replace("__", ".")
            value = _toml_value(variables[name], known.get(key))
            found.append(Layer(f"environment {name}", dict(flatten(value, key)), base))
    return found


def _is_mistaken(name: str) -> bool:
    """Return whether `name` would be passed over in silence: one "_" too few, or small letters."""
    is_close = name.upper().startswith("BTCBOT_") and not name.startswith(PREFIX)
    return is_close and name not in OWN


def _meant(name: str, known: Mapping[str, Leaf]) -> str:
    spelled = {PREFIX + key.upper().replace(".", "__"): key for key in known}
    near = difflib.get_close_matches(name.upper(), spelled, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"no setting; settings are named {PREFIX}SECTION__KEY{hint}"


def merge(layers: Sequence[Layer], schema: type[Struct]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the value and the origin of every key that is set; a later layer wins.

    Raises ConfigError naming every unknown key and every value of a wrong type.
    """
    known = {leaf.key: leaf for leaf in leaves(schema)}
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    problems: list[str] = []
    for layer in layers:
        for key, value in layer.values.items():
            leaf = known.get(key) or _free_table(key, known)
            problem = _wrong(leaf, key, value) if leaf else _unknown(key, known)
            if problem or leaf is None:
                problems.append(f"{layer.origin}: {problem}")
                continue
            values[key] = _placed(leaf, value, layer.base)
            origins[key] = layer.origin
    if problems:
        raise ConfigError(*problems)
    return values, origins


def nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted `values` as tables within tables."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *tables, name = key.split(".")
        at = tree
        for table in tables:
            at = at.setdefault(table, {})
        at[name] = value
    return tree


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 (TOML)
    """Yield the dotted key of every value in `value` that is no table; the inverse of `nest`."""
    if not isinstance(value, dict):
        yield prefix, value
        return
    for key, inner in value.items():
        yield from flatten(inner, f"{prefix}.{key}" if prefix else key)


def convert(value: object, kind: Any) -> Any:  # noqa: ANN401 (the schema says what)
    """Return `value` as `kind`, strictly. Raises msgspec.ValidationError."""
    return msgspec.convert(value, kind, dec_hook=_decoded)


def _decoded(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")


def _default(field: msgspec.structs.FieldInfo) -> Any:  # noqa: ANN401
    if field.default is not msgspec.NODEFAULT:
        return field.default
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return UNSET


def _toml_value(text: str, leaf: Leaf | None) -> Any:  # noqa: ANN401
    try:
        tree = tomllib.loads(f"value = {text}", parse_float=Decimal)
    except tomllib.TOMLDecodeError:
        return text
    holds_text = leaf is not None and (leaf.is_path or leaf.type is str)
    # A line break in the text could smuggle in a second key: then it is a plain string.
    if list(tree) != ["value"] or (holds_text and not isinstance(tree["value"], str)):
        return text
    return tree["value"]


def _free_table(key: str, known: Mapping[str, Leaf]) -> Leaf | None:
    for leaf in known.values():
        if leaf.is_free and key.startswith(leaf.key + "."):
            return leaf
    return None


def _unknown(key: str, known: Mapping[str, Leaf]) -> str:
    if inside := [other for other in known if other.startswith(key + ".")]:
        return f"'{key}' is a table, not a value; its keys: {', '.join(inside)}"
    section, _, name = key.rpartition(".")
    siblings = [other.rpartition(".")[2] for other in known if other.rpartition(".")[0] == section]
    close = difflib.get_close_matches(name, siblings, 1) if siblings else []
    if close:
        return f"unknown key '{key}'; did you mean '{section + '.' if section else ''}{close[0]}'?"
    if elsewhere := difflib.get_close_matches(key, known, 1, cutoff=0.7):
        return f"unknown key '{key}'; did you mean '{elsewhere[0]}'?"
    if siblings and section:
        return f"unknown key '{key}'; allowed in [{section}]: {', '.join(siblings)}"
    tops = dict.fromkeys(other.partition(".")[0] for other in known)
    return f"unknown key '{key}'; allowed at the top: {', '.join(tops)}"


def _wrong(leaf: Leaf, key: str, value: object) -> str | None:
    """Return what is wrong with `value`, or None; who owns a free table judges its keys."""
    if isinstance(value, Decimal) and not is_sane(value):
        return f"{key} = {value}: expected a finite number between 1e-16 and 1e15 in size"
    if value == "" and leaf.is_optional:
        return None
    if leaf.is_path and (value == "" or not isinstance(value, str)):
        return f"{key} = {value!r}: expected a path, in quotes"
    if leaf.is_path and expanded(str(value)) is None:
        return f"{key} = {value!r}: {NO_SUCH_USER}"
    if leaf.is_free:
        return None if key != leaf.key else f"{key} = {value!r}: expected a table"
    if get_origin(leaf.type) is Literal and value not in get_args(leaf.type):
        allowed = " | ".join(map(repr, get_args(leaf.type)))
        return f"{key} = {value!r}: allowed is {allowed}"
    try:
        convert(value, leaf.type)
    except msgspec.ValidationError as error:
        shown = str(value) if isinstance(value, Decimal) else repr(value)
        found = str(error).replace("`", "").removesuffix(" - at $")
        return f"{key} = {shown}: {found}; the default is {toml_text(leaf.default)}"
    return None


def expanded(path: str) -> Path | None:
    """Return `path` with "~" and "~user" expanded; None: nobody is called that."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return None


def _placed(leaf: Leaf, value: Any, base: Path) -> Any:  # noqa: ANN401
    """Return `value`; "" of an optional key as None, a path from `base` on with "~" expanded."""
    if value == "" and leaf.is_optional:
        return None
    return str(base / (expanded(value) or value)) if leaf.is_path else value


def toml_text(value: object) -> str:
    """Return `value` as it would stand in a TOML file."""
    if isinstance(value, tuple):
        return "[" + ", ".join(map(toml_text, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml_text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, str | Path):
        return msgspec.json.encode(str(value or "")).decode()  # A JSON string is a TOML string.
    return str(value)
