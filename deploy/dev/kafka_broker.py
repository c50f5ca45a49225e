#!/usr/bin/env python3
"""Installs Apache Kafka into the cache and runs one KRaft node of it on loopback, for development and tests.

Not for production: one node, no replication, and a listener without authentication. `secure` adds a listener that
requires TLS and SASL. `kafka_broker.py install | start | status | stop`; from Python, load it by path and call
`start_kafka`.
"""

import base64
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import servers
from servers import cache_folder, free_port, locked

VERSION = "4.1.0"
APT_PACKAGES = ("default-jre-headless", "maven")
READY_SECONDS = 120.0

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>penstock</groupId><artifactId>kafka-node</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""

_PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={secure}PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={secure}PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
log.dirs={logs}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=2
"""


USER = "penstock"
_SECURE = """sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
    user_{user}="{password}";
listener.name.secure.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location={keys}
"""


class KafkaMissing(RuntimeError):
    """Kafka cannot be installed here; the message says what is missing."""


class KafkaFailed(RuntimeError):
    """The node did not start; the message holds the end of its log."""


def install() -> Path:
    """The folder of Kafka's jars, which are downloaded if missing. Raises `KafkaMissing`."""
    home = cache_folder() / f"kafka-{VERSION}"
    libs = home / "libs"
    home.mkdir(parents=True, exist_ok=True)
    with locked(cache_folder() / f"kafka-{VERSION}.lock"):
        needed = ["java"] if libs.is_dir() else ["java", "mvn"]
        _require(needed)
        if libs.is_dir():
            return libs
        with tempfile.TemporaryDirectory(dir=home) as scratch:
            pom = Path(scratch) / "pom.xml"
            pom.write_text(_POM, encoding="utf-8")
            fetched = Path(scratch) / "libs"
            print(f"kafka: fetching Apache Kafka {VERSION} with Maven into {libs}", file=sys.stderr)  # noqa: T201
            command = [
                "mvn",
                "-q",
                "-B",
                "-f",
                str(pom),
                "dependency:copy-dependencies",
                f"-DoutputDirectory={fetched}",
            ]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
            if done.returncode != 0 or not list(fetched.glob("kafka_*.jar")):
                raise KafkaMissing(f"Maven could not fetch Kafka ({' '.join(command)}):\n{done.stdout[-2000:]}")
            fetched.rename(libs)
    return libs


def _require(programs: list[str]) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if not missing:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *APT_PACKAGES]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"kafka: {' '.join(command)}", file=sys.stderr)  # noqa: T201
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for step in (["apt-get", "update", "-qq"], command):
            subprocess.run(step, stdout=subprocess.DEVNULL, env=environment, timeout=600, check=False)
        missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise KafkaMissing(
            f"Kafka needs Java 17 or later, and Maven to download it; not found: {', '.join(missing)}. "
            f"Run as root: {' '.join(command)}"
        )


@dataclass(frozen=True)
class KafkaServer:
    """A running node. `bootstrap` is its address, host:port."""

    bootstrap: str
    pid: int
    data_dir: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False, compare=False)
    """Set when this process started it."""
    secure: str | None = None
    """Address, host:port, of the listener with TLS (trust `certificate`) and SASL (`USER` and `password`)."""

    @property
    def certificate(self) -> Path:
        return self.data_dir / "certificate.pem"

    @property
    def password(self) -> str:
        return (self.data_dir / "password").read_text(encoding="ascii")

    @property
    def port(self) -> int:
        return int(self.bootstrap.rpartition(":")[2])

    def stop(self, grace: float = 15.0) -> None:
        """Terminates the node, and kills it after `grace` seconds; 0 kills it immediately."""
        servers.stop(self.pid, lambda: _is_ours(self.pid, self.data_dir), grace, process=self.process)
        (self.data_dir / "kafka.pid").unlink(missing_ok=True)


def start_kafka(
    data_dir: Path, port: int | None = None, *, die_with_parent: bool = False, secure: bool = False
) -> KafkaServer:
    """Starts a node on `data_dir`, which is created or reused with its data, and waits until it answers.

    `port` defaults to the previous one, else a free one. `die_with_parent` ends the node with the calling process.
    `secure` adds a listener with TLS and SASL, for a new `data_dir`. Raises `KafkaMissing`, `KafkaFailed`.
    """
    libs = install()
    data_dir = data_dir.absolute()
    data_dir.mkdir(parents=True, exist_ok=True)
    running = running_kafka(data_dir)
    if running:
        return running
    port = port or _last_port(data_dir)
    problem = ""
    for _ in range(1 if port else 3):
        try:
            return _start(libs, data_dir, port or free_port(), die_with_parent, secure)
        except KafkaFailed as error:
            problem = str(error)
    raise KafkaFailed(problem)


def running_kafka(data_dir: Path) -> KafkaServer | None:
    """The node that runs on `data_dir`, or None."""
    noted = servers.read_pid(data_dir / "kafka.pid")
    if noted is None:
        return None
    server = KafkaServer(noted[1], noted[0], data_dir.absolute())
    return server if _is_ours(server.pid, server.data_dir) else None


def _start(libs: Path, data_dir: Path, port: int, die_with_parent: bool, secure: bool) -> KafkaServer:
    properties = data_dir / "server.properties"
    guarded = f"127.0.0.1:{free_port()}" if secure else None
    text = _PROPERTIES.format(
        port=port,
        controller=free_port(),
        logs=data_dir / "logs",
        secure=f"SECURE://{guarded}," if guarded else "",
    )
    properties.touch(mode=0o600)
    properties.write_text(text + (_trust(data_dir) if guarded else ""), encoding="utf-8")
    java = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", f"{libs}/*"]
    java.append("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
    if not (data_dir / "logs" / "meta.properties").is_file():
        _format(java, data_dir, properties, secure)
    log = data_dir / "server.log"
    process = servers.start([*java, "kafka.Kafka", str(properties)], log, die_with_parent=die_with_parent)
    server = KafkaServer(f"127.0.0.1:{port}", process.pid, data_dir, process, guarded)
    (data_dir / "kafka.pid").write_text(f"{process.pid} {server.bootstrap}\n", encoding="utf-8")
    if not servers.wait_until(lambda: _answers(server.bootstrap), process, READY_SECONDS):
        server.stop(grace=0)
        raise KafkaFailed(f"Kafka did not start on {server.bootstrap}; the end of {log}:\n{servers.tail(log)}")
    return server


def _trust(data_dir: Path) -> str:
    """The properties of the secure listener. Its certificate and password are created at the first start."""
    password, certificate, keys = (data_dir / name for name in ("password", "certificate.pem", "keys.pem"))
    if not keys.is_file():
        password.touch(mode=0o600)
        password.write_text(secrets.token_hex(16), encoding="ascii")
        keys.touch(mode=0o600)
        made = ("-newkey", "rsa:2048", "-nodes", "-keyout", str(keys), "-out", str(certificate), "-days", "30")
        names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        done = subprocess.run(["openssl", "req", "-x509", *made, *names], capture_output=True, timeout=60, check=False)
        if done.returncode != 0:
            raise KafkaFailed(f"openssl could not make a certificate:\n{done.stderr.decode(errors='replace')[-1000:]}")
        with keys.open("ab") as both:
            both.write(certificate.read_bytes())
    return _SECURE.format(user=USER, password=password.read_text(encoding="ascii"), keys=keys)


def _format(java: list[str], data_dir: Path, properties: Path, secure: bool) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    tool = [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)]
    if secure:
        password = (data_dir / "password").read_text(encoding="ascii")
        tool += ["--add-scram", f"SCRAM-SHA-512=[name={USER},password={password}]"]
    formatted = subprocess.run(tool, capture_output=True, text=True, timeout=60, check=False)
    if formatted.returncode != 0:
        raise KafkaFailed(f"Kafka could not format {data_dir}:\n{formatted.stdout}{formatted.stderr}")


def _answers(bootstrap: str) -> bool:
    host, _, port = bootstrap.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    from kafka.errors import KafkaError
    from kafka.net.compat import KafkaNetClient

    client = KafkaNetClient(bootstrap_servers=bootstrap)
    try:
        return bool(client.check_version(timeout_ms=5_000) and client.cluster.brokers())
    except KafkaError:
        return False
    finally:
        client.close()


def _last_port(data_dir: Path) -> int | None:
    try:
        text = (data_dir / "server.properties").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    line = next((line for line in text.splitlines() if line.startswith("advertised.listeners=")), "")
    return int(line.rpartition(":")[2]) if line else None


def _is_ours(pid: int, data_dir: Path) -> bool:
    """Whether `pid` is the node on `data_dir`, and not a later process with the same id."""
    return servers.holds(pid, str(data_dir / "server.properties"))


def main(arguments: list[str] | None = None) -> int:
    return servers.command_line(
        "kafka",
        "Apache Kafka for development: one node on loopback.",
        {
            "install": f"download Apache Kafka {VERSION} to the cache",
            "start": "start a node and print its address and process id",
            "status": "print the same; exit code 1 if none runs",
            "stop": "stop the node; its data stays",
        },
        install,
        lambda given: start_kafka(given.data, given.port, secure=given.secure),
        running_kafka,
        lambda server: f"{server.bootstrap}, process {server.pid}",
        (KafkaMissing, KafkaFailed),
        options=lambda parser: parser.add_argument(
            "--secure", action="store_true", help="add a listener with TLS and SASL; only for a new data folder"
        ),
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
