"""Fixtures of every room: a real PostgreSQL for the session, a fresh database for each test."""

import importlib.util
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest

from core.database import Database
from core.database.embedded import LOGIN, EmbeddedServer
from core.database.schema import upgrade

_numbers = itertools.count(1)

# An example may take as long as a busy machine makes it.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for environments, the same in all workers: what comes with a toolchain is compiled in it once."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared-cache"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedServer]:
    # Not below pytest's own folder: each start of pytest closes that to other users, and a server that
    # root starts runs as another user.
    with tempfile.TemporaryDirectory(prefix="penstock-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedServer(Path(folder) / "data")
        _spare_the_disk(server)
        server.ensure_database("template_penstock")
        upgrade(server.url("template_penstock", owner=True), login=LOGIN)
        yield server
        server.release()


def _spare_the_disk(server: EmbeddedServer) -> None:
    """Lets the session's server not wait for the disk, which is most of the time that a fresh database takes. That
    loses nothing when a process is killed, as tests do, but only when the machine is."""
    with psycopg.connect(server.url("postgres", owner=True), autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")  # type: ignore[arg-type]
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture
def database_name(postgres_server: EmbeddedServer) -> Iterator[str]:
    """The name of a fresh database with the current schema."""
    name = f"test_{next(_numbers)}"
    postgres_server.ensure_database(name, template="template_penstock")
    yield name
    with psycopg.connect(postgres_server.url("postgres", owner=True), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture
def database_url(postgres_server: EmbeddedServer, database_name: str) -> str:
    """The runtime login's URL of a fresh database."""
    return postgres_server.url(database_name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    db = Database(database_url)
    yield db
    db.close()


@pytest.fixture(scope="session")
def kafka_script() -> Any:
    """The module `deploy/dev/kafka_broker.py`, which belongs to no package."""
    return _module("deploy/dev/kafka_broker.py")


@pytest.fixture
def receiver() -> Iterator[Any]:
    """A collector of traces, an `OtlpReceiver` of `tests/otlp_receiver.py`."""
    from core import tracing
    from core.settings import Settings

    made = _module("tests/otlp_receiver.py").OtlpReceiver()
    yield made
    tracing.use(Settings(traces_endpoint=None), "penstock-test")
    tracing.close()
    made.stop()


@pytest.fixture(scope="session")
def prometheus_script() -> Any:
    """The module `deploy/dev/prometheus_server.py`, which belongs to no package."""
    return _module("deploy/dev/prometheus_server.py")


def _module(place: str) -> Any:
    name = "script_" + place.removesuffix(".py").replace("/", "_")
    specification = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / place)
    assert specification and specification.loader
    sys.modules[name] = module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def kafka(kafka_script: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real Apache Kafka broker for the session, a `KafkaServer` of `deploy/dev/kafka_broker.py`. Each worker has
    its own, since tests of faults stop it for a while."""
    try:
        server = kafka_script.start_kafka(tmp_path_factory.mktemp("kafka"), die_with_parent=True, secure=True)
    except kafka_script.KafkaMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield server
    server.stop(grace=0)


@pytest.fixture(scope="session")
def gitea() -> Iterator[Any]:
    """A real Gitea for the session, a `GiteaServer` of `deploy/dev/gitea.py`."""
    script = _module("deploy/dev/gitea.py")
    folder = Path(tempfile.mkdtemp(prefix="penstock-gitea-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        server = script.start_gitea(folder, die_with_parent=True)
    except script.GiteaMissing as error:
        shutil.rmtree(folder)
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def prism(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """GitHub's OpenAPI description as a checking mock server, a `PrismServer` of `deploy/dev/prism.py`."""
    script = _module("deploy/dev/prism.py")
    try:
        server = script.start_prism(tmp_path_factory.mktemp("prism"), die_with_parent=True)
    except script.PrismMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sandbox() -> Any:
    """The sandbox that `open_sandbox` chooses here."""
    from sandbox import open_sandbox
    from sandbox.protocol import SandboxUnavailable

    try:
        return open_sandbox()
    except SandboxUnavailable as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def model_server() -> Iterator[Any]:
    """A model server that can be told to misbehave, a `ModelServer` of `tests/model_server.py`."""
    server = _module("tests/model_server.py").ModelServer()
    yield server
    server.stop()


@pytest.fixture
def chat_server() -> Iterator[Any]:
    """A chat server that says what a script says, a `ChatServer` of `tests/chat_server.py`."""
    server = _module("tests/chat_server.py").ChatServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def ollama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real Ollama with all-MiniLM-L6-v2 in it, an `OllamaServer` of `deploy/dev/ollama_server.py`."""
    script = _module("deploy/dev/ollama_server.py")
    try:
        server = script.start_ollama(tmp_path_factory.mktemp("ollama"), die_with_parent=True)
    except script.OllamaMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def ollama_chat(ollama: Any) -> str:
    """The name of a small chat model on that Ollama."""
    script = _module("deploy/dev/ollama_server.py")
    try:
        name: str = script.add_chat_model(ollama)
    except script.OllamaMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    return name


@pytest.fixture
def git_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Git over https with passwords, a `GitServer` of `tests/git_server.py` that serves `<tmp_path>/repositories`."""
    state = tmp_path / "git-server"
    state.mkdir()
    server = _module("tests/git_server.py").GitServer(tmp_path / "repositories", state)
    monkeypatch.setenv("GIT_SSL_CAINFO", str(server.certificate))
    yield server
    server.stop()
