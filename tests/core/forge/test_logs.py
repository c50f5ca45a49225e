"""The end of a check's log, as it is shown to an engine."""

from core.forge.host import LOG_CHARACTERS, end_of


def test_terminal_sequences_folds_and_overwritten_lines_are_left_out() -> None:
    log = (
        "section_start:1700000000:step\r\x1b[0K\x1b[36;1mRunning\x1b[0m\n"
        "::group::install\r\n"
        "10%\r50%\rinstalled\r\n"
        "::endgroup::\n"
        "\x1b]0;title\x07E  assert 2 == 3   \n"
        "section_end:1700000001:step\r\x1b[0K\n"
    )
    assert end_of(log) == "Running\ninstalled\nE  assert 2 == 3"


def test_of_a_long_log_the_end_is_kept() -> None:
    found = end_of("".join(f"line {n}\n" for n in range(100_000)))
    assert found.startswith("…")
    assert found.endswith("line 99999")
    assert len(found) == LOG_CHARACTERS


def test_an_empty_log_is_empty() -> None:
    assert end_of("") == end_of(" \r\n\x1b[0m") == ""
