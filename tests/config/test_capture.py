"""`[capture]`: what may be set, and with which words the rest is refused."""

from pathlib import Path

import pytest

from btcbot.config import load
from btcbot.layers import ConfigError


def refused(folder: Path, text: str) -> str:
    path = folder / "more.toml"
    path.write_text(f"[capture]\n{text}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load([path], {"home": "/tmp/b"})
    return str(caught.value)


def test_a_fleet_captures_unless_told_otherwise() -> None:
    assert load([], {"home": "/tmp/b"}).config.capture.enabled
    assert not load([], {"home": "/tmp/b", "capture.enabled": False}).config.capture.enabled


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rotate_s = 7000", "rotate_s = 7000: expected a divisor of a day, such as 900 or 3600"),
        ("disk_max_mb = 255", "disk_max_mb = 255: expected at least 256, four times capture.rot"),
        ("rotate_mb = 0", "rotate_mb = 0: "),
        ("disk_max = 5000", "unknown key 'capture.disk_max'; did you mean 'capture.disk_max_mb'?"),
        ("enabled = 1", "enabled = 1: "),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(
    tmp_path: Path, text: str, says: str
) -> None:
    assert says in refused(tmp_path, text)
