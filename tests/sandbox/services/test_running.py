"""PostgreSQL and Redis run beside a command in the sandbox, and give it nothing but their ports."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.environments.prepare import Options
from sandbox.environments.services import CONTROL, open_services, problem_of, programs
from sandbox.environments.wanted import EnvironmentRefused
from sandbox.process_tree import tree
from sandbox.protocol import Limit, Limits, Sandbox
from sandbox.python import python_runtime

from .conftest import LIMITS, Prepare, declarations, python_session, run_python

APP = {"user": "app", "password": "p@ss/word", "database": "app-tests"}
RESET = f"""
import socket
def anew():
    with socket.socket(socket.AF_UNIX) as control:
        control.connect({CONTROL!r})
        control.sendall(b"reset\\n")
        answer = control.recv(4096).decode()
    assert answer == "ok", answer
"""
CONNECT = """
import os, psycopg
def connect():
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
"""


def test_tests_find_a_real_database_by_the_usual_variables(backend: Sandbox, prepare: Prepare, tmp_path: Path) -> None:
    services = prepare(postgresql={**APP, "variables": {"URI": "postgresql+psycopg://{user}@{host}:{port}/{database}"}})
    code = f"""{CONNECT}
with connect() as one:
    one.execute("CREATE TABLE orders (id serial PRIMARY KEY, amount int)")
    one.execute("INSERT INTO orders (amount) VALUES (3), (4)")
with psycopg.connect("") as other:  # libpq's own variables
    print(other.execute("SELECT current_user, current_database(), sum(amount) FROM orders").fetchone())
    print(other.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()[0])
print(os.environ["URI"])
"""  # noqa: S608
    with python_session(backend, tmp_path, services) as session:
        printed = run_python(session, code).splitlines()
        again = run_python(session, f"{CONNECT}\nprint(connect().execute(\"SELECT to_regclass('orders')\").fetchone())")
    services.close()
    assert printed == ["('app', 'app-tests', 7)", "True", "postgresql+psycopg://app@localhost:5432/app-tests"]
    assert again == "(None,)"  # each command has a database of its own
    assert services.labels[0].startswith("PostgreSQL ")


def test_penstocks_own_postgresql_is_used_where_none_is_installed(
    backend: Sandbox, prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_PLACES", ())
    monkeypatch.setattr(programs.shutil, "which", lambda name: None)
    services = prepare(postgresql={"extensions": ["vector"]})
    code = f"{CONNECT}\nprint(connect().execute(\"SELECT '[1,2]'::vector <-> '[1,4]'\").fetchone()[0])"
    with python_session(backend, tmp_path, services) as session:
        printed = run_python(session, code)
    services.close()
    assert printed == "2.0"


def test_redis_answers_on_its_port_and_asks_for_its_password(
    backend: Sandbox, prepare: Prepare, tmp_path: Path
) -> None:
    services = prepare(redis={"port": 7000, "password": "secret"})
    code = """
import os, socket
with socket.create_connection((os.environ["REDIS_HOST"], int(os.environ["REDIS_PORT"]))) as one:
    for command in (b"INCR visits", b"AUTH secret", b"INCR visits"):
        one.sendall(command + b"\\r\\n")
        print(one.recv(100).decode().strip())
print(os.environ["REDIS_URL"])
"""
    with python_session(backend, tmp_path, services) as session:
        printed = run_python(session, code).splitlines()
    services.close()
    assert printed[0].startswith("-NOAUTH")
    assert printed[1:] == ["+OK", ":1", "redis://:secret@localhost:7000/0"]


def test_a_command_beside_services_has_no_capability_and_its_usual_user(
    backend: Sandbox, prepare: Prepare, tmp_path: Path
) -> None:
    services = prepare(postgresql={})
    code = """
import os
print(os.getuid(), os.getgid())
print([line.split() for line in open("/proc/self/status") if line.startswith("Cap")])
for change in (lambda: os.setuid(os.getuid() + 7), lambda: os.setgroups([7])):
    try: change()
    except PermissionError: print("refused")
    else: print("changed")
"""
    argv = [python_runtime().executable, "-c", code]
    with python_session(backend, tmp_path, services) as session:
        beside, alone = session.run(argv, services=True), session.run(argv)
    services.close()
    assert beside.stdout == alone.stdout
    assert beside.stdout.endswith(b"refused\nrefused\n")


def test_the_command_has_its_own_input_output_and_exit_code(backend: Sandbox, prepare: Prepare, tmp_path: Path) -> None:
    services = prepare(postgresql={})
    with python_session(backend, tmp_path, services) as session:
        echoed = session.run(["sh", "-c", "cat; echo to-stderr >&2; exit 7"], stdin=b"given\n", services=True)
        killed = session.run(["sh", "-c", "kill -KILL $$"], services=True)
        missing = session.run(["no-such-program"], services=True)
        process = session.start(["cat"], services=True)
        process.write_line(b"line")
        line = process.read_line(60.0)
        ended = process.finish()
    services.close()
    assert (echoed.exit_code, echoed.stdout, echoed.stderr) == (7, b"given\n", b"to-stderr\n")
    assert killed.exit_code == 128 + signal.SIGKILL
    assert missing.exit_code == 127
    assert (line, ended.exit_code) == (b"line", 0)


def test_variables_of_the_command_cannot_load_code_into_the_supervisor(
    backend: Sandbox, prepare: Prepare, tmp_path: Path
) -> None:
    services = prepare(postgresql={})
    with python_session(backend, tmp_path, services) as session:
        done = session.run(["true"], variables={"LD_PRELOAD": "/no/such.so"}, services=True)
    services.close()
    assert done.ok
    assert done.stderr.count(b"'/no/such.so' from LD_PRELOAD cannot be preloaded") == 1, done  # by the command alone


def test_services_start_anew_as_they_were_also_after_a_test_killed_one(
    backend: Sandbox, prepare: Prepare, tmp_path: Path
) -> None:
    services = prepare(postgresql=APP)
    code = f"""{CONNECT}{RESET}
anew()
with connect() as one:
    one.execute("CREATE TABLE orders (amount int)")
anew()
with connect() as one:
    print(one.execute("SELECT to_regclass('orders')").fetchone()[0])
    try:
        one.execute("COPY (SELECT 1) TO PROGRAM 'kill -9 $(head -1 postmaster.pid)'")
    except psycopg.OperationalError:
        pass
while True:
    try:
        connect().close()
    except psycopg.OperationalError:
        print("gone")
        break
anew()
print(connect().execute("SELECT 1").fetchone()[0])
"""
    with python_session(backend, tmp_path, services) as session:
        printed = run_python(session, code).split()
    services.close()
    assert printed == ["None", "gone", "1"]


SCHEMA = "CREATE TABLE orders (amount int)"


def test_setup_commands_fill_the_database_each_time_that_it_starts(
    backend: Sandbox, prepare: Prepare, tmp_path: Path
) -> None:
    (tmp_path / "fill.py").write_text(f"import psycopg\nwith psycopg.connect('') as one: one.execute('{SCHEMA}')\n")
    services = prepare(postgresql={**APP, "setup": "python fill.py"})
    code = f"""{CONNECT}{RESET}
anew()
connect().execute("INSERT INTO orders VALUES (1)")
anew()
print(connect().execute("SELECT count(*) FROM orders").fetchone()[0])
"""  # noqa: S608
    with python_session(backend, tmp_path, services) as session:
        printed = run_python(session, code)
    services.close()
    assert printed == "0"


def test_a_setup_command_that_fails_is_named_with_what_it_said(
    backend: Sandbox, prepare: Prepare, tmp_path: Path
) -> None:
    services = prepare(postgresql={"setup": ["true", "echo no such table; exit 3"]})
    with python_session(backend, tmp_path, services) as session:
        done = session.run(["echo", "never"], services=True)
    services.close()
    assert problem_of(done) == "the setup command 'echo no such table; exit 3' ended with 3: no such table"
    assert done.stdout == b""


def test_no_process_of_a_service_is_left_after_the_session(backend: Sandbox, prepare: Prepare, tmp_path: Path) -> None:
    services = prepare(postgresql={})

    def servers() -> list[int]:
        """Processes of this test that belong to PostgreSQL, or to the kernel in which it runs."""
        found = []
        for one in tree(os.getpid(), 10_000):
            command = Path(f"/proc/{one.pid}/cmdline")
            if one.state not in "ZX" and any(word in command.read_bytes() for word in (b"postgres", b"runsc-sandbox")):
                found.append(one.pid)
        return found

    before = set(servers())
    session = python_session(backend, tmp_path, services)
    process = session.start(["cat"], services=True)
    process.write_line(b"ready")
    assert process.read_line(120.0) == b"ready"
    assert set(servers()) - before
    session.close()
    services.close()
    assert set(servers()) - before == set()


def test_data_that_fill_the_memory_end_the_command_or_are_refused(
    backend: Sandbox, prepare: Prepare, tmp_path: Path
) -> None:
    services = prepare(postgresql=APP)
    limits = Limits(wall_seconds=240, cpu_seconds=240, memory_bytes=384 << 20)
    code = f"""{CONNECT}
with connect() as one:
    one.execute("CREATE TABLE filler (content text)")
    one.execute("ALTER TABLE filler ALTER content SET STORAGE EXTERNAL")
    one.execute("INSERT INTO filler SELECT repeat('x', 1000000) FROM generate_series(1, 1000)")
"""  # noqa: S608
    with python_session(backend, tmp_path, services, limits) as session:
        done = session.run([python_runtime().executable, "-c", code], services=True)
        after = session.run(["true"], services=True)
    services.close()
    # PostgreSQL says that the disk is full, or ends when it cannot write its log.
    assert done.limit is Limit.MEMORY or (done.exit_code == 1 and b"\npsycopg." in done.stderr), done
    assert after.ok


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["/bin/sleep", "600"], "Slow 1 did not answer within 1 s: it said nothing"),
        (["/bin/sh", "-c", "echo no room; exit 3"], "Slow 1 ended with 3: no room"),
        (["/no/such/server"], "FileNotFoundError"),
    ],
)
def test_a_service_that_does_not_get_ready_is_named_with_its_log(
    backend: Sandbox, prepare: Prepare, tmp_path: Path, command: list[str], expected: str
) -> None:
    services = prepare(postgresql={})
    slow = {"services": [{"name": "Slow 1", "kind": "redis", "port": 6000, "command": command}], "seconds": 1,
            "set_up": [], "set_up_seconds": 1}  # fmt: skip
    supervisor = (*services.supervisor[:-1], json.dumps(slow))
    with python_session(backend, tmp_path, replace(services, supervisor=supervisor, entry=None)) as session:
        done = session.run(["echo", "never"], services=True)
    services.close()
    assert expected in problem_of(done)
    assert done.stdout == b""


def test_services_are_refused_where_they_cannot_be_started(
    bubblewrap: Sandbox, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(bubblewrap), "name", "kubernetes")
    with pytest.raises(EnvironmentRefused, match=r"PostgreSQL \S+ .*not started in pods: run .*gvisor or bubblewrap"):
        open_services(declarations(postgresql={}), bubblewrap, Options(cache, "pods"))


def test_without_services_a_command_runs_as_ever(backend: Sandbox, prepare: Prepare, tmp_path: Path) -> None:
    services = prepare()
    with python_session(backend, tmp_path, services, LIMITS) as session:
        done = session.run(["sh", "-c", "echo $DATABASE_URL; ls /penstock 2>&1"], services=True)
    assert services.labels == ()
    assert b"postgres" not in done.stdout
