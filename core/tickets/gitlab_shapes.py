"""The shapes in which GitLab sends one event: project and group hooks, system hooks, and those of older versions.

System hooks (https://docs.gitlab.com/administration/system_hooks/) of some events have an `event_name` instead of an
`object_kind`. Older versions name the project only inside the merge request or the repository. `completed` brings all
of them to the shape of today's project hooks; pure functions that never raise.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from core.repository_names import RepositoryId
from core.tickets.fields import repository_id
from core.tickets.record import Service

_LONGEST = 2000
_PAGE = re.compile(r"/(?:-/)?(?:issues|merge_requests|work_items)/\d.*$")


def kind_of(payload: Mapping[str, Any]) -> str:
    """The kind of the event, whichever hook sent it; empty if the payload does not say."""
    for name in ("object_kind", "event_name", "event_type"):
        kind = payload.get(name)
        if isinstance(kind, str) and kind:
            return kind
    return ""


def completed(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The payload with `object_kind` and `project.path_with_namespace`, as far as they can be read from it."""
    whole = dict(payload)
    if not payload.get("object_kind") and kind_of(payload):
        whole["object_kind"] = kind_of(payload)
    project = payload.get("project")
    named = isinstance(project, Mapping) and project.get("path_with_namespace") is not None
    if not named and (project is None or isinstance(project, Mapping)):
        path = next(_paths(payload), None)
        if path is not None:
            whole["project"] = {**(project or {}), "path_with_namespace": path}
    return whole


def identity_of(payload: Mapping[str, Any]) -> RepositoryId | None:
    """The permanent id of the project that an event is about, if it says the id and the host."""
    target = _inside(payload, "object_attributes", "target")
    attributes = _inside(payload, "object_attributes")
    project = _inside(payload, "project")
    numbers = (project.get("id"), target.get("id"), attributes.get("target_project_id"), payload.get("project_id"))
    number = next((found for found in numbers if found is not None), None)
    return repository_id(Service.GITLAB, number, *_addresses(payload))


def _inside(payload: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The object at a path; empty if there is none."""
    found: Any = payload
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _paths(payload: Mapping[str, Any]) -> Iterator[str]:
    """Names of the project, the most certain first."""
    target = _inside(payload, "object_attributes", "target").get("path_with_namespace")
    for found in (target, payload.get("path_with_namespace")):
        if isinstance(found, str) and found:
            yield found
    for address in _addresses(payload):
        path = _path_in(address)
        if path:
            yield path


def _addresses(payload: Mapping[str, Any]) -> Iterator[str]:
    """Web addresses of the project, or of its issue or merge request."""
    target = _inside(payload, "object_attributes", "target")
    places = (_inside(payload, "project"), target, _inside(payload, "repository"))
    found = [place.get(name) for place in places for name in ("web_url", "homepage", "git_http_url", "http_url")]
    for address in (*found, _inside(payload, "object_attributes").get("url")):
        if isinstance(address, str) and 0 < len(address) <= _LONGEST:
            yield address


def _path_in(address: str) -> str | None:
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https"):
        return None
    path = _PAGE.sub("", parts.path).strip("/").removesuffix(".git")
    return path if "/" in path else None
