"""The page at `/`: what answers here, whether it works, and where to go next.

Anybody may see it, so it holds nothing about teams, tasks, settings or versions. It needs no script and loads nothing.
"""

import base64
import hashlib
from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from gateway.health import readiness_of
from gateway.state import TheGateway

router = APIRouter(tags=["health"])

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2530; --soft: #5b6876; --line: #dde3e9; --paper: #fff; --wash: #f5f7f9;
  --good: #1a7f4b; --bad: #b3261e; --link: #2563a8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ee; --soft: #9aa7b4; --line: #333d47; --paper: #14191f;
  --wash: #1c232b; --good: #58c48b; --bad: #f1857d; --link: #74aef0; } }
body { margin: 0 auto; max-width: 720px; padding: 40px 24px 64px; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 28px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 32px 0 8px; }
p { margin: 0 0 12px; } .soft { color: var(--soft); } a { color: var(--link); }
.state { border-left: 6px solid; padding: 12px 16px; background: var(--wash); border-radius: 0 6px 6px 0; }
.good { border-color: var(--good); } .bad { border-color: var(--bad); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 14px; overflow-wrap: anywhere; }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_WEBHOOKS = (
    ("GitHub", "github"),
    ("GitLab", "gitlab"),
    ("Gitea or Forgejo", "gitea"),
    ("Bitbucket Cloud", "bitbucket"),
    ("Jira", "jira"),
    ("Linear", "linear"),
)
_LINKS = (
    ("/web", "the web pages: tasks and threads; penstock open signs you in"),
    ("/readyz", "whether it takes events, as JSON (200 or 503)"),
    ("/healthz", "whether the process answers"),
    ("/openapi.json", "the API's description; needs a token"),
    ("/tasks", "your team's tasks, as JSON; needs a token"),
    ("/metrics", "metrics in the Prometheus format; needs a token"),
)


@router.get("/", response_class=HTMLResponse)
def front_page(gateway: TheGateway) -> HTMLResponse:
    """What this is, whether it works, and links. For people; programs ask `/readyz`."""
    readiness = readiness_of(gateway)
    if readiness.status == "ready":
        kind, state = "good", "Ready: it takes events."
    else:
        kind = "bad"
        state = f"Not ready: the database {readiness.database}." if readiness.database != "ok" else (
            f"Not ready: the database's schema {readiness.db_schema}."
        )  # fmt: skip
        state += " Events are refused meanwhile, and their senders may send them again."
    return HTMLResponse(_page(kind, state), headers=HEADERS)


def _page(kind: str, state: str) -> str:
    links = "".join(f'<tr><th><a href="{path}">{path}</a></th><td>{escape(what)}</td></tr>\n' for path, what in _LINKS)
    webhooks = "".join(
        f"<tr><th>{escape(name)}</th><td><code>/webhooks/{path}</code></td></tr>\n" for name, path in _WEBHOOKS
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Penstock</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Penstock</h1>
<p class="soft">Turns events into finished, verified, published work.</p>
<p class="state {kind}">{escape(state)}</p>
<p>This is its gateway: it takes webhooks, answers the API, and has <a href="/web">pages of tasks and threads</a>. Runs
and evals are shown in the Dagster UI; <code>penstock up</code> prints its address on the machine where Penstock
runs.</p>
<h2>Webhooks</h2>
<p>Payloads are JSON, each with its sender's signature. <code>penstock init</code> makes the secret and prints what to
paste where; a team's own webhooks are at <code>/webhooks/TEAM/SENDER</code>.</p>
<table>
{webhooks}</table>
<h2>Links</h2>
<table>
{links}</table>
<p></p>
<p class="soft">A token goes into the header <code>Authorization: Bearer pst_…</code>; operators make one with
<code>penstock token create NAME</code>. On the machine itself, <code>penstock doctor</code> says what is installed,
running or missing.</p>
</body>
</html>
"""
