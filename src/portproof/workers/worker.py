"""`portproof worker`: takes tasks from a Dask scheduler, for the runtimes that are here."""

import asyncio
import contextlib
import os
import signal

import psutil
from distributed import Worker

from portproof.bundle import temporary
from portproof.bundle.errors import UsageError
from portproof.reporting.printing import note
from portproof.runtimes.listing import runtime_states
from portproof.sandbox.sandbox import obstacle
from portproof.workers import hush

# The names of resources: the runtimes, and GiB of memory.
RUNTIME = "portproof:"
MEMORY = "portproof-memory"
# Of the machine's memory, what tasks may take together.
_SHARE = 0.8
# Seconds between two looks for a scheduler that is gone, and for the first one.
_PAUSE, _PATIENCE = 2.0, 30.0


def serve_tasks(scheduler: str, name: str, threads: int, memory: float) -> None:
    """Take tasks until Ctrl-C; a scheduler that goes away is looked for.

    Args:
        scheduler: Its address, `tcp://...` or `tls://...`.
        name: The host's name in reports; empty: as everywhere.
        threads: Tasks at a time; 0: as many as there are cores.
        memory: GiB for all tasks together; 0: most of what the machine has.
    """
    if name:
        os.environ["PORTPROOF_HOST"] = name
    if reason := obstacle():
        raise UsageError(f"a worker needs a sandbox, and there can be none here, for {reason}.")
    here = [state.name for state in runtime_states() if not state.missing]
    if not here:
        raise UsageError("no runtime is here: portproof setup")
    threads = threads or os.cpu_count() or 1
    memory = memory or _SHARE * psutil.virtual_memory().total / 2**30
    resources = {f"{RUNTIME}{runtime}": float(threads) for runtime in here} | {MEMORY: memory}
    hush()
    note(f"{len(here)} runtimes, {threads} tasks at a time, {memory:.0f} GiB for them")
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _end)
    asyncio.run(_work(scheduler, threads, resources))


def _end(*_: object) -> None:
    """End at once, with what was started: the scheduler gives the open tasks to another worker.

    To close a Dask worker takes a scheduler that answers, and the end of its tasks.
    """
    note("ended")
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
    temporary.remove(temporary.root())
    os._exit(0)


async def _work(scheduler: str, threads: int, resources: dict[str, float]) -> None:
    """Be a worker of the scheduler, and of the one that comes in its place."""
    was_there = False
    while True:
        try:
            async with Worker(
                scheduler,
                nthreads=threads,
                resources=resources,
                memory_limit=0,  # what counts are the runners, which Dask does not see
                local_directory=str(temporary.root()),
                dashboard=False,
                death_timeout=_PATIENCE,
            ) as worker:
                was_there = True
                note(f"at work for {scheduler}")
                await worker.finished()
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            if not was_there:
                raise UsageError(f"{scheduler} is no scheduler that answers: {error}") from None
        note(f"{scheduler} is gone: looking for it")
        await asyncio.sleep(_PAUSE)
