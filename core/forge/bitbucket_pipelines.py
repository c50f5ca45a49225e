"""The logs of failed builds of Bitbucket Pipelines: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/

A build's status of a commit names its pipeline by number, in its address. What cannot be read is left out: a token may
lack the scope for pipelines, and other builders set statuses too.
"""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from core.forge.host import READ, job_log
from core.http import Service, ServiceUnavailable
from core.payload import BadField, Number, Payload, Text, parse

_NUMBER = re.compile(r"/pipelines/(?:[^?]*/)?results/(\d{1,15})(?:/|$)")
_FAILED = ("FAILED", "ERROR")


class _Name(Payload):
    name: Text | None = None


class _State(Payload):
    result: _Name | None = None


class _Pipeline(Payload):
    uuid: Text
    build_number: Number


class _Step(Payload):
    uuid: Text
    name: Text | None = None
    state: _State | None = None

    @property
    def failed(self) -> bool:
        return self.state is not None and self.state.result is not None and self.state.result.name in _FAILED


class _Page(Payload):
    values: list[dict[str, Any]]


def failed_logs(service: Service, repository: str, commit: str, addresses: Iterable[str]) -> dict[str, str]:
    """The end of the log of the last failed step of each pipeline of a commit, by the address that its status names.
    `repository` is the path of the API of the repository."""
    numbers = {address: int(found[1]) for address in addresses if (found := _NUMBER.search(address))}
    if not numbers:
        return {}
    try:
        query = f"target.commit.hash={quote(commit)}&sort=-created_on&pagelen=100"
        pipelines = [parse(_Pipeline, one) for one in _values(service, f"{repository}/pipelines?{query}")]
        paths = {one.build_number: f"{repository}/pipelines/{quote(one.uuid, safe='')}/steps" for one in pipelines}
        logs = {address: _log(service, paths[n]) for address, n in numbers.items() if n in paths}
    except (ServiceUnavailable, BadField):
        return {}
    return {address: log for address, log in logs.items() if log}


def _log(service: Service, path: str) -> str:
    failed = [step for one in _values(service, f"{path}?pagelen=100") if (step := parse(_Step, one)).failed]
    if not failed:
        return ""
    log = job_log(service, f"{path}/{quote(failed[-1].uuid, safe='')}/log")
    return f"Step {failed[-1].name!r}:\n{log}" if log and failed[-1].name else log


def _values(service: Service, path: str) -> list[dict[str, Any]]:
    return parse(_Page, service.json("GET", path, limits=READ)).values
