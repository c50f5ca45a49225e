"""An API server for tests, on loopback: pods, `exec` over websockets, access reviews and network policies, as the
Kubernetes API describes them. What is run, is run: see `fake_pod`. Faults are injected by tests."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from sandbox.kubernetes.manifests import namespace_objects

from .fake_pod import ENVIRONMENT, FakePod

TOKEN = "a-token-of-the-fake-cluster"
NAMESPACE = "penstock-sandboxes"
_PROTOCOL = "v4.channel.k8s.io"


@dataclass
class Fault:
    """An answer in place of the real one, for the next `times` requests whose method and path `matches`."""

    matches: Callable[[str, str], bool]
    status: int
    times: int = 1
    message: str = "injected"
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False
    """The request takes effect all the same."""


def is_exec(method: str, path: str) -> bool:
    return path.endswith("/exec")


class FakeCluster:
    def __init__(self, folder: Path, claims: dict[str, Path], tls: tuple[Path, Path] | None = None) -> None:
        self.pods: dict[str, FakePod] = {}
        self.created: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str]] = []
        self.faults: list[Fault] = []
        self.hold: Callable[[FakePod], None] | None = None
        """Called in place of starting a new pod."""
        self.policies = [o for o in namespace_objects(NAMESPACE, "penstock", "w") if o["kind"] == "NetworkPolicy"]
        self.shell: Path | None = None
        self.programs: Path | None = None
        """Of the image: see `FakePod`."""
        self.scripts: list[str] = []
        """What was run by `exec`."""
        self._connections: dict[str, set[asyncio.Task[None]]] = {}
        self._folder = folder
        self._claims = claims
        listener = socket.create_server(("127.0.0.1", 0))
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):  # small, so that a side that does not read is noticed soon
            listener.setsockopt(socket.SOL_SOCKET, option, 1 << 16)
        self.port = listener.getsockname()[1]
        pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
        routes = [
            Route(pods, self._collection, methods=["GET", "POST"]),
            Route(f"{pods}/{{name}}", self._pod, methods=["GET", "DELETE"]),
            Route(f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies", self._policies),
            WebSocketRoute(f"{pods}/{{name}}/exec", self._exec),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes), log_level="error", lifespan="off", ws="websockets-sansio",
            timeout_graceful_shutdown=1,
            ssl_keyfile=str(tls[1]) if tls else None, ssl_certfile=str(tls[0]) if tls else None,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(listener)), daemon=True)
        self._thread.start()

    async def _serve(self, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve(sockets=[listener])

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        for pod in self.pods.values():
            pod.delete()

    def cut(self, name: str) -> None:
        """Ends all connections of commands in a pod, without a status; the commands go on."""
        assert self._loop is not None
        for task in list(self._connections.get(name, ())):
            self._loop.call_soon_threadsafe(task.cancel)

    def _fault(self, method: str, path: str) -> Fault | None:
        self.requests.append((method, path))
        for fault in self.faults:
            if fault.times > 0 and fault.matches(method, path):
                fault.times -= 1
                return fault
        return None

    async def _answer(self, request: Request, act: Callable[[], tuple[int, dict[str, Any]]]) -> Response:
        fault = self._fault(request.method, request.url.path)
        if fault is None and request.headers.get("authorization") != f"Bearer {TOKEN}":
            return JSONResponse(_failure("Unauthorized", 401), 401)
        if fault is None or fault.after:
            status, content = await asyncio.to_thread(act)
        if fault is not None:
            return JSONResponse(_failure(fault.message, fault.status), fault.status, headers=fault.headers)
        return JSONResponse(content, status)

    async def _collection(self, request: Request) -> Response:
        if request.method == "GET":
            return await self._answer(request, lambda: (200, {"items": [self._shown(p) for p in self.pods.values()]}))
        manifest = json.loads(await request.body())
        return await self._answer(request, lambda: self._create(manifest))

    def _create(self, manifest: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        name = manifest["metadata"]["name"]
        if name in self.pods:
            return 409, _failure(f'pods "{name}" already exists', 409)
        pod = FakePod(manifest, self._folder, self._claims, self.port, self.shell, self.programs)
        self.created.append(manifest)
        self.pods[name] = pod
        if self.hold is not None:
            self.hold(pod)
        else:
            pod.start()
        return 201, self._shown(pod)

    async def _pod(self, request: Request) -> Response:
        name = request.path_params["name"]
        return await self._answer(request, lambda: self._one(request.method, name))

    def _one(self, method: str, name: str) -> tuple[int, dict[str, Any]]:
        pod = self.pods.get(name)
        if pod is None:
            return 404, _failure(f'pods "{name}" not found', 404)
        if method == "DELETE":
            del self.pods[name]
            pod.delete()
        return 200, self._shown(pod)

    async def _policies(self, request: Request) -> Response:
        return await self._answer(request, lambda: (200, {"items": self.policies}))

    @staticmethod
    def _shown(pod: FakePod) -> dict[str, Any]:
        return {**pod.manifest, "status": pod.status()}

    async def _exec(self, websocket: WebSocket) -> None:
        name = websocket.path_params["name"]
        fault = self._fault("GET", websocket.url.path)
        pod = self.pods.get(name)
        status = 404 if pod is None else 0
        if websocket.headers.get("authorization") != f"Bearer {TOKEN}":
            status = 401
        if fault is not None:
            status = fault.status
        if status or pod is None:
            said = _failure(fault.message if fault else f'pods "{name}" not found', status)
            await websocket.send_denial_response(JSONResponse(said, status, headers=fault.headers if fault else None))
            return
        assert _PROTOCOL in websocket.headers["sec-websocket-protocol"]
        await websocket.accept(subprotocol=_PROTOCOL)
        argv = websocket.query_params.getlist("command")
        self.scripts.append(argv[-1])
        task = asyncio.ensure_future(_Exec(websocket, pod).run(argv))
        self._connections.setdefault(name, set()).add(task)
        try:
            await task
        except asyncio.CancelledError:
            await websocket.close(1011)
        except (WebSocketDisconnect, RuntimeError):
            pass  # the client has closed the connection; the command goes on
        finally:
            self._connections[name].discard(task)


class _Exec:
    """One command: it ends when the program has ended and nobody holds its outputs open any more, as on a node."""

    def __init__(self, websocket: WebSocket, pod: FakePod) -> None:
        self._websocket = websocket
        self._pod = pod

    async def run(self, argv: list[str]) -> None:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self._pod.command(argv), stdin=pipe, stdout=pipe, stderr=pipe, env=ENVIRONMENT, limit=1 << 15
        )
        assert process.stdout and process.stderr
        feeding = asyncio.ensure_future(self._feed(process))
        try:
            await asyncio.gather(self._copy(process.stdout, 1), self._copy(process.stderr, 2))
            code = await process.wait()
        finally:
            feeding.cancel()
        await self._websocket.send_bytes(b"\x03" + json.dumps(_status(code if code >= 0 else 128 - code)).encode())
        await self._websocket.close()

    async def _feed(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin
        while True:
            data = await self._websocket.receive_bytes()
            assert data[0] == 0
            try:
                process.stdin.write(data[1:])
                await process.stdin.drain()
            except (BrokenPipeError, ConnectionResetError):
                continue  # the program does not read it

    async def _copy(self, stream: asyncio.StreamReader, channel: int) -> None:
        while data := await stream.read(1 << 15):
            await self._websocket.send_bytes(bytes((channel,)) + data)


def _status(code: int) -> dict[str, Any]:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    cause = {"reason": "ExitCode", "message": str(code)}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [cause]},
    }


def _failure(message: str, code: int) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
