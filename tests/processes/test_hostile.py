"""A fleet whose exchange is broken in ways people have met: it says so, lives on, sends nothing."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.processes.fleet import BIN, Fleet, free_port, until

pytestmark = [pytest.mark.timeout(300), pytest.mark.fleet]
OTHER_SECRET = "YW5vdGhlci1zZWNyZXQtYWx0b2dldGhlcg=="
PAGES = {
    "HTML error pages": (502, b"<html><body>502 Bad Gateway</body></html>", "HTTP 502"),
    "empty answers": (200, b"", "an empty body"),
    "answers of somebody else": (200, b'{"hello": "world"}', ""),
}


@contextmanager
def server(status: int, body: bytes) -> Iterator[tuple[int, list[str]]]:
    """Answer everything with one page; yield the port, and the methods that were asked."""
    asked: list[str] = []

    class Page(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_any(self) -> None:
            asked.append(self.command)
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = do_any  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None: ...

    found = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    try:
        yield int(found.server_address[1]), asked
    finally:
        found.shutdown()
        found.server_close()


@contextmanager
def sandbox(folder: Path, *options: str) -> Iterator[int]:
    """Run a sandbox of its own, with `options`; yield its port."""
    port = free_port()
    arguments = [
        str(BIN / "btcbot"), "sandbox", "--port", str(port), *options,
        "--state", str(folder / "exchange"),
    ]  # fmt: skip
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


def reports(fleet: Fleet, text: str) -> bool:
    """Return whether the fleet's status or log says `text`, with every actor alive."""
    with suppress(AssertionError, json.JSONDecodeError):
        status = fleet.status()
        alive = all(row["state"] not in {"STOPPED", "STARTING"} for row in status["actors"])
        # Either of the two may have become the one who trades: whoever was first at the lock.
        log = "".join(p.read_text() for p in (fleet.home / "log").glob("execution*.log"))
        return alive and len(status["actors"]) == 7 and text in json.dumps(status) + log
    return False


@pytest.mark.parametrize("kind", PAGES)
def test_a_server_that_is_no_exchange_is_reported_and_nothing_is_sent_to_it(
    tmp_path: Path, kind: str
) -> None:
    status, body, text = PAGES[kind]
    with server(status, body) as (port, asked):
        fleet = Fleet(tmp_path / "home", BTCBOT__EXCHANGE__REST_URL=f"http://127.0.0.1:{port}")
        try:
            started = fleet.run("btcbot", "up", "--detach", "--wait", "8")
            assert started.returncode == 1
            assert "execution" in started.stderr
            until("it says what is wrong", lambda: reports(fleet, text or "exchange_trouble"), 20)
            assert fleet.status()["ready"] is False
            assert not {"POST", "DELETE"} & set(asked)
            assert fleet.export("orders") == []
        finally:
            fleet.end()


def test_a_wrong_secret_is_reported_with_its_remedy_and_stops_after_three_refusals(
    tmp_path: Path,
) -> None:
    with sandbox(tmp_path, "--api-secret", OTHER_SECRET) as port:
        fleet = Fleet(tmp_path / "home", BTCBOT__EXCHANGE__REST_URL=f"http://127.0.0.1:{port}")
        fleet.port = port
        try:
            assert fleet.run("btcbot", "up", "--detach", "--wait", "8").returncode == 1
            until("it names the signature", lambda: reports(fleet, "Invalid Signature"), 20)
            private = [row for row in fleet.truth("requests") if row["path"].startswith("/api/v1/")]
            assert 3 <= len(private) < 20  # The exchange blocks an address after 50 in a row.
            assert {row["method"] for row in private} == {"GET"}
        finally:
            fleet.end()


def test_a_port_nobody_listens_on_is_reported(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    fleet = Fleet(tmp_path / "home", BTCBOT__EXCHANGE__REST_URL=address)
    try:
        assert fleet.run("btcbot", "up", "--detach", "--wait", "8").returncode == 1
        until("it names the address", lambda: reports(fleet, address.removeprefix("http://")), 20)
        assert fleet.export("orders") == []
    finally:
        fleet.end()


def test_a_key_that_may_not_trade_is_named_with_what_it_lacks_and_nothing_is_sent(
    tmp_path: Path,
) -> None:
    grant = f"reader:{OTHER_SECRET}:funds,account,websocket"
    for name, text in (("key", "reader"), ("secret", OTHER_SECRET)):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(text)
    with sandbox(tmp_path, "--grant", grant) as port:
        fleet = Fleet(
            tmp_path / "home",
            BTCBOT__EXCHANGE__REST_URL=f"http://127.0.0.1:{port}",
            BTCBOT__EXCHANGE__API_KEY_FILE=str(tmp_path / "key"),
            BTCBOT__EXCHANGE__API_SECRET_FILE=str(tmp_path / "secret"),
        )
        fleet.port = port
        try:
            assert fleet.run("btcbot", "up", "--detach", "--wait", "8").returncode == 1
            until("it names what is lacking", lambda: reports(fleet, "lacks the permission"), 20)
            requests = fleet.truth("requests")
            assert not [row for row in requests if row["method"] in {"POST", "DELETE"}]
        finally:
            fleet.end()


def test_a_clock_ten_seconds_off_is_measured_and_every_stamp_is_right(tmp_path: Path) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text("clock_offset_s = 10.0\n")
    with sandbox(tmp_path, "--faults", str(faults)) as port:
        fleet = Fleet(tmp_path / "home", BTCBOT__EXCHANGE__REST_URL=f"http://127.0.0.1:{port}")
        fleet.port = port
        try:
            started = fleet.up()
            assert started.returncode == 0, started.stderr
            until("fills", lambda: fleet.export("fills"), 90, every=1)
            assert 401 not in {row["status"] for row in fleet.truth("requests")}
        finally:
            fleet.end()
