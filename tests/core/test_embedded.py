"""The embedded server is set up for the machine that it runs on, and a user's own settings stay."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from core.database import embedded
from core.database.embedded import DatabaseNotStarted, EmbeddedServer


def test_shared_buffers_follow_the_memory_of_the_machine(postgres_server: EmbeddedServer) -> None:
    with psycopg.connect(postgres_server.url("postgres", owner=True)) as connection:
        row = connection.execute("SELECT setting::bigint * 8 / 1024 FROM pg_settings WHERE name = 'shared_buffers'")
        assert row.fetchone() == (max(128, min(2048, embedded.memory_megabytes() // 8)),)


def test_a_settings_file_is_read_last_and_named_once(tmp_path: Path) -> None:
    main = tmp_path / "postgresql.conf"
    main.write_text("shared_buffers = 1MB\nwork_mem = 7MB", encoding="utf-8")
    before = os.umask(0o077)
    try:
        embedded._configure(tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "penstock.conf").stat().st_mode & 0o777 == 0o644, "the server's own user reads it"
    written = main.read_text(encoding="utf-8")
    embedded._configure(tmp_path)
    assert main.read_text(encoding="utf-8") == written
    assert written.splitlines() == ["shared_buffers = 1MB", "work_mem = 7MB", "include_if_exists = 'penstock.conf'"]
    assert "shared_buffers" in (tmp_path / "penstock.conf").read_text(encoding="utf-8")


def test_a_containers_limit_counts_as_its_memory(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("536870912\n", encoding="ascii")
    assert embedded.memory_megabytes(limit) == 512
    limit.write_text("max\n", encoding="ascii")
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    assert embedded.memory_megabytes(limit) == embedded.memory_megabytes(tmp_path / "missing") == whole


def test_a_pid_that_is_now_a_strangers_is_not_taken_for_the_server() -> None:
    with tempfile.TemporaryDirectory(prefix="penstock-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedServer(Path(folder) / "data")
        stranger = subprocess.Popen(["sleep", "600"])
        try:
            pid_file = Path(folder) / "data" / "postmaster.pid"
            lines = pid_file.read_text(encoding="ascii")
            former = server.pid
            os.kill(former, signal.SIGKILL)
            deadline = time.monotonic() + 60
            while server.alive():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            pid_file.write_text(lines.replace(str(former), str(stranger.pid), 1), encoding="ascii")
            assert not server.alive()
            while not server.alive():
                try:
                    server.start_again()
                except DatabaseNotStarted:
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
            assert server.pid != stranger.pid
            assert stranger.poll() is None
        finally:
            server.release()
            stranger.kill()
            stranger.wait()


def test_a_killed_server_is_started_again_at_the_same_address_with_what_was_committed() -> None:
    with tempfile.TemporaryDirectory(prefix="penstock-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedServer(Path(folder) / "data")
        try:
            server.ensure_database("kept")
            url = server.url("kept", owner=True)
            for life in range(3):
                assert server.alive()
                with psycopg.connect(url) as connection:
                    connection.execute("CREATE TABLE IF NOT EXISTS lives (number integer)")
                    connection.execute("INSERT INTO lives VALUES (%s)", (life,))
                os.kill(server.pid, signal.SIGKILL)
                deadline = time.monotonic() + 60
                while server.alive():
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                while not server.alive():
                    try:
                        server.start_again()
                    except DatabaseNotStarted:
                        assert time.monotonic() < deadline
                        time.sleep(0.2)
                assert server.url("kept", owner=True) == url
            with psycopg.connect(url) as connection:
                assert connection.execute("SELECT number FROM lives ORDER BY number").fetchall() == [(0,), (1,), (2,)]
        finally:
            server.release()


HOLDER = """
import sys, time
from pathlib import Path
from core.database.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
print(server.pid, flush=True)
time.sleep(600)
"""


def test_a_server_is_stopped_by_the_last_holder_although_another_was_killed() -> None:
    with tempfile.TemporaryDirectory(prefix="penstock-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        data = Path(folder) / "data"
        assert embedded.running(data) is None
        server = EmbeddedServer(data)
        try:
            place = embedded.running(data)
            assert place is not None
            assert embedded.address(place, "postgres", owner=True) == server.url("postgres", owner=True)
            other = subprocess.Popen([sys.executable, "-c", HOLDER, str(data)], stdout=subprocess.PIPE)
            assert other.stdout is not None
            assert int(other.stdout.readline()) == server.pid
            other.kill()
            other.wait()
            other.stdout.close()
        finally:
            server.release()
        assert not server.alive()
        assert embedded.running(data) is None


def test_a_pid_file_of_before_a_reboot_that_names_a_stranger_does_not_keep_the_server_from_starting() -> None:
    with tempfile.TemporaryDirectory(prefix="penstock-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        data = Path(folder) / "data"
        first = EmbeddedServer(data)
        lines = (data / "postmaster.pid").read_text(encoding="ascii")
        first.release()
        (data / "postmaster.pid").write_text(lines.replace(lines.split()[0], str(os.getpid()), 1), encoding="ascii")
        assert embedded.running(data) is None
        server = EmbeddedServer(data)
        try:
            assert server.alive()
        finally:
            server.release()
