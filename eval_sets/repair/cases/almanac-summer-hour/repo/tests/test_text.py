import unittest
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from almanac import Entry, escape, fold, read_entries, unescape, unfold, write_entries


class Text(unittest.TestCase):
    def test_escaping(self):
        self.assertEqual(escape("a,b;c\nd\\e"), "a\\,b\\;c\\nd\\\\e")
        self.assertEqual(unescape("a\\,b\\;c\\nd"), "a,b;c\nd")

    def test_folders_of_windows(self):
        for text in ("C:\\notes", "\\\\server\\share", "a\\"):
            self.assertEqual(unescape(escape(text)), text)

    def test_folding(self):
        lines = fold("NOTES:" + "x" * 200)
        self.assertEqual([len(line) for line in lines], [75, 75, 58])
        self.assertEqual(unfold("\r\n".join(lines)), ["NOTES:" + "x" * 200])

    def test_folding_letters_with_accents(self):
        for line in fold("SUMMARY:" + "déjà vu, " * 20):
            self.assertLessEqual(len(line.encode()), 75)

    def test_there_and_back(self):
        entries = [
            Entry("Lunch, late", datetime(2024, 6, 1, 13, tzinfo=ZoneInfo("Europe/Paris")), timedelta(hours=1), "Bar; left"),
            Entry("Call", datetime(2024, 6, 2, 8, tzinfo=timezone.utc), timedelta(minutes=20), notes="one\ntwo"),
        ]
        self.assertEqual(read_entries(write_entries(entries)), entries)
