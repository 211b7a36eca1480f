"""A server that speaks as an OpenAI-compatible one does, on loopback, for a fleet to ask."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Model:
    """Answers every question with `answer`; keeps what it was asked, and by whom."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def reply(self) -> bytes:
        message = {"role": "assistant", "content": json.dumps(self.answer)}
        usage = {"prompt_tokens": 300, "completion_tokens": 40}
        return json.dumps({"choices": [{"index": 0, "message": message}], "usage": usage}).encode()


@contextmanager
def model(answer: dict[str, Any]) -> Iterator[Model]:
    """Run a model that always gives `answer`."""
    made = Model(answer)

    class Page(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            made.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            made.keys.append(self.headers.get("Authorization", ""))
            body = made.reply()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    made.port = int(server.server_address[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
