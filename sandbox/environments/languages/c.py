"""C and C++: CMake where it has tests, else make. Nothing is fetched: there is no registry of C libraries."""

from collections.abc import Mapping, Sequence

from sandbox.reports import TestCase

from .c_sources import HEADERS, SOURCES, is_test_file
from .cmake import LISTS, CMake
from .make import MAKEFILES, Make
from .protocol import BuildStep, FetchStep, Needs, Ran, Registry, TestPlan, Toolchain
from .tree import SourceTree

_STEERING = (LISTS, "CMakePresets.json", "configure", "configure.ac", "configure.in", "autogen.sh", *MAKEFILES)
_STEERING_ENDS = (".cmake", ".cmake.in", ".mk", ".am", ".m4", "akefile.in")


class C:
    name = "c"
    title = "C and C++"
    suffixes: tuple[str, ...] = (*SOURCES, *HEADERS)
    programs: tuple[str, ...] = ("ctest", "cmake", "make")

    def is_test(self, path: str) -> bool:
        return is_test_file(path)

    def steers(self, path: str) -> bool:
        return path.rpartition("/")[2] in _STEERING or path.endswith(_STEERING_ENDS)

    def find(self, tree: SourceTree) -> Needs | None:
        return CMake().find(tree) or Make().find(tree)

    def toolchain(self, needs: Needs) -> Toolchain:
        return _builder(needs).toolchain(needs)

    def base(self, needs: Needs) -> None:
        """Nothing is shared."""

    def registry(self, setting: str) -> Registry:
        return Registry("http://127.0.0.1:9", ())

    def fetch(self, needs: Needs, step: FetchStep) -> None:
        """Fetches nothing."""

    def build(self, needs: Needs, step: BuildStep) -> None:
        _builder(needs).build(needs, step)

    def variables(self, needs: Needs) -> Mapping[str, str]:
        return _builder(needs).variables(needs)

    def prepare(self, needs: Needs) -> Sequence[Sequence[str]]:
        return _builder(needs).prepare(needs)

    def plans(self, needs: Needs, tests: Sequence[str], seconds: float) -> Sequence[TestPlan]:
        return _builder(needs).plans(needs, tests, seconds)

    def results(self, needs: Needs, ran: Ran, tree: SourceTree) -> list[TestCase]:
        return _builder(needs).results(needs, ran, tree)


def _builder(needs: Needs) -> CMake | Make:
    return CMake() if needs.runner == "ctest" else Make()
