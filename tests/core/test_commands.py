"""Commands are found where a person gave them, and nowhere else."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.commands import MOST, Command, find_commands, spelled_out

R, E, S, A, H = Command.RETRY, Command.EXPLAIN, Command.STOP, Command.APPROVE, Command.HELP


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/penstock retry", (R,)),
        ("  /Penstock  RETRY please\r\n", (R,)),
        ("Please.\n\n/penstock stop\n/penstock explain", (S, E)),
        ("/penstock retry\n/penstock retry", (R,)),
        ("/penstock", (H,)),
        ("/penstock approve\tnow", (A,)),
        ("/penstock make-coffee", (H,)),
        ("/penstock retry!", (H,)),
        ("", ()),
        ("I would say /penstock retry here", ()),
        ("/penstockretry", ()),
        ("//penstock retry", ()),
        ("> /penstock retry", ()),
        ("> > /penstock retry", ()),
        ("   > /penstock retry", ()),
        ("    /penstock retry", ()),
        ("\t/penstock retry", ()),
        ("`/penstock retry`", ()),
        ("`\n/penstock retry\n`", ()),
        ("``a ` b\n/penstock retry\n``", ()),
        ("```\n/penstock retry\n```", ()),
        ("````\n```\n/penstock retry\n````", ()),
        ("~~~text\n/penstock retry", ()),
        ("```\nx\n```\n/penstock retry", (R,)),
        ("``` not closed by ~~~\n~~~\n/penstock retry", ()),
        ("<!-- /penstock retry -->", ()),
        ("<!--\n/penstock retry\n-->\n/penstock stop", (S,)),
        ("<!-- open\n/penstock retry", ()),
        ("Done.\n/penstock retry\n\n<!-- penstock task=1 status -->", ()),
        ("{quote}\n/penstock retry\n{quote}\n/penstock stop", (S,)),
        ("{quote}He said:\n/penstock retry\n{quote}", ()),
        ("{code:bash}\n/penstock retry\n{code}", ()),
        ("{noformat}\n{quote}\n/penstock retry\n{noformat}", ()),
        ("bq. x\nbq. /penstock retry", ()),
        ("{code} is a macro\n/penstock retry", (R,)),
        ("a ` lonely tick\n/penstock retry", (R,)),
    ],
)
def test_a_comment_gives_these_commands(text: str, found: tuple[Command, ...]) -> None:
    assert find_commands(text) == found


@given(st.text(alphabet=st.sampled_from("/penstock retry stop`~>\n\r\t <!-->"), max_size=400))
def test_any_text_is_read_and_its_quotation_gives_none(text: str) -> None:
    found = find_commands(text)
    assert len(found) == len(set(found)) <= MOST
    assert find_commands("\n".join(f"> {line}" for line in text.splitlines())) == ()
    assert find_commands(f"~~~~~~~~~~~~~~~~~~~~\n{text.replace('~', '')}\n") == ()


@given(st.sampled_from(list(Command)), st.text(alphabet="abc \n.", max_size=50))
def test_a_command_after_prose_is_found(command: Command, prose: str) -> None:
    lines = "\n".join(line.lstrip() for line in prose.splitlines())
    assert find_commands(f"{lines}\n/penstock {command}\n{lines}") == (command,)


def test_a_long_comment_is_read_in_time_and_bounds() -> None:
    assert find_commands("`" * 30_000 + "\n/penstock retry\n" + "<!--" * 10_000) in ((R,), ())
    assert len(find_commands("\n".join(f"/penstock {c}" for c in Command for _ in range(500)))) <= MOST


def test_a_long_line_of_a_chat_is_spelled_out_in_time() -> None:
    began = time.process_time()
    text = "@penstock" + " " * 39_000 + "?"
    assert spelled_out(text, "penstock") == text
    assert time.process_time() - began < 2
    assert spelled_out("@penstock stop ! ", "penstock") == "/penstock stop"
    assert spelled_out("@Penstock.", "penstock") == "/penstock help"
