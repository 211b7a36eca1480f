"""Fuzz configuration files, and files of faults: refused with a reason, or taken whole and valid.

What is taken has every value that stands in the file, is the same when read twice, and survives the
journey to the actors; nothing of a file that is refused has any effect.
"""

import os
import random
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from btcbot.config import Config, freeze, load, thaw
from btcbot.fault_profile import profile_of
from btcbot.layers import ConfigError, convert, flatten, leaves, toml_text
from btcbot.simulation.faults import Profile
from tests.fuzz.spoil import Broken, spoil

VALUES = (
    "true", "false", "0", "-1", "1", "2", "15", "900", "3600", "65535", "65536", "1e400", "nan",
    "inf", "-inf", "0.5", "1.5", "1e-30", "99999999999999999999", '""', '"x"', '"BTCTRY"', '"ipc"',
    '["BTCTRY"]', '["BTCTRY", "BTCTRY"]', "[]", "[[]]", "[1]", "{}", "{a = 1}", '"/tmp/x"',
    '"~/x"', '"sandbox"', '"live"', '"http://127.0.0.1:1"', '"https://example.com"',
    "1979-05-27T07:32:00Z", "0x10", "1_000", '"\\u0000"', "'a\\b'", '"""a\nb"""', '"hostile"',
)  # fmt: skip
KEYS = {
    Config: tuple((leaf.key, toml_text(leaf.default)) for leaf in leaves(Config)),
    Profile: tuple((leaf.key, toml_text(leaf.default)) for leaf in leaves(Profile)),
}
REASON_MAX = 20_000
Read = Callable[[Path], Any]


def files(count: int, seed: int) -> Counter[tuple[str, str]]:
    """Read `count` spoilt files; return what became of them. Raises Broken."""
    draw, counts = random.Random(seed), Counter[tuple[str, str]]()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="b", dir=memory) as name:
        path = Path(name) / "f.toml"
        for number in range(count):
            is_config = draw.random() < 0.8
            raw = file(draw, Config if is_config else Profile)
            path.write_bytes(raw)
            which = f"file {number} of seed {seed}:\n{raw.decode('utf-8', 'replace')}"
            if is_config:
                counts["config", _judge(path, which, _config, _wrong_config)] += 1
            else:
                counts["faults", _judge(path, which, profile, _wrong_profile)] += 1
    return counts


def file(draw: random.Random, schema: type[msgspec.Struct]) -> bytes:
    """Return a TOML file of some keys, most at their defaults or at some value; spoilt at times."""
    lines = []
    for key, default in draw.sample(KEYS[schema], draw.choice((0, 1, 1, 2, 3, 6))):
        name = key if draw.random() < 0.97 else draw.choice((key[:-1], key + "x", key.upper()))
        value = default if draw.random() < 0.4 else draw.choice(VALUES)
        lines.append(f"{name} = {value}")
    raw = "\n".join(lines).encode() + b"\n"
    if draw.random() < 0.2:
        other = "\n".join(f"{key} = {value}" for key, value in KEYS[schema]).encode()
        raw = spoil(raw, other, draw)
    return raw


def profile(path: Path) -> Profile:
    return profile_of(str(path))


def _config(path: Path) -> Config:
    return load([path]).config


def _judge(path: Path, which: str, read: Read, wrong: Callable[[Any, Path], str]) -> str:
    try:
        found = read(path)
    except ConfigError as error:
        text = str(error)
        if not text or len(text) > REASON_MAX:
            raise Broken(f"{which}: refused with {len(text)} characters") from error
        return "refused"
    except Exception as error:
        raise Broken(f"{which}: {type(error).__name__}: {error}") from error
    if read(path) != found:
        raise Broken(f"{which}: read twice, it is not the same")
    if told := wrong(found, path):
        raise Broken(f"{which}: {told}")
    return "taken"


def _wrong_config(found: Config, path: Path) -> str:
    frozen = path.with_name("config.json")
    frozen.write_bytes(freeze(found, "run"))
    if thaw(frozen) != (found, "run"):
        return "it is not itself after the journey to the actors"
    return _missing(path, dict(flatten(msgspec.json.decode(freeze(found))["config"])))


def _wrong_profile(found: Profile, path: Path) -> str:
    if convert(msgspec.to_builtins(found), Profile) != found:
        return "it is out of its own bounds"
    return _missing(path, dict(flatten(msgspec.to_builtins(found))))


def _missing(path: Path, values: dict[str, Any]) -> str:
    """Return which value of the file did not take effect."""
    tree = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    for key, wanted in flatten(tree):
        if key.startswith("strategy.params"):
            continue  # The strategy's own types judge these.
        found = values.get(key)
        if not _is_same(found, wanted, path.parent):
            return f"{key} = {wanted!r} stands there, {found!r} is in effect"
    return ""


def _is_same(found: Any, wanted: Any, base: Path) -> bool:
    if found == wanted or (found is None and wanted == ""):
        return True
    if isinstance(wanted, int | Decimal) and not isinstance(wanted, bool):
        return isinstance(found, str | int | float) and Decimal(str(found)) == wanted
    if isinstance(wanted, str) and isinstance(found, str):
        return found == str(base / Path(wanted).expanduser())
    return bool(isinstance(wanted, list) and found == wanted)
