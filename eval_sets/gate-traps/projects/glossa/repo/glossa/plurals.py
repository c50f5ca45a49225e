"""Which form of a word goes with a number."""


def form(language, count):
    """`one`, `few` or `many`, after the rules of the Unicode CLDR for whole numbers."""
    if language in ("pl", "uk"):
        if count == 1:
            return "one"
        if count % 10 in (2, 3, 4) and count % 100 not in (12, 13, 14):
            return "few"
        return "many"
    if language == "fr":
        return "one" if count in (0, 1) else "many"
    return "one" if count == 1 else "many"


def chosen(language, count, forms):
    """The form for a count, `many` where the form is not given."""
    return forms.get(form(language, count), forms["many"])
