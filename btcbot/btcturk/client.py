"""httpx without its command line, which would bring rich, click and pygments into an actor.

`import httpx` runs the module of its command line if it can, and goes on without it if it cannot.
An actor starts 55 ms sooner and is 5 MB smaller without; nothing else of httpx is touched.
"""

import sys

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type] # "not to be imported"

import httpx  # noqa: E402 - only now

__all__ = ["httpx"]
