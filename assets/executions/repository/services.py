"""The services that a checkout's tests run with: those that it declares. Those that its CI starts are mentioned."""

from collections.abc import Callable

from assets.executions.repository.checkout import Checkout
from sandbox.environments.prepare import Options
from sandbox.environments.services import Services, mentioned_services, open_services
from sandbox.environments.services.plans import plan
from sandbox.protocol import Sandbox

SHARED = (
    "The services that penstock.toml declares were not started, since the setting `environments` is shared: every "
    "repository's tests run with the packages of Penstock."
)


def services_of(
    checkout: Checkout, sandbox: Sandbox, options: Options, progress: Callable[[str], object] = str
) -> Services:
    """What `checkout` declares, ready to be started, with notes. Raises `EnvironmentRefused` and
    `SandboxUnavailable`."""
    services = open_services(checkout.settings.environment.services, sandbox, options, progress)
    services.notes = (*services.notes, *mentions(checkout))
    return services


def described_services(checkout: Checkout) -> tuple[list[str], list[str]]:
    """The names and versions of the services that are declared, and notes. Starts nothing. Raises
    `EnvironmentRefused`."""
    plans = plan(checkout.settings.environment.services)
    return [one.label for one in plans], [*(one.note for one in plans if one.note), *mentions(checkout)]


def mentions(checkout: Checkout) -> tuple[str, ...]:
    """A sentence for each service that the repository's CI or compose files start, and that it does not declare."""
    declared = checkout.settings.environment.services.declared
    return tuple(
        f"{one.file} starts {one.image}, which is not started here: if tests need it, write "
        f"`services.{one.name} = {one.declaration}` under `[environment]` in penstock.toml."
        for one in mentioned_services(checkout.root)
        if one.name not in declared
    )
