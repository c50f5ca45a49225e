"""JavaScript and TypeScript: npm, pnpm or yarn fetch; node:test, jest, vitest, mocha, ava, tap and tape run."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sandbox.environments.languages.protocol import (
    INSIDE,
    BuildStep,
    FetchStep,
    Needs,
    Ran,
    Registry,
    TestPlan,
    Toolchain,
)
from sandbox.environments.languages.tree import SourceTree
from sandbox.reports import TestCase, unique

from .install import Installing
from .layout import PROGRAMS, WORKSPACE, make_environment
from .locks import check
from .manifests import InstallRoot, install_roots, joined, unneeded
from .node import choose_node, note_about, toolchain_of, wanted_version
from .registry import configured_address
from .runners import Run, files_of, is_test_file
from .scripts import RUNNERS
from .suites import cases_of, plan_of
from .workspaces import runs_in

_MOST_RUNS = 60
_TITLES = {"node": "node:test", "borp": "node:test", "react-scripts": "jest"}
_CONFIGURATION = ("pnpm-workspace.yaml", ".npmrc", ".yarnrc.yml")
_TEST_DATA = re.compile(
    r"(^|/)(tests?|spec|__(tests|mocks|fixtures|snapshots)__|fixtures|snapshots)/|\.snap$|\.snap\.md$"
)
_STEERING = re.compile(
    r"package\.json|package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-(lock|workspace)\.yaml|binding\.gyp|"
    r"\.(npmrc|nvmrc|node-version|swcrc|taprc|borp\.yaml|pnpmfile\.cjs)|\.(yarnrc|mocharc|babelrc|nycrc|c8rc)([.]\w+)*|"
    r"(tsconfig|jsconfig|turbo|lerna|nx|project)([.-][\w-]+)*\.json|"
    r"(vite|vitest|jest|ava|babel|rollup|webpack|tsup|tsdown|esbuild|unbuild|build|karma|playwright|cypress|svelte|next)"
    r"([.-][\w-]+)*\.(config|workspace|conf|setup|preset)([.-][\w-]+)*\.\w+|"
    r"(jest|vitest|mocha|setup-?tests?)([.-]?(setup|env|environment|global))?\.[cm]?[jt]sx?",
    re.IGNORECASE,
)
_INSTALLED_FROM = re.compile(r"(^|/)(patches|\.yarn/patches)/[^/]+\.patch$|\.tgz$")
"""Files of the repository that a package manager reads beside manifests and locks."""


class JavaScript:
    name = "javascript"
    title = "JavaScript"
    suffixes: tuple[str, ...] = (".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx", ".vue", ".svelte")
    programs: tuple[str, ...] = ("node", "npm", "npx", "pnpm", "yarn", "tsx", *RUNNERS)

    def is_test(self, path: str) -> bool:
        return is_test_file(path) or _TEST_DATA.search(path) is not None

    def steers(self, path: str) -> bool:
        return _STEERING.fullmatch(path.rpartition("/")[2]) is not None

    def find(self, tree: SourceTree) -> Needs | None:
        if not any(map(is_test_file, tree.paths)):
            return None
        found = [(root, own) for root in install_roots(tree) if (own := runs_in(root, tree))]
        if not found:
            return None
        roots = [root for root, _ in found]
        for root in roots:
            check(root, tree)
        runs = [(run, root.folder) for root, own in found for run in own][:_MOST_RUNS]
        version, where, preferred, preferred_from = wanted_version(tree, roots)
        return Needs(
            self.name,
            ", ".join(dict.fromkeys(_TITLES.get(run.runner, run.runner) for run, _ in runs)),
            tuple(dict.fromkeys(run.folder for run, _ in runs)),
            tuple(dict.fromkeys(_files(roots, tree))),
            version,
            where,
            notes=tuple(f"{root.package.path} has no lock file beside it: the newest packages that fit are used."
                        for root in roots if not root.lock),
            facts={
                "roots": [_facts(root, {run.folder for run, _ in runs}) for root in roots],
                "runs": [[run.as_facts(), folder] for run, folder in runs],
                "preferred": [preferred, preferred_from],
                "programs": _programs(),
            },
        )  # fmt: skip

    def toolchain(self, needs: Needs) -> Toolchain:
        return toolchain_of(choose_node(needs.version, needs.version_from, *needs.facts["preferred"]))

    def base(self, needs: Needs) -> None:
        """Nothing is shared."""

    def registry(self, setting: str) -> Registry:
        return Registry(configured_address(setting), ())

    def fetch(self, needs: Needs, step: FetchStep) -> None:
        node = choose_node(needs.version, needs.version_from, *needs.facts["preferred"])
        installing = Installing(step, node)
        try:
            for root in needs.facts["roots"]:
                installing.install(root)
        finally:
            installing.close()
        make_environment(step.folder, step.made, [at for root in needs.facts["roots"] for at in root["packages"]],
                         node.version)  # fmt: skip

    def build(self, needs: Needs, step: BuildStep) -> None:
        """Install scripts alone: what tests need built from the repository's sources is built where they run."""
        node = choose_node(needs.version, needs.version_from, *needs.facts["preferred"])
        if said := note_about(node, *needs.facts["preferred"]):
            step.note(said)
        newer = json.loads(step.run(["cat", f"{INSIDE}/penstock/newer.json"], {}).strip() or "[]")
        if newer:
            more = f" and {len(newer) - 3} more" if len(newer) > 3 else ""
            step.note(
                f"Packages ask for another Node.js than the {node.name} that is used: {', '.join(newer[:3])}{more}."
            )
        seconds = str(max(10, int(step.seconds) - 20))
        said = step.run(["node", f"{INSIDE}/penstock/rebuild.cjs", seconds], {})
        ended = json.loads(said.strip().splitlines()[-1])
        for folder in ended["changed"]:
            step.keep(folder, f"tree/{folder}")
        for folder, why in ended["failed"]:
            step.note(f"The install script of {folder.rpartition('node_modules/')[2]} failed without network ({why}).")

    def variables(self, needs: Needs) -> Mapping[str, str]:
        return {"npm_config_offline": "true", "npm_config_update_notifier": "false", "npm_config_cache": "/tmp/npm",  # noqa: S108
                "DO_NOT_TRACK": "1", "NX_DAEMON": "false", "TURBO_TELEMETRY_DISABLED": "1", "HUSKY": "0",
                "NEXT_TELEMETRY_DISABLED": "1", "LEFTHOOK": "0"}  # fmt: skip

    def prepare(self, needs: Needs) -> Sequence[Sequence[str]]:
        return [["node", f"{INSIDE}/penstock/link.cjs", WORKSPACE]]

    def plans(self, needs: Needs, tests: Sequence[str], seconds: float) -> Sequence[TestPlan]:
        chosen = files_of(tests, needs.folders)
        found = []
        for number, (facts, root) in enumerate(needs.facts["runs"]):
            run = Run(**facts)
            if tests and run.folder not in chosen:
                continue
            files = sorted(chosen.get(run.folder, ()))
            found.append(plan_of(number, run, files if all(map(is_test_file, files)) else [], root))
        return found

    def results(self, needs: Needs, ran: Ran, tree: SourceTree) -> list[TestCase]:
        return unique(cases_of(ran, tree))


def _facts(root: InstallRoot, tested: set[str]) -> dict[str, Any]:
    return {"folder": root.folder, "manager": root.manager, "lock": root.lock,
            "named": str(root.package.content.get("packageManager") or "")[:80],
            "packages": [package.folder for package in root.packages],
            "unneeded": unneeded(root, tested),
            "installs": bool(root.workspaces or root.package.declared)}  # fmt: skip


def _files(roots: Sequence[InstallRoot], tree: SourceTree) -> Iterator[str]:
    for root in roots:
        yield from ([root.lock] if root.lock else [])
        yield from (package.path for package in root.packages)
        yield from (path for name in _CONFIGURATION if tree.exists(path := joined(root.folder, name)))
    named = " ".join(tree.text(package.path) or "" for root in roots for package in root.packages)
    for path in tree.paths:
        if _INSTALLED_FROM.search(path) and (path.endswith(".patch") or path.rpartition("/")[2] in named):
            yield path


def _programs() -> str:
    """A digest of Penstock's own programs, which are part of each environment."""
    digest = hashlib.sha256()
    for path in sorted(PROGRAMS.iterdir()):
        if path.is_file():
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]
