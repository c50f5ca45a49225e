"""What goes between Penstock and the scripts in a pod survives shells, and cuts at any place."""

import itertools
import json
import subprocess

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sandbox.kubernetes.channels import Ended, ended
from sandbox.kubernetes.process import Records
from sandbox.kubernetes.scripts import command, encoded_arguments, encoded_line

_TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=60)


@settings(max_examples=60, deadline=None)
@given(st.lists(_TEXTS, max_size=5), st.binary(max_size=40))
def test_arguments_arrive_unchanged_and_the_input_behind_them_is_left(arguments: list[str], rest: bytes) -> None:
    reading = command("read")[2].partition("target=")[0]  # what is before the script's own code
    done = subprocess.run(
        ["/bin/sh", "-c", f'{reading}\nprintf "%s\\000" "$@"; cat'],
        input=encoded_arguments(arguments) + rest,
        capture_output=True,
        timeout=60,
        check=True,
    )
    printed = b"".join(argument.encode() + b"\0" for argument in arguments or [""])
    assert done.stdout == printed + rest


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80).filter(lambda line: b"\n" not in line))
@example(b"a\\nb\\\\c\\0101\\cd\0e\x81\xff")
def test_a_line_of_any_bytes_is_printed_as_it_was(line: bytes) -> None:
    code = 'IFS= read -r line; printf "%b\\n" "${line#L}"'
    done = subprocess.run(
        ["/bin/sh", "-c", code], input=encoded_line(line), capture_output=True, timeout=60, check=True
    )
    assert done.stdout == line + b"\n"


@st.composite
def _pieces(draw: st.DrawFn) -> list[bytes]:
    """Standard error of a command with records, cut into pieces."""
    own = draw(st.binary(max_size=60))
    mark = b"\x01abc "
    whole = (
        mark + b"started 42\n" + own + mark + b"ended 3\n0m0.01s 0m0.02s\n1m1.5s 0m0.5s\n" + mark + b"used\n" + b"late"
    )
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    bounds = [0, *cuts, len(whole)]
    return [own, *(whole[start:end] for start, end in itertools.pairwise(bounds))]


@given(_pieces())
def test_records_are_taken_out_of_the_commands_own_output(pieces: list[bytes]) -> None:
    own, *pieces = pieces
    records = Records("abc")
    assert b"".join(map(records.take, pieces)) + records.rest() == own
    assert (records.pid, records.code) == (42, 3)
    assert abs(records.cpu_seconds - 62.03) < 1e-6


def test_the_beginning_of_a_record_that_never_comes_is_output() -> None:
    records = Records("abc")
    assert records.take(b"text\x01ab") == b"text"
    assert records.rest() == b"\x01ab"
    assert records.code is None


def test_the_status_of_a_command_is_understood() -> None:
    code = {"reason": "NonZeroExitCode", "details": {"causes": [{"reason": "ExitCode", "message": "137"}]}}
    assert ended(b'{"status":"Success"}') == Ended(0)
    assert ended(json.dumps({"status": "Failure", **code}).encode()) == Ended(137)
    failed = {"status": "Failure", "reason": "InternalError", "message": "no such container"}
    assert ended(json.dumps(failed).encode()) == Ended(None, "no such container")
    for broken in (b"", b"[]", b"{}", b'{"status":"Failure","reason":"NonZeroExitCode"}', b"\xff"):
        assert ended(broken).code is None
