"""Secrets: which files are read, and that nothing shows them afterwards."""

import copy
import io
import json
import logging
import os
import pickle
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec
import pytest

from btcbot import logs
from btcbot.secret import Secret, SecretError, leaks, read_secret, write_secret

CANARY = "c2VjcmV0LWNhbmFyeS1vZi10aGUtdGVzdHM="


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    write_secret(path, CANARY)
    return path


def test_reads_a_file_that_only_we_can_read(file: Path) -> None:
    assert read_secret(file).reveal() == CANARY
    assert file.stat().st_mode & 0o777 == 0o600


def test_writing_never_replaces_what_is_there(file: Path) -> None:
    write_secret(file, "another")

    assert read_secret(file).reveal() == CANARY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777, 0o610])
def test_refuses_a_file_that_others_can_reach(file: Path, mode: int) -> None:
    file.chmod(mode)

    with pytest.raises(SecretError, match=f"{mode:04o}.*chmod 600"):
        read_secret(file)


def test_refuses_a_link_a_folder_and_nothing(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)

    os.mkfifo(tmp_path / "pipe")

    for path in (link, tmp_path, tmp_path / "none", tmp_path / "pipe"):
        with pytest.raises(SecretError, match=path.name):
            read_secret(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_refuses_a_file_of_another_user(file: Path) -> None:
    os.chown(file, 12345, -1)

    with pytest.raises(SecretError, match="owned by uid 12345"):
        read_secret(file)


@pytest.mark.parametrize("content", [b"", b"  \n", b"x" * 5000, "schlüssel".encode()])
def test_refuses_what_is_no_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd"
    path.touch(mode=0o600)
    path.write_bytes(content)

    with pytest.raises(SecretError, match="odd"):
        read_secret(path)


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret(CANARY)

    assert CANARY not in f"{secret} {secret!r} {[secret]} {vars}"
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy, msgspec.json.encode):
        with pytest.raises(TypeError):
            attempt(secret)


def test_a_line_with_a_secret_in_it_is_withheld(capsys: pytest.CaptureFixture[str]) -> None:
    secret = Secret(CANARY)
    out = io.StringIO()
    log = told_to(out)

    log.info("plain", extra={"key": secret.reveal()})
    log.info("%s", CANARY)
    log.info("harmless", extra={"key": secret, "hex": "00"})

    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["secret_withheld", "secret_withheld", "harmless"]
    assert lines[2]["key"] == "Secret(hidden)"
    assert CANARY not in out.getvalue() + capsys.readouterr().err
    assert leaks(f"x{CANARY.encode().hex()}x")


def test_a_log_line_has_the_public_fields_and_no_control_characters() -> None:
    out = io.StringIO()
    log = told_to(out)

    log.warning("order_refused", extra={"pair": "BTCTRY\x1b[2J\n", "order_id": 2**60})
    try:
        Decimal("boom")
    except InvalidOperation:
        log.exception("gone")

    first, second = map(json.loads, out.getvalue().splitlines())
    assert list(first)[:6] == ["ts", "level", "actor", "run_id", "mode", "event"]
    assert first["ts"].endswith("Z")
    assert len(first["ts"]) == len("2026-11-22T18:00:00.000000000Z")
    assert (first["actor"], first["run_id"], first["mode"]) == ("execution", "r1", "sandbox")
    assert (first["level"], first["order_id"]) == ("WARNING", 2**60)
    assert "\x1b" not in out.getvalue()
    assert "InvalidOperation" in second["error"]


def told_to(out: io.StringIO) -> logging.Logger:
    """Return a logger whose only handler writes what `configure` would have written."""
    log = logging.Logger("btcbot.test")  # noqa: LOG001 (the root logger is pytest's)
    handler = logging.StreamHandler(out)
    handler.setFormatter(logs.JsonLines("execution", "r1", "sandbox"))
    log.addHandler(handler)
    return log


def test_configure_takes_over_warnings_and_last_words(tmp_path: Path) -> None:
    code = (
        "import warnings; from btcbot import logs;"
        "logs.configure('control', run_id='r', mode='sandbox');"
        "warnings.warn('old', stacklevel=1); raise RuntimeError('last')"
    )
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )

    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert [event["level"] for event in events] == ["WARNING", "CRITICAL"]
    assert (events[0]["event"], events[0]["library"]) == ("library_message", "py.warnings")
    assert "old" in events[0]["error"]
    assert events[1]["event"] == "crashed"
    assert "RuntimeError: last" in events[1]["error"]
