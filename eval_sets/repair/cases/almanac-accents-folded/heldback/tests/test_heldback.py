import calendar
import random
import unittest
from datetime import date, datetime, timedelta, timezone
from itertools import islice
from zoneinfo import ZoneInfo

from almanac import Entry, Rule, escape, fold, free_slots, merged, occurrences, read_entries, unescape, unfold, write_entries


class HeldBack(unittest.TestCase):
    def test_any_text_survives(self):
        rng = random.Random(1)
        for _ in range(600):
            text = "".join(rng.choice("\\\\nN,;ab\n") for _ in range(rng.randint(0, 8)))
            self.assertEqual(unescape(escape(text)), text)
        self.assertEqual(unescape("a\\Nb"), "a\nb")
        self.assertEqual(unescape("\\\\n"), "\\n")
        self.assertEqual(unescape("\\\\\\n"), "\\\n")

    def test_folds_of_any_script(self):
        rng = random.Random(2)
        for _ in range(60):
            line = "X:" + "".join(rng.choice("aé漢😀 ") for _ in range(rng.randint(0, 150))) + "."
            lines = fold(line)
            self.assertEqual(lines[0] + "".join(one[1:] for one in lines[1:]), line)
            for one, after in zip(lines, lines[1:]):
                self.assertLessEqual(len(one.encode()), 75)
                self.assertGreater(len((one + after[1]).encode()), 75)
                self.assertTrue(after.startswith(" "))
            self.assertLessEqual(len(lines[-1].encode()), 75)

    def test_ends_of_months(self):
        for day in (28, 29, 30, 31):
            for every in (1, 2, 5, 12):
                start = datetime(2023, 10, 1, 8, tzinfo=timezone.utc).replace(day=day)
                for step, moment in enumerate(islice(occurrences(start, Rule("monthly", every=every)), 15)):
                    months = 9 + step * every
                    year, month = 2023 + months // 12, months % 12 + 1
                    self.assertEqual(moment.date(), date(year, month, min(day, calendar.monthrange(year, month)[1])))

    def test_the_clock_of_the_zone(self):
        for zone in ("Europe/Berlin", "America/New_York", "Australia/Sydney"):
            for start in (datetime(2024, 3, 1, 6, 45), datetime(2024, 9, 20, 22, 15)):
                start = start.replace(tzinfo=ZoneInfo(zone))
                for rule in (Rule("daily", every=3), Rule("weekly"), Rule("weekly", weekdays=(0, 2, 6)), Rule("monthly")):
                    for moment in islice(occurrences(start, rule), 30):
                        self.assertEqual(moment.timetz().replace(tzinfo=None), start.time())
                        self.assertEqual(moment.tzinfo.key, zone)
                        if rule.weekdays:
                            self.assertIn(moment.weekday(), rule.weekdays)

    def test_until_counts_days_of_the_zone(self):
        start = datetime(2024, 3, 25, 23, 30, tzinfo=ZoneInfo("America/New_York"))
        found = list(occurrences(start, Rule("daily", until=date(2024, 3, 27))))
        self.assertEqual([moment.day for moment in found], [25, 26, 27])
        self.assertEqual(list(occurrences(start, Rule("weekly", times=0))), [])

    def test_spans(self):
        rng = random.Random(4)
        for _ in range(100):
            spans = [(a, a + rng.randint(0, 6)) for a in (rng.randint(0, 30) for _ in range(rng.randint(0, 6)))]
            taken = {n for start, end in spans for n in range(start, end)}
            self.assertEqual({n for start, end in merged(spans) for n in range(start, end)}, taken)
            gaps = free_slots(spans, 3, 25, 1)
            self.assertEqual({n for start, end in gaps for n in range(start, end)}, set(range(3, 25)) - taken)

    def test_a_night_when_clocks_change(self):
        entry = Entry("Night shift", datetime(2024, 10, 26, 22, tzinfo=ZoneInfo("Europe/Berlin")), timedelta(hours=8))
        self.assertEqual(entry.end.hour, 5)
        self.assertEqual(read_entries(write_entries([entry])), [entry])
        self.assertEqual(unfold("A:b\n\tc\n\n"), ["A:bc"])
