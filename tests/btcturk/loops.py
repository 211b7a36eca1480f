"""Runs an async test on the standard event loop and on uvloop, which buffers writes."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def on_both_loops(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Return `test` as two plain tests with the same fixtures and parameters."""

    def run(loop_name: str, **given: Any) -> None:
        async def main() -> None:
            await test(**given)

        with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
            runner.run(main())

    own = inspect.signature(test)
    named = inspect.Parameter("loop_name", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = own.replace(parameters=[*own.parameters.values(), named])  # type: ignore[attr-defined]
    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
    run.pytestmark = [*getattr(test, "pytestmark", [])]  # type: ignore[attr-defined]
    both: Callable[..., None] = pytest.mark.parametrize("loop_name", sorted(LOOPS))(run)
    return both
