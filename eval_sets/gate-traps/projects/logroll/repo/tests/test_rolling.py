import os
import tempfile
import unittest

from logroll.files import entries
from logroll.rolling import RollingLog


class RollingTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(self.folder, "app.log")

    def log(self, **options):
        ticks = iter(range(100, 200))
        return RollingLog(self.path, clock=lambda: next(ticks), **options)

    def names(self):
        return sorted(os.listdir(self.folder))

    def test_write(self):
        self.log().write("hello")
        self.assertEqual([text for _, text in entries(self.path)], ["hello"])

    def test_each_line_has_its_own_time(self):
        log = self.log()
        log.write("one")
        log.write("two")
        self.assertEqual(entries(self.path), [(101, "one"), (102, "two")])

    def test_rolls(self):
        log = self.log(max_bytes=20)
        log.write("0123456789")
        log.write("0123456789")
        self.assertEqual(self.names(), ["app.log", "app.log.1"])

    def test_bytes_count_and_not_letters(self):
        log = self.log(max_bytes=100)
        log.write("\u00e9" * 40)
        log.write("\u00e9" * 10)
        self.assertEqual(self.names(), ["app.log", "app.log.1"])

    def test_keeps_some(self):
        log = self.log(max_bytes=20, keep=2)
        for number in range(5):
            log.write(f"{number} 23456789")
        self.assertEqual(self.names(), ["app.log", "app.log.1", "app.log.2"])
        self.assertEqual(entries(self.path + ".2")[0][1][0], "2")
