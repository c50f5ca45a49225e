"""One field of a cron expression, like ``*/15`` or ``1-5,10``."""

MONTHS = dict((name, number + 1) for number, name in enumerate(
    'jan feb mar apr may jun jul aug sep oct nov dec'.split()))
WEEKDAYS = dict((name, number) for number, name in enumerate(
    'sun mon tue wed thu fri sat'.split()))


class FieldError(ValueError):
    """Raised with the field's name and the part that cannot be read."""

    def __init__(self, name, part, problem):
        ValueError.__init__(self, '%s: %r %s' % (name, part, problem))
        self.name = name
        self.part = part


class FieldSpec(object):
    """The legal range of a field, and the names that stand for numbers."""

    def __init__(self, name, low, high, names=None):
        self.name = name
        self.low = low
        self.high = high
        self.names = names or {}

    def number(self, text, part):
        text = text.strip().lower()
        if text in self.names:
            return self.names[text]
        if not text.isdigit():
            raise FieldError(self.name, part, 'is not a number')
        value = int(text)
        if not self.low <= value <= self.high:
            raise FieldError(self.name, part, 'is not between %d and %d' % (self.low, self.high))
        return value

    def parse(self, text):
        """Returns the set of values the field allows."""
        values = set()
        for part in text.split(','):
            values.update(self._parse_part(part))
        return values

    def _parse_part(self, part):
        body, slash, step_text = part.partition('/')
        step = 1
        if slash:
            if not step_text.isdigit() or int(step_text) == 0:
                raise FieldError(self.name, part, 'has a bad step')
            step = int(step_text)
        if body == '*':
            first, last = self.low, self.high
        elif '-' in body:
            start, _, end = body.partition('-')
            first, last = self.number(start, part), self.number(end, part)
            if first > last:
                raise FieldError(self.name, part, 'runs backwards')
        else:
            first = self.number(body, part)
            last = self.high if slash else first
        return range(first, last + 1, step)


MINUTE = FieldSpec('minute', 0, 59)
HOUR = FieldSpec('hour', 0, 23)
DAY = FieldSpec('day of month', 1, 31)
MONTH = FieldSpec('month', 1, 12, MONTHS)
WEEKDAY = FieldSpec('day of week', 0, 7, WEEKDAYS)
