"""How a browser signs in, what its cookies are good for, and what another site's page cannot do with them."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.access.roles import Role
from core.access.users import add_user, remove_user
from core.database import Database
from core.events import DEFAULT_TEAM
from gateway.web.cookies import safe_place

from .conftest import OPENED, OWN, Browser

Link = Callable[..., str]
Enter = Callable[..., Browser]


def test_a_link_that_a_person_opens_signs_in_once(client: TestClient, link: Link) -> None:
    path = link()
    answer = client.get(path, headers=OPENED, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/web")
    set_cookies = answer.headers.get_list("set-cookie")
    access, refresh = sorted(set_cookies)
    assert access.startswith("penstock_access=psa_") and "Path=/web;" in access and "Max-Age=900" in access
    assert refresh.startswith("penstock_refresh=psr_") and "Path=/web/session;" in refresh
    assert all("HttpOnly" in one and "SameSite=strict" in one for one in set_cookies)
    assert "operator in team default" in client.get("/web", headers=OWN).text
    again = client.get(path, headers=OPENED)
    assert again.status_code == 401
    assert "used before or has expired" in again.text


PROGRAMS: list[dict[str, str]] = [
    {},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    {**OPENED, "Sec-Purpose": "prefetch"},
]


def test_what_follows_links_by_itself_does_not_use_it_up(client: TestClient, link: Link) -> None:
    path = link(person="ada")
    for headers in PROGRAMS:
        answer = client.get(path, headers=headers)
        assert (answer.status_code, answer.headers.get("set-cookie")) == (200, None)
        assert "Continue as ada" in answer.text
    answer = client.post("/web/sign-in", data={"code": path.partition("code=")[2]}, headers=OWN, follow_redirects=False)
    assert answer.status_code == 303


def test_a_link_expires_within_minutes(client: TestClient, link: Link, database: Database) -> None:
    path = link()
    with database.system() as connection:
        connection.execute("UPDATE sign_in_links SET expires_at = expires_at - %s", (timedelta(minutes=10),))
    assert client.get(path, headers=OPENED).status_code == 401


def test_a_link_ends_with_its_user(client: TestClient, link: Link, database: Database) -> None:
    with database.team(DEFAULT_TEAM) as connection:
        add_user(connection, DEFAULT_TEAM, "ada", Role.VIEWER)
    path = link(user=True)
    with database.team(DEFAULT_TEAM) as connection:
        remove_user(connection, "ada")
    assert client.get(path, headers=OPENED).status_code == 401


def test_an_api_token_signs_in_with_its_role_and_ends_the_session_when_it_is_revoked(
    client: TestClient, token_for: Callable[..., dict[str, str]], authorised: dict[str, str]
) -> None:
    token = token_for("viewer", "laptop")["Authorization"].removeprefix("Bearer ")
    assert client.post("/web/sign-in", data={"token": token + "x"}, headers=OWN).status_code == 401
    answer = client.post("/web/sign-in", data={"token": token, "next": "/web?state=running"}, headers=OWN)
    assert (answer.status_code, str(answer.url)) == (200, "http://testserver/web?state=running")
    assert "viewer in team default" in answer.text
    [listed] = [one for one in client.get("/tokens", headers=authorised).json()["tokens"] if one["name"] == "laptop"]
    client.delete(f"/tokens/{listed['id']}", headers=authorised)
    assert "Sign in to Penstock" in client.get("/web", headers=OWN).text


def test_the_cookie_is_worth_nothing_at_the_api_nor_a_token_at_the_pages(
    enter: Enter, authorised: dict[str, str]
) -> None:
    browser = enter()
    access = browser.cookies()["penstock_access"]
    cookie = {"Cookie": f"penstock_access={access}"}
    assert browser.client.get("/tasks", headers=cookie).status_code == 401
    browser.client.cookies.clear()
    assert "Sign in to Penstock" in browser.client.get("/web", headers={**OWN, **authorised}).text
    assert browser.client.get("/web/api/tasks", headers={**OWN, **authorised}).status_code == 401


def test_cookies_of_other_servers_on_the_host_are_in_nobodys_way(enter: Enter) -> None:
    browser = enter()
    own = "; ".join(f"{name}={value}" for name, value in browser.cookies().items())
    browser.client.cookies.clear()
    answer = browser.get("/web", Cookie=f'theirs={{"a": 1}}; b@d; {own}; =; x="')
    assert (answer.status_code, answer.url.path) == (200, "/web"), answer.text


def test_an_expired_access_token_is_renewed_on_the_way_and_the_page_shows(enter: Enter, database: Database) -> None:
    browser = enter()
    before = browser.cookies()
    with database.system() as connection:
        connection.execute("UPDATE session_tokens SET expires_at = now() WHERE kind = 'access'")
    answer = browser.get("/web?q=x")
    assert (answer.status_code, str(answer.url)) == (200, "http://testserver/web?q=x")
    assert "No task matches" in answer.text
    after = browser.cookies()
    assert all(after[name] != before[name] for name in ("penstock_access", "penstock_refresh"))


def test_a_script_is_told_401_and_renews_by_itself(enter: Enter, database: Database) -> None:
    browser = enter()
    with database.system() as connection:
        connection.execute("UPDATE session_tokens SET expires_at = now() WHERE kind = 'access'")
    script = {**OWN, "Sec-Fetch-Mode": "cors"}
    assert browser.client.get("/web/api/tasks", headers=script).status_code == 401
    assert browser.client.post("/web/session/renew", headers=script).status_code == 204
    assert browser.client.get("/web/api/tasks", headers=script).json() == {"tasks": [], "next": None}


def test_where_a_link_of_another_site_leads_the_session_is_found_after_one_hop(client: TestClient) -> None:
    # Without cookies, as SameSite=Strict has it there.
    answer = client.get("/web", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})
    assert 'http-equiv="refresh" content="0; url=/web"' in answer.text
    answer = client.get("/web", headers={"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"})
    assert "Sign in to Penstock" in answer.text


ELSEWHERE = [
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": ""},
    {"Origin": "http://testserver", "Sec-Fetch-Site": "same-site"},
    {"Origin": "", "Sec-Fetch-Site": ""},
    {"Origin": "null", "Sec-Fetch-Site": ""},
    {"Origin": "http://testserver.evil.example", "Sec-Fetch-Site": ""},
]


def test_another_sites_page_can_change_nothing(enter: Enter, add_task: Callable[..., str], database: Database) -> None:
    browser, task = enter(), add_task()
    token = browser.form_token()
    for headers in ELSEWHERE:
        sent = {name: value for name, value in {**OWN, **headers}.items() if value}
        for path, more in (
            (f"/web/tasks/{task}/cancel", {}),
            (f"/web/api/tasks/{task}/cancel", {"Penstock-Form": token}),
            ("/web/session/end", {}),
            ("/web/sign-in", {}),
            ("/web/session/renew", {}),
        ):
            answer = browser.client.request("POST", path, data={"form": token}, headers={**sent, **more})
            assert answer.status_code == 403, (path, headers, answer.text)
    with database.team(DEFAULT_TEAM) as connection:
        assert connection.execute("SELECT state FROM tasks").fetchall() == [("queued",)]


def test_a_form_needs_the_token_of_its_own_session(enter: Enter, add_task: Callable[..., str]) -> None:
    browser, other, task = enter(), enter(person="eve"), add_task()
    for token in ("", "x", other.form_token()):
        assert browser.send(f"/web/tasks/{task}/cancel", {"form": token}).status_code == 403
        answer = browser.client.post(f"/web/api/tasks/{task}/cancel", headers={**OWN, "Penstock-Form": token})
        assert answer.json()["code"] == "form"
    assert browser.send(f"/web/tasks/{task}/cancel", {"form": browser.form_token()}).status_code == 200


def test_the_pages_api_has_no_way_to_what_is_open_to_all(enter: Enter) -> None:
    browser = enter()
    headers = {**OWN, "Penstock-Form": browser.form_token()}
    for path in ("/web/api/webhooks/github", "/web/api/sessions/refresh", "/web/api/web/sign-in", "/web/api/"):
        assert browser.client.post(path, headers=headers).status_code in (403, 404), path


def test_signing_out_ends_the_session_and_has_the_browser_forget(enter: Enter) -> None:
    browser = enter()
    kept = browser.cookies()
    answer = browser.client.post("/web/session/end", headers=OWN, follow_redirects=False)
    assert (answer.status_code, answer.headers["clear-site-data"]) == (303, '"cache", "storage"')
    browser.client.cookies.clear()
    for name, path in (("penstock_access", "/web"), ("penstock_refresh", "/web/session")):
        browser.client.cookies.set(name, kept[name], domain="testserver.local", path=path)
    assert "Sign in to Penstock" in browser.get("/web").text


def test_a_copied_refresh_cookie_ends_the_session_for_both(enter: Enter, database: Database) -> None:
    browser = enter()
    stolen = browser.cookies()["penstock_refresh"]
    assert browser.client.post("/web/session/renew", headers=OWN).status_code == 204
    with database.system() as connection:
        connection.execute("UPDATE session_tokens SET replaced_at = replaced_at - interval '1 minute'")
    thief = TestClient(browser.client.app)
    answer = thief.post("/web/session/renew", headers={**OWN, "Cookie": f"penstock_refresh={stolen}"})
    assert answer.status_code == 401
    assert "Sign in to Penstock" in browser.get("/web").text


def test_signing_in_is_on_record(enter: Enter, authorised: dict[str, str]) -> None:
    browser = enter(person="ada")
    [entry] = browser.client.get("/audit", headers=authorised).json()["entries"]
    assert (entry["actor_kind"], entry["actor"], entry["action"]) == ("user", "ada", "session.start")


@pytest.mark.parametrize(
    "place",
    ["https://evil.example/web", "//evil.example/web", "/\\evil.example", "/webx", "/tasks", "javascript:alert(1)",
     "/web/sign-in", "/web/session/end", "/web\n", "", "/web/" + "x" * 3000, "http:/web"],
)  # fmt: skip
def test_nobody_is_led_elsewhere_after_signing_in(place: str) -> None:
    assert safe_place(place) == "/web"


def test_the_place_is_kept_through_signing_in(client: TestClient, link: Link) -> None:
    place = f"/web/tasks/{uuid.uuid4()}?attempt=2"
    answer = client.get(place, headers=OWN)
    assert f'name="next" value="{place}"' in answer.text


def test_a_form_of_any_shape_is_answered(client: TestClient) -> None:
    headers = {**OWN, "Content-Type": "application/x-www-form-urlencoded"}
    for body in (b"", b"a", b"=&=&", b"x=%ff", b"a=1&" * 100, b"\xff\xfe"):
        assert client.post("/web/sign-in", content=body, headers=headers).status_code in (400, 401), body
    assert client.post("/web/sign-in", json={"token": "x"}, headers=OWN).status_code == 400


def test_no_log_line_holds_a_code_or_token(client: TestClient, link: Link, capsys: Any) -> None:
    path = link()
    client.get(path, headers=OPENED)
    said = capsys.readouterr()
    assert "/web/sign-in" in said.out + said.err
    assert not any(word in said.out + said.err for word in ("psl_", "psa_", "psr_"))
