"""A backend whose commands all run beside services, for the probes, whose process imports this module."""

import functools
from dataclasses import dataclass

from sandbox.environments.services import Services
from sandbox.protocol import Environment, Limits, Sandbox, Session


@dataclass
class Beside:
    inner: Sandbox
    services: Services

    @property
    def name(self) -> str:
        return self.inner.name

    def available(self) -> str | None:
        return self.inner.available()

    def open(self, environment: Environment, limits: Limits = Limits()) -> Session:  # noqa: B008 - immutable
        session = self.inner.open(self.services.added_to(environment), limits)
        session.run = functools.partial(session.run, services=True)  # type: ignore[method-assign]
        session.start = functools.partial(session.start, services=True)  # type: ignore[method-assign]
        return session
