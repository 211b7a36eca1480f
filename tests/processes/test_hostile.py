"""A fleet whose exchange is broken in ways people have met: it says so, lives on, sends nothing."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from btcbot.simulation.defaults import API_KEY
from tests.processes.fleet import BIN, Fleet, free_port, until

pytestmark = [pytest.mark.timeout(300), pytest.mark.fleet]
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
def sandbox(folder: Path, secret: str) -> Iterator[int]:
    """Run a sandbox of its own, with the fleet's key and a secret that is not the fleet's."""
    port = free_port()
    arguments = [
        str(BIN / "btcbot"), "sandbox", "--port", str(port), "--api-key", API_KEY,
        "--api-secret", secret, "--state", str(folder / "exchange"),
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
        log = (fleet.home / "log" / "execution.log").read_text()
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
    with sandbox(tmp_path, "YW5vdGhlci1zZWNyZXQtYWx0b2dldGhlcg==") as port:
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
