"""What the client brings into an actor: no terminal library, and httpx that still works."""

import subprocess
import sys


def test_the_client_brings_no_terminal_library_into_an_actor() -> None:
    code = (
        "import sys, btcbot.btcturk.venue, btcbot.btcturk.feed, httpx;"
        "print(sorted({'click', 'rich', 'pygments', 'uvicorn'} & set(sys.modules)));"
        "httpx.Client().close()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"
