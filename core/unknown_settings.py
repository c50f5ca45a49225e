"""Names that look like settings and that nothing reads. Without a warning, a wrong spelling would be ignored."""

import difflib
from collections.abc import Iterable, Mapping

from core.secret_files import SUFFIX
from core.settings import PREFIX, Settings, secret_names

OTHERS = frozenset({"CONFIG", "INSPECT_PYTHON", "GIT_USERNAME", "GIT_PASSWORD", "HEARTBEAT", "TOKEN", "WARM_STATE"})
"""What is read from the environment besides settings, without the prefix."""
_OURS = ("TEST_", "BENCH_", "SOAK_")
"""Begin the names of variables of our own tests and measurements."""
_CLOSE = 0.75


def known_names() -> frozenset[str]:
    """All names that are read from the environment, without the prefix."""
    settings = {name.upper() for name in Settings.model_fields}
    return frozenset(settings | {f"{name.upper()}{SUFFIX}" for name in secret_names()} | OTHERS)


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """One sentence for each variable that begins with `PENSTOCK_` and is read by nothing, with the nearest that is."""
    known, found = known_names(), []
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX)
        if name == variable or name in known or name.startswith(_OURS):
            continue
        near = nearest(name, known)
        meant = f"; did you mean {PREFIX}{near}?" if near else ": see the settings in `penstock doctor`"
        found.append(f"{variable[:80]} is set, and nothing reads it{meant}")
    return found


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one, if one is alike enough."""
    found = difflib.get_close_matches(name.upper(), [one.upper() for one in known], n=1, cutoff=_CLOSE)
    return found[0] if found else None
