"""Tasks that name failing tests: by their ids or names, or as such ("the suite is red", "fix the failing tests")."""

import re

from core.work import TaskText

from .facts import TestFacts
from .terms import MOST_TEXT, root, roots

_SUBJECTS = frozenset(
    re.findall(
        r"\S+",
        "tests test suite suites testsuite ci build builds pipeline pipelines pytest unittest checks",
    )
)
_STATES = re.compile(
    r"\b(?:fail(?:s|ed|ing|ures?)?|red|broken|breaks?|breaking|errors?|erroring|crash(?:es|ed|ing)?"
    r"|not (?:pass|green)\w*|(?:don't|dont|doesn't|doesnt|can't|won't|no longer) (?:pass|run|succeed)\w*)\b"
)
_REPAIRED = re.compile(r"\b(?:make|get|turn|bring)\b.*\b(?:pass|passing|green)\b")
_FILLERS = _SUBJECTS | frozenset(
    re.findall(
        r"\S+",
        "a again all always and are asap at be been being bug bugs case cases crash crashed crashes crashing "
        "currently dont doesnt don't doesn't can't won't did do does error erroring errors existing fail failed "
        "failing fails failure failures few fix fixed fixes fixing for get getting gets got green had has have "
        "help i in is issue it job jobs keep keeps local locally longer main make many master me most multiple my "
        "need needs no not now of on one or our out pass passed passes passing please problem problems red repair "
        "resolve run running runs several some something still succeed that the there these they this those to "
        "today trunk turn two unit integration regression up urgent us we when why workflow workflows wrong "
        "yesterday you actions branch broken break breaks breaking both bring current develop github gitlab head "
        "jenkins machine recently tox nox step stage lately investigate look into at solve",
    )
)
_NEW_WORK = frozenset(
    re.findall(
        r"\S+",
        "add write create delete remove skip disable ignore mark xfail rename move implement support",
    )
)
_SINCE = re.compile(r"\b(?:since|after|as of)\b.*")
_ASIDE = re.compile(
    r"\b(?:unrelated|not related|nothing to do with|separate|ignor\w+|known (?:issue|failure|problem)|leave|except|"
    r"apart from|other than|aside from|not about|skip|besides|regardless)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


def names_test(task: TaskText, test: TestFacts) -> str:
    """How the task writes the id or name of a test, empty if it does not. Sentences that set something aside
    ("unrelated", "ignore") name nothing."""
    short, function = test.id.partition("::")[2].split("[", 1)[0], test.function
    plain = test.id.split("[", 1)[0]
    telling = len(function) > 6 and (("test" in function.lower() and "_" in function) or function[:4] == "test")
    brief = not telling and function[:5] == "test_"  # such as `test_a`, which an example may define too
    for sentence in _SENTENCE.split(task.text[:MOST_TEXT]):
        if function not in sentence:
            continue
        found = ""
        if _whole(test.id, sentence) or ("::" in plain and _whole(plain, sentence)):
            found = plain
        elif "::" in short and _whole(short, sentence):
            found = short
        elif (telling or (brief and _STATES.search(sentence.lower()))) and _whole(function, sentence):
            elsewhere = re.findall(rf"([\w./-]{{1,200}}\.py)::(?:\w+::)*{re.escape(function)}(?!\w)", sentence)
            found = function if not elsewhere or any(test.path.endswith(path) for path in elsewhere) else ""
        if found and not _ASIDE.search(sentence):
            return found
    return ""


def _whole(name: str, text: str) -> bool:
    return re.search(rf"(?<![\w]){re.escape(name)}(?!\w)", text) is not None


class FailingTestsRequest:
    """A task whose title asks for failing tests as such. `qualifiers` are the roots of what else its title says ("the
    parser tests fail"): only tests that have all of them in their ids are meant."""

    def __init__(self, qualifiers: frozenset[str], shown: str) -> None:
        self.qualifiers, self.shown = qualifiers, shown

    def means(self, test: TestFacts) -> bool:
        return self.qualifiers <= roots(test.id)


def failing_tests_request(task: TaskText) -> FailingTestsRequest | None:
    """The request in a task's title, or in its first sentence when the title says nothing; None if there is none."""
    title = re.sub(r"^\s*(?:#+|\[[^\]]{0,30}\])\s*", "", task.title[:300])
    found = _request(title)
    if found is None and not (roots(title) - {root(word) for word in _FILLERS}):
        first = next((s for s in _SENTENCE.split(task.body[:2000]) if s.strip()), "")
        found = _request(first[:300])
    return found


def _request(sentence: str) -> FailingTestsRequest | None:
    lowered = sentence.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    cut = _SINCE.sub("", lowered)
    tokens = re.findall(r"[^\W\d][\w']*", cut)
    if not _SUBJECTS.intersection(tokens) or _NEW_WORK.intersection(tokens) or _ASIDE.search(lowered):
        return None
    if not (_STATES.search(cut) or _REPAIRED.search(cut)):
        return None
    rest = " ".join(token for token in tokens if token not in _FILLERS)
    return FailingTestsRequest(roots(rest.replace("_", " ")), sentence.strip()[:120]) if _only_words(rest) else None


def _only_words(text: str) -> bool:
    """Whether nothing is left that `roots` would drop: particles such as "when" begin a condition."""
    return len(text.split()) == len([word for word in text.split() if roots(word)])
