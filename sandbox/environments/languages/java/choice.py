"""Which JDK of this machine a build gets."""

from collections.abc import Sequence

from sandbox.environments.wanted import EnvironmentRefused

from .machine import OLDEST, Jdk, jdks
from .releases import Releases

USUAL = 17
"""A JDK older than this is used only if there is no other: many plugins of current builds need it."""


def chosen_jdk(releases: Sequence[Releases], preferred: int) -> Jdk:
    """The JDK for a build that compiles for these releases: the one that the repository prefers, else the nearest that
    is not older. The newest breaks what is older than itself. Where none compiles for a release any more that
    properties alone name, it is the nearest all the same, since they can be overridden.

    Raises `EnvironmentRefused`."""
    there = [(jdk, [one for one in releases if one.since <= max(jdk.major, releases[0].since)][-1]) for jdk in jdks()]
    known = ", ".join(jdk.version for jdk, _ in there) or "none"
    new = [(jdk, one) for jdk, one in there if jdk.major >= one.needed]
    if not new:
        last = there[-1][1] if there else releases[0]
        wanted, source = last.needed, last.needed_from
        name = f"a JDK of version {wanted} or newer ({source})" if wanted else "a JDK"
        raise EnvironmentRefused(f"{name}, and this machine has {known}",
                                 f"Install it, for example the package openjdk-{max(wanted, USUAL)}-jdk, or any below "
                                 "/usr/lib/jvm.")  # fmt: skip
    fit = [jdk for jdk, one in new if not one.oldest or one.oldest >= jdk.oldest]
    fit = fit or [jdk for jdk, one in new if not one.fixed or one.fixed >= jdk.oldest]
    if not fit:
        jdk, one = new[0]
        raise EnvironmentRefused(
            f"Java {one.oldest} ({one.oldest_from}), for which the JDKs of this machine ({known}) compile no longer",
            f"Raise it to {jdk.oldest}, or install a JDK that is older than "
            f"{min(since for since, least in OLDEST if least > one.oldest)}.",
        )
    exact = [jdk for jdk in fit if jdk.major == preferred]
    usual = [jdk for jdk in fit if jdk.major >= USUAL]
    return (exact[-1:] or [_first_of_its_version(usual)] if usual or exact else [fit[-1]])[0]


def _first_of_its_version(jdks: Sequence[Jdk]) -> Jdk:
    """The newest of the oldest version."""
    return [jdk for jdk in jdks if jdk.major == jdks[0].major][-1]
