"""A command beside services gets no further than one alone."""

from dataclasses import replace
from pathlib import Path

from sandbox.probing import probe
from sandbox.protocol import Environment, Sandbox

from .beside import Beside
from .conftest import Prepare

SOCKETS, FOLDERS = ("Unix sockets", "any visible"), ("files", "folders of the host")
"""The probes that see what the server itself makes, and the folder that its program is mounted in."""


def test_a_backend_withstands_the_probes_also_beside_services(
    backend: Sandbox, prepare: Prepare, tmp_path: Path
) -> None:
    made = prepare(postgresql={})
    services = replace(made, entry=None)  # another process gets it
    results = probe(Beside(backend, services))
    made.close()
    assert len(results) >= 90
    # Of the limits, that of processes is higher by what services may have, and some probes set less than these need.
    through = {(one.family, one.probe): one.evidence for one in results if one.passed is False}
    through = {name: evidence for name, evidence in through.items() if name[0] != "limits"}
    assert set(through) == {SOCKETS, FOLDERS}
    assert through[SOCKETS] == "/tmp/.s.PGSQL.5432"
    seen = through[FOLDERS]
    mounted = [f"{mount.target}/" for mount in services.added_to(Environment(tmp_path)).mounts]
    assert seen == "/tmp holds .penstock-services, .s.PGSQL.5432, .s.PGSQL.5432.lock" or any(
        place.startswith(f"{seen.replace(' holds ', '/')}/") for place in mounted
    )
