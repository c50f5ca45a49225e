"""Rules: how they are written, and what each matches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.rules import BadRule, Kind, Rule, Rules, Signal, mentioned, parse_rule, read_rules, split_rules
from core.settings import SettingsError, load_settings


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("opened", Rule(Kind.OPENED)),
        (" opened [acme/*] ", Rule(Kind.OPENED, "", "acme/*")),
        ("labelled:penstock", Rule(Kind.LABELLED, "penstock")),
        ("labelled: good first issue [acme/shop]", Rule(Kind.LABELLED, "good first issue", "acme/shop")),
        ("labelled:kind: bug", Rule(Kind.LABELLED, "kind: bug")),
        ("labelled:question -> research", Rule(Kind.LABELLED, "question", None, "research")),
        ("labelled:service -> service", Rule(Kind.LABELLED, "service", None, "service")),
        ("labelled:question [acme/*] -> research", Rule(Kind.LABELLED, "question", "acme/*", "research")),
        ("labelled:[bug]", Rule(Kind.LABELLED, "[bug]")),
        ("assigned:@helper", Rule(Kind.ASSIGNED, "helper")),
        ("mentioned:penstock", Rule(Kind.MENTIONED, "penstock")),
        ("command [acme/*]", Rule(Kind.COMMAND, "", "acme/*")),
        ("transition:Ready for work [SHOP]", Rule(Kind.TRANSITION, "Ready for work", "SHOP")),
        ("failed:main", Rule(Kind.FAILED, "main")),
        ("failed: release/1.x [acme/*]", Rule(Kind.FAILED, "release/1.x", "acme/*")),
    ],
)
def test_a_rule_is_read(text: str, rule: Rule) -> None:
    assert parse_rule(text) == rule
    assert parse_rule(str(rule)) == rule


@pytest.mark.parametrize(
    "text", ["", "labelled", "labelled:", "opened:x", "command:x", "closed", "Opened", "labelled:a\nb", "x [y]"]
)
def test_what_is_no_rule_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(BadRule) as refused:
        parse_rule(text)
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("labelled:penstock [acme/*", "a bracket without"),
        ("labelled:penstock -> tea", "only issues start research"),
        ("failed:main -> research", "only issues start research"),
        ("labelled:penstock, opened", "separated by semicolons"),
        ("labelled:a, labelled:b", "separated by semicolons"),
        ("failed:refs/heads/main", "write the branch without refs/heads/: failed:main"),
        ("transition:Ready [acme/*]", "a tracker's projects"),
    ],
)
def test_a_rule_that_could_never_match_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadRule, match=said):
        parse_rule(text)


@pytest.mark.parametrize("name", ["bug, urgent", "[area] api", "ready: soon", "a, opened today"])
def test_names_may_hold_what_rules_hold(name: str) -> None:
    assert parse_rule(f"labelled:{name}").name == name


@pytest.mark.parametrize("branch", ["release/*", "a b", "-x", "a..b", "a.lock", "/a", "a/", "a~1", "a@{1}", "a//b"])
def test_what_is_no_branch_is_refused(branch: str) -> None:
    with pytest.raises(BadRule, match="is no name of a branch"):
        parse_rule(f"failed:{branch}")


@pytest.mark.parametrize(
    ("branch", "service", "project", "rule"),
    [
        ("main", "github", "acme/shop", "failed:main"),
        ("Main", "github", "acme/shop", None),
        ("maintenance", "github", "acme/shop", None),
        ("stable", "gitlab", "acme/shop", "failed:stable [ACME/*]"),
        ("stable", "gitlab", "other/shop", None),
        ("main", "jira", "SHOP", None),
    ],
)
def test_a_branch_is_watched_by_its_whole_name(branch: str, service: str, project: str, rule: str | None) -> None:
    rules = read_rules(split_rules("opened; failed:main; failed:stable [ACME/*]"))
    found = rules.watching(branch, service, project)
    assert (found and str(found)) == rule


def test_a_rule_about_a_branch_matches_nothing_that_happens_to_an_issue() -> None:
    signal = Signal(opened=True, labels=("main",), assigned=("main",), mentioned=("main",), status="main")
    rules = read_rules(["failed:main"])
    assert rules.first(signal, "github", "acme/shop") is None
    assert rules.unmatched(signal, "github", "acme/shop") is None
    both = read_rules(["labelled:bug", "failed:main"])
    assert "the label 'bug'" in (both.unmatched(Signal(opened=True), "github", "acme/shop") or "")


@given(st.text(max_size=60))
def test_any_text_is_a_rule_that_reads_the_same_again_or_is_refused(text: str) -> None:
    try:
        rule = parse_rule(text)
    except BadRule:
        return
    assert parse_rule(str(rule)) == rule


GIVEN = Signal(labels=("Bug", "penstock"), actor="ada")


@pytest.mark.parametrize(
    ("rule", "signal", "service", "project", "what"),
    [
        ("opened", Signal(opened=True), "github", "acme/shop", "opened"),
        ("opened", GIVEN, "github", "acme/shop", None),
        ("opened [acme/*]", Signal(opened=True), "github", "acme/shop", "opened"),
        ("command", Signal(commanded=True, comment="7"), "github", "acme/shop", "command in 7"),
        ("command", Signal(opened=True), "github", "acme/shop", None),
        ("command", Signal(commanded=True, comment="7"), "jira", "SHOP", None),
        ("opened", Signal(opened=True), "slack", "C0SHOP", "opened"),
        ("opened [ACME/Shop]", Signal(opened=True), "github", "acme/shop", "opened"),
        ("opened [acme/*]", Signal(opened=True), "github", "other/shop", None),
        ("labelled:bug", GIVEN, "gitlab", "acme/shop", "label bug"),
        ("labelled:PENSTOCK", GIVEN, "gitlab", "acme/shop", "label penstock"),
        ("labelled:penstock", Signal(opened=True), "gitlab", "acme/shop", None),
        ("assigned:Helper", Signal(assigned=("helper",)), "gitea", "acme/shop", "assigned helper"),
        ("mentioned:penstock", Signal(mentioned=("Penstock",)), "gitea", "acme/shop", "mention penstock"),
        ("mentioned:penstock", Signal(mentioned=("penstock",), comment="7"), "x", "a/b", "mention penstock in 7"),
        ("transition:ready", Signal(status="Ready"), "jira", "SHOP", "status ready"),
        ("transition:ready [OTHER]", Signal(status="Ready"), "jira", "SHOP", None),
        ("opened", Signal(opened=True), "jira", "SHOP", None),
        ("opened [SHOP]", Signal(opened=True), "jira", "SHOP", "opened"),
        ("opened", Signal(opened=True), "linear", "ENG", None),
        ("opened [ENG]", Signal(opened=True), "linear", "ENG", "opened"),
        ("transition:ready", Signal(status="Ready"), "linear", "ENG", "status ready"),
        ("labelled:bug [*]", GIVEN, "jira", "SHOP", "label bug"),
    ],
)
def test_a_rule_matches(rule: str, signal: Signal, service: str, project: str, what: str | None) -> None:
    found = read_rules([rule]).first(signal, service, project)
    assert (found and found[1]) == what


def test_the_trigger_label_is_a_rule_beside_the_others_and_without_any_each_opened_issue_counts() -> None:
    assert read_rules((), None) == Rules((Rule(Kind.OPENED),))
    assert read_rules((), "bug") == Rules((Rule(Kind.LABELLED, "bug"),))
    both = read_rules(split_rules("opened [acme/*]; labelled:bug;"), "bug")
    assert both.rules == (Rule(Kind.OPENED, "", "acme/*"), Rule(Kind.LABELLED, "bug"))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@penstock", ("penstock",)),
        ("Please, @penstock: look. @Ada.", ("penstock", "Ada")),
        ("ada@penstock.org and a/@b and `@code` and <!-- @hidden -->", ()),
        ("> @quoted\n\n    @indented\n\n```\n@fenced\n```\n@said", ("said",)),
        ("```\n@never closed", ()),
        ("Done for @ada. <!-- penstock 1 -->", ()),
        (None, ()),
    ],
)
def test_names_count_as_mentioned_where_they_are_said(text: str | None, names: tuple[str, ...]) -> None:
    assert mentioned(text) == names


def test_a_wrong_rule_in_the_settings_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    monkeypatch.setenv("PENSTOCK_START_RULES", "labelled:bug; assigned")
    with pytest.raises(
        SettingsError, match=r"'start_rules' \(environment PENSTOCK_START_RULES\).*assigned needs a name"
    ):
        load_settings()
    monkeypatch.setenv("PENSTOCK_START_RULES", "labelled:bug; assigned:bot")
    assert [str(rule) for rule in load_settings().rules.rules] == ["labelled:bug", "assigned:bot"]
