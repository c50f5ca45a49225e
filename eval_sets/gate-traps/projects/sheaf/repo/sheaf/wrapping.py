"""Breaking text into lines."""


def wrap(text, width=72, indent=""):
    """The words of a text in lines of at most `width` characters, each after `indent`. A longer word stays whole."""
    lines, line = [], ""
    for word in text.split():
        if line and len(indent) + len(line) + 1 + len(word) > width:
            lines.append(indent + line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, indent + line] if line else lines


def quoted(lines):
    """Lines as a quotation; an empty line keeps only the mark."""
    return [f"> {line}" if line else ">" for line in lines]


def numbered(items, start=1):
    """Items as a list, with their numbers aligned on the right."""
    last = len(str(start + len(items) - 1))
    return [f"{str(number).rjust(last)}. {item}" for number, item in enumerate(items, start)]
