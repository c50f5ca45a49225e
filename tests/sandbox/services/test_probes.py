"""A command beside services gets no further than one alone."""

from dataclasses import replace

from sandbox.probing import probe
from sandbox.protocol import Sandbox

from .beside import Beside
from .conftest import Prepare

OF_THE_SERVER = {
    ("Unix sockets", "any visible"): "/tmp/.s.PGSQL.5432",
    ("files", "folders of the host"): "/tmp holds .penstock-services, .s.PGSQL.5432, .s.PGSQL.5432.lock",
}


def test_a_backend_withstands_the_probes_also_beside_services(backend: Sandbox, prepare: Prepare) -> None:
    services = prepare(postgresql={})
    results = probe(Beside(backend, replace(services, entry=None)))
    services.close()
    assert len(results) >= 90
    # Of the limits, that of processes is higher by what services may have, and some probes set less than these need.
    through = {(one.family, one.probe): one.evidence for one in results if one.passed is False}
    assert {name: evidence for name, evidence in through.items() if name[0] != "limits"} == OF_THE_SERVER
