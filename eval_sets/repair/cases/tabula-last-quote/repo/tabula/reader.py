"""Reads delimited text, letter by letter."""

START, PLAIN, QUOTED, QUOTE = range(4)
"""Where the reader is: at the start of a field, inside one without or with quotes, or after a quote inside quotes."""


class BadTable(ValueError):
    """A text that is no table; the message says at which line."""


def read(text, delimiter=","):
    """The rows of a text as lists. Empty lines are left out. Raises BadTable."""
    rows, row, field = [], [], []
    state, line = START, 1

    def end_field():
        row.append("".join(field))
        field.clear()

    def end_row():
        if len(row) > 1 or row[0] or state == QUOTE:
            rows.append(row.copy())
        row.clear()

    for letter in _lines_joined(text):
        if state == QUOTED:
            if letter == '"':
                state = QUOTE
            else:
                field.append(letter)
        elif letter == '"' and state == START:
            state = QUOTED
        elif letter == '"' and state == QUOTE:
            field.append('"')
            state = QUOTED
        elif letter == delimiter:
            end_field()
            state = START
        elif state == QUOTE:
            raise BadTable(f"line {line}: {letter!r} after a closing quote")
        elif letter == "\n":
            end_field()
            end_row()
            state = START
        else:
            field.append(letter)
            state = PLAIN
        line += letter == "\n"
    if state == QUOTED:
        raise BadTable(f"line {line}: a quote is not closed")
    if state != START or row:
        end_field()
        end_row()
    return rows


def _lines_joined(text):
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
