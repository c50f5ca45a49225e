"""Which tickets a pull request says that it closes.

By the keywords of GitHub (https://docs.github.com/issues/tracking-your-work-with-issues/using-issues/linking-a-pull-request-to-an-issue)
and GitLab (https://docs.gitlab.com/user/project/issues/managing_issues/#default-closing-pattern), and by
Jira keys in its title or branch.
"""

import re

MOST = 20
_READ_CHARACTERS = 20_000

_VERB = r"(?:clos(?:e[sd]?|ing)|fix(?:e[sd]|ing)?|resolv(?:e[sd]?|ing)|implement(?:s|ed|ing)?)"
_REFERENCE = r"(?:[\w.-]{1,100}(?:/[\w.-]{1,100}){1,4})?#\d{1,12}\b"
_CLOSING = re.compile(rf"\b{_VERB}:?[ \t]+({_REFERENCE}(?:(?:,[ \t]*|[ \t]+)(?:and[ \t]+)?{_REFERENCE}){{0,9}})", re.I)
_ONE = re.compile(r"([\w./-]*)#(\d+)")
_JIRA = re.compile(r"(?<![A-Za-z0-9])[A-Z][A-Z0-9_]{1,30}-[1-9]\d{0,8}(?![A-Za-z0-9])")


def closed_keys(project: str, title: str, body: str, branch: str = "") -> tuple[str, ...]:
    """Keys like `#12` of the same `project` and like `PROJ-7`, each once, in the order in which they are named."""
    found: dict[str, None] = {}
    for references in _CLOSING.findall(f"{title}\n{body[:_READ_CHARACTERS]}"):
        for where, number in _ONE.findall(references):
            if not where or where.lower() == project:
                found[f"#{int(number)}"] = None
    for key in _JIRA.findall(f"{title} {branch[:300]}"):
        found[key] = None
    return tuple(found)[:MOST]
