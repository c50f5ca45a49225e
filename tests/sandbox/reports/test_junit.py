"""JUnit XML in the dialects of runners, and reports that are made to do harm."""

import pytest

from sandbox.reports.junit import read_junit

NESTED = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="outer" file="test/outer.js">
    <testsuite name="inner" tests="3">
      <properties><property name="a" value="b"/></properties>
      <testcase classname="Outer inner" name="adds" time="1,002.5"/>
      <testcase classname="Outer inner" name="fails" time="0.25" file="test/inner.js" line="12">
        <failure message="expected 3" type="AssertionError">expected 3
    at inner.js:14</failure>
        <system-out><![CDATA[got <2>]]></system-out>
      </testcase>
      <testcase name="waits"><skipped message="later"/></testcase>
    </testsuite>
    <testcase name="breaks"><failure message="first"/><error message="no memory">trace</error></testcase>
  </testsuite>
</testsuites>"""


def test_nested_suites_places_times_and_messages():
    adds, fails, waits, breaks = read_junit(NESTED.encode())
    assert (adds.suites, adds.classname, adds.name) == (("outer", "inner"), "Outer inner", "adds")
    assert (adds.outcome, adds.seconds, adds.file) == ("passed", 1002.5, "test/outer.js")
    assert (fails.outcome, fails.seconds, fails.file, fails.line) == ("failed", 0.25, "test/inner.js", 12)
    assert fails.said == "expected 3\n    at inner.js:14"
    assert fails.output == "got <2>"
    assert (waits.outcome, waits.said, waits.seconds) == ("skipped", "later", None)
    assert (breaks.outcome, breaks.said, breaks.suites) == ("error", "no memory\ntrace", ("outer",))


@pytest.mark.parametrize("attribute", ['status="notrun"', 'status="disabled"', 'result="suppressed"'])
def test_a_case_that_was_not_run_is_skipped(attribute):
    (case,) = read_junit(f'<testsuite><testcase name="a" {attribute} time="x"/></testsuite>'.encode())
    assert (case.outcome, case.seconds) == ("skipped", None)


def test_a_case_that_passed_when_it_was_repeated_has_passed():
    (case,) = read_junit(b'<testsuite><testcase name="a"><flakyFailure message="m"/></testcase></testsuite>')
    assert case.outcome == "passed"


def test_a_failure_of_a_suite_is_a_case_without_a_name():
    text = b'<testsuites><testsuite name="s" file="f.js"><error message="no load"/></testsuite></testsuites>'
    (case,) = read_junit(text)
    assert (case.name, case.suites, case.outcome, case.said, case.file) == ("", ("s",), "error", "no load", "f.js")


def test_a_report_that_ends_early_gives_its_complete_cases():
    cut = NESTED[: NESTED.index("expected 3\n")]
    assert [case.name for case in read_junit(cut.encode())] == ["adds"]
    assert read_junit(b"") == read_junit(b"no xml") == []


def test_bytes_that_xml_forbids_do_not_end_the_report():
    broken = b'<testcase name="a"><failure>\x1b[31m&#27;&#x1B;\xff</failure></testcase>'
    text = b"<testsuite>" + broken + b'<testcase name="b"/></testsuite>'
    assert [(case.name, case.outcome) for case in read_junit(text)] == [("a", "failed"), ("b", "passed")]
    latin = '<?xml version="1.0" encoding="ISO-8859-1"?><testsuite><testcase name="é"/></testsuite>'
    assert [case.name for case in read_junit(latin.encode("latin-1"))] == ["é"]


@pytest.mark.parametrize("declared", [
    '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">',
    '<!ENTITY b SYSTEM "file:///etc/passwd">',
    '<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;',
])  # fmt: skip
def test_a_report_with_entities_is_not_read(declared):
    case = '<testcase name="x"><failure>&b;</failure></testcase>'
    text = f"<!DOCTYPE testsuite [{declared}]><testsuite>{case}</testsuite>"
    assert read_junit(text.encode()) == []


def test_depth_and_texts_are_bounded():
    deep = "<testsuite>" * 100_000 + '<testcase name="a"/>'
    assert read_junit(deep.encode()) == []
    long = f'<testsuite><testcase name="{"n" * 5000}"><failure>{"x" * 1_000_000}</failure></testcase></testsuite>'
    (case,) = read_junit(long.encode())
    assert (len(case.name), len(case.text)) == (1000, 20_000)
