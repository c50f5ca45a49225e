"""Announces that the branch of a source has moved, if no webhook has: the index shows another commit than its head."""

import hashlib
import uuid

from assets.platform import Platform
from assets.sweeps.places import Place
from assets.sweeps.store import ORIGIN, Stored
from core.git import find_credential
from core.git.heads import branch_head
from core.health.freshness import read_freshness
from core.intake import ChangeIntent, Delivery, Target, receive


def sweep_branch(platform: Platform, place: Place) -> Stored:
    """A source that is not indexed yet is left alone, and so is one that has been announced as changed: the refresh of
    any change indexes the head. Raises `GitError`."""
    with platform.database.team(place.team_id) as connection:
        found = next(iter(read_freshness(connection, place.source)), None)
        row = connection.execute("SELECT branch FROM sources WHERE name = %s", (place.source,)).fetchone()
    if row is None or found is None or found.commit is None or found.waiting:
        return Stored()
    credential = find_credential(platform.settings.secrets_folder, place.team_id, place.address)
    name, head = branch_head(place.address, row[0], roots=platform.settings.roots, credential=credential)
    if head == found.commit:
        return Stored()
    data = {"ref": f"refs/heads/{name}", "before": found.commit, "after": head}
    delivery = Delivery(ORIGIN, str(uuid.uuid4()), "push", hashlib.sha256(head.encode()).digest())
    with platform.database.team(place.team_id) as connection:
        receive(connection, platform.log, place.team_id, delivery, ChangeIntent(Target(name=place.source), data))
    return Stored(1)
