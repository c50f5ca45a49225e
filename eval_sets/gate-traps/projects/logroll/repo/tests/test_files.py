import os
import tempfile
import unittest

from logroll.files import atomic_write, entries, tail


class FilesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(self.folder, "a.txt")

    def test_atomic_write(self):
        atomic_write(self.path, "one")
        atomic_write(self.path, "two")
        self.assertEqual(tail(self.path), ["two"])

    def test_nothing_is_left_behind_when_atomic_write_fails(self):
        atomic_write(self.path, "one")
        with self.assertRaises(UnicodeEncodeError):
            atomic_write(self.path, "\ud800")
        self.assertEqual(os.listdir(self.folder), ["a.txt"])

    def test_tail(self):
        atomic_write(self.path, "a\nb\nc\n")
        self.assertEqual(tail(self.path, 2), ["b", "c"])
        self.assertEqual(tail(self.path, 9), ["a", "b", "c"])

    def test_tail_of_no_lines(self):
        atomic_write(self.path, "a\nb\n")
        self.assertEqual(tail(self.path, 0), [])

    def test_entries(self):
        atomic_write(self.path, "5 five\nbroken\n6 six\n")
        self.assertEqual(entries(self.path), [(5, "five"), (6, "six")])
