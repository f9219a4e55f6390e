"""`portproof serve`: prints the link, and what each device gave."""

import io
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

import segno

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import UsageError
from portproof.bundle.report import Report
from portproof.devices.runtimes import lacking, node_modules
from portproof.devices.serving import DeviceService
from portproof.devices.static import write_site
from portproof.reporting.printing import note, say
from portproof.reporting.terminal import print_report

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve_devices(path: Path, host: str, port: int, time_limit: float, until: int) -> int:
    """Serve a bundle to devices until Ctrl-C, or until so many have a report.

    Args:
        path: The bundle's folder.
        host: The address to listen on.
        port: The port; 0: any.
        time_limit: Seconds for one call of a model.
        until: The number of devices; 0: no end.

    Returns the exit status. Raises UsageError where there is nothing to serve.
    """
    if not node_modules():
        raise UsageError("no library for browsers is here: portproof setup")
    bundle = Bundle.open(path)
    reports: dict[str, Report] = {}
    enough = threading.Event()

    def arrived(name: str, report: Report, where: str) -> None:
        reports[name] = report
        say(f"\n{name}: {where}")
        print_report(report)
        if until and len(reports) >= until:
            enough.set()

    service = DeviceService(
        bundle,
        limit=time_limit,
        on_joined=lambda name: note(f"{name} opened the link"),
        on_report=arrived,
    )
    try:
        with service.running(host, port) as address:
            link = _reachable(address, host)
            _show_link(link, host)
            say("Ctrl-C ends it; who has the link can run the bundle.")
            for name in lacking():
                note(
                    f"not served: {name}: portproof setup {name.replace('-browser-', '-chromium-')}"
                )
            enough.wait()
    except KeyboardInterrupt:
        pass
    if reports:
        say(f"portproof merge {path} {path}/devices/*.json makes one report of them.")
    for name in service.unfinished:
        note(f"{name} was not through: it has no report")
    statuses = [report.exit_status for report in reports.values()]
    # With --until the others were not waited for.
    return _exit_status([*statuses, *(() if until else (3 for _ in service.unfinished))])


def _show_link(link: str, host: str) -> None:
    """Print the link, and as a QR code where another device can open it."""
    if host in _LOOPBACK:
        say(f"{link}\n\nOpen it in any browser of this machine; for others: --host 0.0.0.0.")
        return
    drawn = io.StringIO()
    segno.make(link).terminal(out=drawn, compact=True)
    say(f"{drawn.getvalue()}\n{link}\n\nOpen it in any browser that reaches this machine.")


def write_static(path: Path, folder: Path) -> None:
    """Write a page for any web server. Raises UsageError where that cannot be."""
    if not node_modules():
        raise UsageError("no library for browsers is here: portproof setup")
    runtimes = write_site(Bundle.open(path), folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    say(f"{folder}: {size / 1e6:.0f} MB, for {', '.join(runtimes)}")
    say("Put it on any web server, by https where WebGPU counts, and open it in any browser.")
    note(f"to try it here: python -m http.server --directory {folder}")


def _exit_status(of_devices: Sequence[int]) -> int:
    """1 where a device does not prove it; else 3 where none came, or one did not stay."""
    if any(status not in (0, 3) for status in of_devices):
        return 1
    return 3 if 3 in of_devices or not of_devices else 0


def _reachable(address: str, host: str) -> str:
    """The link as another device may open it: with an address of this machine if needed."""
    if host not in ("0.0.0.0", "::"):
        return address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only finds the way out
            own = probe.getsockname()[0]
        except OSError:
            own = socket.gethostname()
    return address.replace(host if ":" not in host else f"[{host}]", own, 1)
