"""Tasks that cannot end unheard: a failure nobody expected is logged and told."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger("btcbot.btcturk")


class Tasks:
    """Holds running tasks; the event loop itself holds them only weakly."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], on_failure: Callable[[str], None]) -> None:
        """Run `work`; `on_failure` is told of an exception that it did not handle itself."""

        def done(task: asyncio.Task[None]) -> None:
            self._running.discard(task)
            error = None if task.cancelled() else task.exception()
            if error is not None:
                log.error("task_failed", exc_info=error)
                on_failure(f"our own error: {type(error).__name__}: {error}"[:300])

        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(done)

    async def close(self) -> None:
        """Cancel what runs and wait for its end."""
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
