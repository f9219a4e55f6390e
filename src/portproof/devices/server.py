"""What a device's browser talks to: files of the page, the libraries and the bundle, and tasks.

Everything is below `/TOKEN/`, which only those have to whom the link was given. A device can send
what it calls itself and answers to the tasks that it was asked; each has its limit, which is looked
at before the body is read.
"""

import asyncio
import json
import os
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from portproof.bundle.bundle import Bundle
from portproof.bundle.text import printable
from portproof.devices.device import MAX_LINE, Device, Task
from portproof.runtimes import javascript
from portproof.runtimes.protocol import ProtocolError

PAGE = Path(__file__).parent / "page"
# Devices that one link is for.
MAX_DEVICES = 64
# Bytes of what a device says of itself, and characters of each part of it.
_MAX_WORDS, _MAX_WORD = 8 << 10, 300
# Bytes of an answer of which nobody knows how large it is to be: a call that is only timed.
_MAX_ANSWER = 1 << 28
_PART = 1 << 20
# Seconds that a page waits for its next task before it asks again.
_POLL = 20.0
_TYPES = {".html": "text/html", ".css": "text/css", ".json": "application/json"}
_TYPES |= {".wasm": "application/wasm", ".js": "text/javascript", ".mjs": "text/javascript"}
# The libraries compile WASM and shaders, and one of them functions; nothing is asked of elsewhere.
_OVER = "This link is not whole, or it is over: ask for it again where `portproof serve` runs.\n"
_HEADERS = {
    "Content-Security-Policy": "default-src 'self' blob: data:; frame-ancestors 'self'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@dataclass
class DeviceServer:
    """Answers the pages of devices.

    Attributes:
        bundle: The bundle whose artifacts are served.
        modules: The folders of the libraries.
        join: Called with a new device's words, what it says of itself; gives the device.
        state: Gives what a device's page shows of it.
        token: What the link begins with.
        devices: By key, those that came.
    """

    bundle: Bundle
    modules: list[Path]
    join: Callable[[str, dict[str, str]], Device]
    state: Callable[[Device], dict[str, Any]]
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    devices: dict[str, Device] = field(default_factory=dict)
    _sending: set[str] = field(default_factory=set)

    def app(self) -> web.Application:
        """The application to run."""
        app = web.Application(middlewares=[self._guard], client_max_size=_MAX_WORDS)
        routes: list[tuple[str, str, Callable[[web.Request], Awaitable[web.StreamResponse]]]] = [
            ("GET", "/{token}", self._completed),
            ("GET", "/{token}/", self._index),
            ("GET", "/{token}/app/{path:.+}", self._file),
            ("GET", "/{token}/artifact/{path:.+}", self._artifact),
            ("POST", "/{token}/devices", self._opened),
            ("GET", "/{token}/devices/{key}/{page}/task", self._task),
            ("GET", "/{token}/devices/{key}/{page}/inputs", self._inputs),
            ("POST", "/{token}/devices/{key}/{page}/answer", self._answer),
            ("POST", "/{token}/devices/{key}/{page}/left", self._left),
        ]
        for method, path, handler in routes:
            app.router.add_route(method, path, handler)
        return app

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Nothing without the token; every answer with the headers that keep the page here."""
        token = request.match_info.get("token", "")
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            return web.Response(status=404, text=_OVER)
        if "Content-Encoding" in request.headers:
            return web.Response(status=415, headers=_HEADERS)
        try:
            response = await handler(request)
        except web.HTTPException as refused:
            return web.Response(status=refused.status, text=refused.text, headers=_HEADERS)
        except ConnectionError:
            raise
        except Exception:  # whatever a device sends that nobody thought of
            return web.Response(status=400, headers=_HEADERS)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    async def _completed(self, _: web.Request) -> web.StreamResponse:
        """The link without its last character, as messengers cut it."""
        raise web.HTTPFound(f"/{self.token}/")

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return await _sent(request, PAGE / "device.html")

    async def _file(self, request: web.Request) -> web.StreamResponse:
        """A file of the pages, or of a library."""
        path = request.match_info["path"]
        if path.startswith("node_modules/"):
            folders, path = self.modules, path.removeprefix("node_modules/")
        else:
            folders = [PAGE, javascript.FOLDER]
        for folder in map(Path.resolve, folders):
            file = (folder / path).resolve()
            if file.suffix in _TYPES and file.is_relative_to(folder) and file.is_file():
                return await _sent(request, file)
        raise web.HTTPNotFound

    async def _artifact(self, request: web.Request) -> web.StreamResponse:
        """A file of an artifact, and nothing else of the bundle."""
        path = request.match_info["path"]
        for artifact in self.bundle.manifest.artifacts:
            if any(file.path == path for file in artifact.files):
                return await _sent(request, self.bundle.artifact_path(path))
        raise web.HTTPNotFound

    async def _opened(self, request: web.Request) -> web.StreamResponse:
        """A page was opened: of a device that is known by its key, or of a new one."""
        words = await _json(request)
        device = self.devices.get(str(words.get("key", "")))
        if device is None:
            if len(self.devices) >= MAX_DEVICES:
                raise web.HTTPTooManyRequests(text="too many devices have opened this link")
            told = words.get("versions")
            pairs = list(told.items())[:8] if isinstance(told, dict) else []
            device = self.join(_word(words.get("agent")), {_word(k): _word(v) for k, v in pairs})
            self.devices[device.key] = device
        return web.json_response({"key": device.key, "page": device.opened(), "name": device.name})

    def _device(self, request: web.Request) -> tuple[Device, int]:
        device = self.devices.get(request.match_info["key"])
        if device is None:
            raise web.HTTPNotFound
        return device, _number(request.match_info["page"])

    async def _task(self, request: web.Request) -> web.StreamResponse:
        """What the page shows, and what it is to compute next, if there is something yet."""
        device, page = self._device(request)
        if not device.is_current(page):
            raise web.HTTPConflict(text="this device has opened the link once more")
        task = await asyncio.to_thread(device.next, page, _POLL)
        state = self.state(device)
        if state["done"]:
            device.told()
        return web.json_response({"state": state, "task": task and self._told(task)})

    def _told(self, task: Task) -> dict[str, Any]:
        request, root = task.request, self.bundle.artifact_path("")
        return {
            "number": task.number,
            "artifact": Path(request.artifact).relative_to(root).as_posix(),
            "format": request.format,
            "signature": request.signature,
            "byRow": request.by_row,
            "timed": request.timed,
            **request.options,
        }

    async def _inputs(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=self._asked(request)[1].inputs)

    def _asked(self, request: web.Request) -> tuple[Device, Task]:
        device, page = self._device(request)
        number = _number(request.query.get("task", ""))
        task = device.task(number) if device.is_current(page) else None
        if task is None:
            raise web.HTTPConflict(text="this task is over")
        return device, task

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        device, task = self._asked(request)
        if device.key in self._sending:
            raise web.HTTPConflict(text="an answer of this device is on its way")
        self._sending.add(device.key)
        try:
            return await self._received(request, device, task)
        finally:
            self._sending.discard(device.key)

    async def _received(
        self, request: web.Request, device: Device, task: Task
    ) -> web.StreamResponse:
        largest = MAX_LINE + min(task.largest, _MAX_ANSWER)
        if (request.content_length or 0) > largest:
            raise web.HTTPRequestEntityTooLarge(int(largest), request.content_length or 0)
        content = bytearray()
        async for part in request.content.iter_any():
            content += part
            if len(content) > largest:
                raise web.HTTPRequestEntityTooLarge(int(largest), len(content))
        try:
            device.answered(task, bytes(content))
        except ProtocolError as error:
            raise web.HTTPBadRequest(text=printable(str(error))) from None
        return web.Response(status=204)

    async def _left(self, request: web.Request) -> web.StreamResponse:
        device, page = self._device(request)
        device.left(page)
        return web.Response(status=204)


async def _sent(request: web.Request, file: Path) -> web.StreamResponse:
    """This very file: aiohttp's own FileResponse would take a `.gz` beside it in its place."""
    response = web.StreamResponse(headers=_HEADERS)
    response.content_type = _TYPES.get(file.suffix, "application/octet-stream")
    with file.open("rb") as stream:
        response.content_length = os.fstat(stream.fileno()).st_size
        await response.prepare(request)
        while part := stream.read(_PART):
            await response.write(part)
    await response.write_eof()
    return response


def _number(text: str) -> int:
    """A small whole number; 0, which none has, of anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        content = json.loads(await request.read())
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise web.HTTPBadRequest(text="this is no JSON object")
    return content


def _word(said: object) -> str:
    """What a device says, as people may read it."""
    return printable(str(said or ""))[:_MAX_WORD]
