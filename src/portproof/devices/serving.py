"""A bundle -> a link; who opens it runs the bundle's artifacts, and gets a report."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from portproof.bundle import atomic
from portproof.bundle.bundle import DEVICES, Bundle
from portproof.bundle.errors import UsageError
from portproof.bundle.report import Cell, Report
from portproof.devices import runtimes
from portproof.devices.device import Device
from portproof.devices.naming import named, unused
from portproof.devices.reports import of_device
from portproof.devices.server import DeviceServer
from portproof.reporting.shipping import not_to_text
from portproof.reporting.summary import deciding, overall
from portproof.runtimes.process import Limits
from portproof.verifying.scheduling import run_cells

_FAREWELL = 5.0  # seconds for the pages to ask for their verdicts, when it ends


@dataclass
class _Session:
    """A device, and what is known of it so far."""

    device: Device
    cells: list[Cell] = field(default_factory=list)
    report: Report | None = None


@dataclass
class DeviceService:
    """Serves a bundle to devices, and keeps a report for each.

    Attributes:
        bundle: The bundle.
        limit: Seconds for one call of a model.
        patience: Seconds that a device is waited for which went away.
        on_joined: Called with the name of each device that opens the link.
        on_report: Called with each device's name and report, one call at a time, and where that was
            written, or why it was not.
        unfinished: The devices that were not through when the service ended.
    """

    bundle: Bundle
    limit: float = 120.0
    patience: float = 600.0
    on_joined: Callable[[str], None] = lambda _: None
    on_report: Callable[[str, Report, str], None] = lambda _, __, ___: None
    unfinished: list[str] = field(default_factory=list)
    _closing: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sessions: dict[str, _Session] = field(default_factory=dict)
    _threads: list[threading.Thread] = field(default_factory=list)

    @contextmanager
    def running(self, host: str, port: int) -> Iterator[str]:
        """Serve, until the block ends. Gives the link's address, with the port and the token."""
        server = DeviceServer(self.bundle, runtimes.node_modules(), self._joined, self._state)
        # What a device sends that is no HTTP, it would print at length.
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL + 1)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="devices", daemon=True)
        thread.start()
        runner = web.AppRunner(server.app(), access_log=None)
        try:
            bound = asyncio.run_coroutine_threadsafe(_start(runner, host, port), loop).result()
            yield f"{bound}/{server.token}/"
        finally:
            with self._lock:
                self._closing = True  # no further device comes
            # Between two of its questions a page would wait for the verdict for ever.
            deadline = time.monotonic() + _FAREWELL
            for session in self._sessions.values():
                session.device.wait_until_told(deadline - time.monotonic())
                session.device.close()
            for running in self._threads:
                running.join()
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _joined(self, agent: str, versions: dict[str, str]) -> Device:
        with self._lock:
            if self._closing:
                raise UsageError("this link is over.")
            return self._begun(agent, versions)

    def _begun(self, agent: str, versions: dict[str, str]) -> Device:
        there = {path.stem for path in (self.bundle.path / DEVICES).glob("*.json")}
        name = unused(named(agent), {*self._sessions, *there})
        device = Device(name, agent, versions, self.limit, self.patience)
        device.versions = {**versions, **runtimes.versions()}
        self._sessions[name] = session = _Session(device)
        thread = threading.Thread(target=self._verify, args=(session,), name=name)
        self._threads.append(thread)
        self.on_joined(name)
        thread.start()
        return device

    def _verify(self, session: _Session) -> None:
        """Run the bundle on a device, and keep its report, if it stays."""
        device = session.device
        report = run_cells(
            [self.bundle],
            runtimes.device_runtimes(device),
            limits=Limits(request=self.limit),
            total_limit=float("inf"),
            on_cell=session.cells.append,
        )
        if device.closed:
            self.unfinished.append(device.name)
            return
        session.report = report = of_device(report, device.name, device.identity, device.agent)
        device.finish()
        file = self.bundle.path / DEVICES / f"{device.name}.json"
        try:
            atomic.write_text_anywhere(file, report.to_json())
            where = str(file)
        except OSError as error:
            where = f"not written to {file}: {error.strerror or error}"
        with self._lock:
            self.on_report(device.name, report, where)

    def _state(self, device: Device) -> dict[str, Any]:
        """What a device's page shows."""
        session = self._sessions[device.name]
        report, cells = session.report, list(session.cells)
        state: dict[str, Any] = {
            "model": self.bundle.manifest.model,
            "rows": list(_rows(report.cells if report else cells)),
            "done": report is not None,
        }
        if report:
            state |= {
                "outcome": report.outcome,
                "notTo": not_to_text(report),
                "why": "; ".join([*report.unproven, *report.unchecked][:3]),
            }
        return state


def _rows(cells: list[Cell]) -> Iterator[dict[str, str]]:
    """By artifact and runtime, the verdict so far and the reason for it."""
    grouped: dict[tuple[str, str], list[Cell]] = {}
    for cell in deciding(cells):
        grouped.setdefault((cell.full_format, cell.runtime), []).append(cell)
    for (artifact, runtime), group in grouped.items():
        verdict = overall(group)
        detail = next((c.detail for c in group if c.verdict == verdict and not c.passed), "")
        yield {"artifact": artifact, "runtime": runtime, "verdict": verdict, "detail": detail[:300]}


async def _start(runner: web.AppRunner, host: str, port: int) -> str:
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"{host}:{port} cannot be listened on: {reason}.") from None
    bound = runner.addresses[0][1]
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{bound}"
