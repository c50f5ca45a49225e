"""Looks whether checks fail at the head of a source's branch, if a rule (`failed:BRANCH`) names that branch."""

import hashlib
import uuid

from assets.platform import Platform
from assets.sweeps.places import Place
from assets.sweeps.store import ORIGIN, Stored
from core.intake import ChecksIntent, Delivery, Target, receive
from core.rules import Kind


def sweep_checks(platform: Platform, place: Place) -> Stored:
    """Notes a head that no webhook has reported; whether it starts a task is decided where those of webhooks are.
    Raises `ForgeUnavailable`, `PublicationRefused`."""
    rules = platform.settings.rules
    if not place.own or not rules.wants(Kind.FAILED, service=place.service, project=place.project):
        return Stored()
    found = platform.failing_head(place.team_id, place.source)
    rule = found and rules.watching(found.branch, found.service, found.project)
    if found is None or rule is None:
        return Stored()
    intent = ChecksIntent(
        Target(name=found.source), found.service, found.project, found.branch, found.head, rule=str(rule)
    )
    digest = hashlib.sha256(f"{found.branch} {found.head}".encode()).digest()
    delivery = Delivery(ORIGIN, str(uuid.uuid4()), "checks", digest)
    with platform.database.team(place.team_id) as connection:
        receive(connection, platform.log, place.team_id, delivery, intent)
    return Stored(1)
