"""Zones: how far a destination is in the carrier's eyes, seen from the depot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from parcelquote.errors import UnknownDestination
from parcelquote.postcodes import longest_prefix, normalise


@dataclass(frozen=True)
class Zone:
    name: str
    transit_days: int
    remote: bool = False


@dataclass(frozen=True)
class ZoneTable:
    """Zones by postcode prefix. A longer prefix wins over a shorter one."""

    by_prefix: Mapping[str, Zone]
    excluded: frozenset[str] = field(default_factory=frozenset)

    def zone_of(self, postcode: str) -> Zone:
        """The zone that serves a postcode. Raises `UnknownDestination`."""
        code = normalise(postcode)
        if code in self.excluded:
            raise UnknownDestination(code)
        prefix = longest_prefix(code, list(self.by_prefix))
        if prefix is None:
            raise UnknownDestination(code)
        return self.by_prefix[prefix]

    def same_zone(self, origin: str, destination: str) -> bool:
        return self.zone_of(origin).name == self.zone_of(destination).name
