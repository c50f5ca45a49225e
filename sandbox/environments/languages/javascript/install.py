"""Installs packages in the fetch step with npm, pnpm or yarn, from copies of the declarations alone.

Nothing of the repository or of a package runs: scripts are off, and the copies are cleaned of what the managers would
load or start (plugins, hooks, other versions of themselves). pnpm and yarn come from the registry themselves.
"""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sandbox.environments.languages.protocol import FetchStep
from sandbox.environments.wanted import EnvironmentRefused, FetchFailed

from .locks import from_registry
from .node import Node
from .registry import credentials_for, without_credentials

_NPMRC = ("legacy-peer-deps", "strict-peer-deps", "strict-peer-dependencies", "auto-install-peers", "hoist",
          "hoist-pattern", "public-hoist-pattern", "shamefully-hoist", "hoist-workspace-packages", "node-linker",
          "link-workspace-packages", "prefer-workspace-packages", "dedupe-peer-dependents",
          "resolve-peers-from-workspace-root",
          "install-links", "install-strategy", "omit", "include", "resolution-mode", "inject-workspace-packages",
          "dedupe-injected-deps", "exclude-links-from-lockfile", "peers-suffix-max-length",
          "ignore-workspace-root-check",
          "shared-workspace-lockfile", "dedupe-direct-deps", "force-legacy-deploy")  # fmt: skip
"""The settings of a repository's .npmrc that decide about what is installed where."""
_PNPM = ("packages", "catalog", "catalogs", "overrides", "patchedDependencies", "packageExtensions", "hoist",
         "hoistPattern", "publicHoistPattern", "shamefullyHoist", "hoistWorkspacePackages", "nodeLinker",
         "linkWorkspacePackages", "preferWorkspacePackages", "autoInstallPeers", "dedupePeerDependents",
         "resolvePeersFromWorkspaceRoot", "peerDependencyRules", "allowedDeprecatedVersions",
         "ignoredOptionalDependencies",
         "injectWorkspacePackages", "dedupeInjectedDeps", "excludeLinksFromLockfile", "peersSuffixMaxLength",
         "sharedWorkspaceLockfile", "dedupeDirectDeps", "strictPeerDependencies", "supportedArchitectures",
         "allowUnusedPatches", "allowNonAppliedPatches", "catalogMode", "resolutionMode")  # fmt: skip
_YARN = ("packageExtensions", "supportedArchitectures", "nmHoistingLimits", "defaultSemverRangePrefix",
         "compressionLevel", "checksumBehavior", "catalog", "catalogs", "defaultProtocol",
         "enableTransparentWorkspaces",
         "nmSelfReferences", "cacheMigrationMode")  # fmt: skip
_PNPM_FOR_LOCK = (("9.", "10"), ("6.", "8"), ("5.4", "7"), ("5.", "6"))
_LOCKS = ("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml")


class Installing:
    """One fetch."""

    def __init__(self, step: FetchStep, node: Node) -> None:
        self._step, self._node = step, node
        self._registry = without_credentials(step.registry.address)
        self._credentials = credentials_for(step.registry.address)
        self._managers = step.made / "managers"
        self._cache = step.folder / ".penstock-cache"

    def install(self, root: Mapping[str, Any]) -> None:
        """Installs one root of the needs' facts: its `folder`, `manager`, `lock`, `packages` (folders), and whether it
        `installs` anything."""
        folder = self._step.folder / root["folder"]
        if not root["installs"]:
            return
        for package in root["packages"]:
            _clean_package(self._step.folder / package / "package.json")
        (folder / ".npmrc").write_text(self._npmrc(folder / ".npmrc"))
        for name in _LOCKS:
            if f"{root['folder']}/{name}".lstrip("/") != root["lock"]:
                (folder / name).unlink(missing_ok=True)
        lock = folder / root["lock"].rpartition("/")[2] if root["lock"] else None
        if lock is not None:
            lock.write_text(from_registry(lock.read_text("utf-8", errors="replace"), self._registry))
        {"npm": self._npm, "pnpm": self._pnpm, "yarn": self._yarn}[root["manager"]](root["folder"], folder, lock, root)

    def close(self) -> None:
        shutil.rmtree(self._managers, ignore_errors=True)
        shutil.rmtree(self._cache, ignore_errors=True)

    def _npm(self, cwd: str, folder: Path, lock: Path | None, root: Mapping[str, Any]) -> None:
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--loglevel=error"]
        words = ["ci", *options] if lock is not None else ["install", "--no-package-lock", *options]
        try:
            self._run_npm(words, cwd)
        except FetchFailed as failure:
            if "eresolve" not in str(failure).lower():
                raise
            self._run_npm([*words, "--legacy-peer-deps"], cwd)

    def _run_npm(self, words: Sequence[str], cwd: str) -> None:
        variables = {"npm_config_cache": str(self._cache / "npm"), "npm_config_registry": self._registry}
        self._run([str(self._node.npm), *words], cwd, variables)

    def _pnpm(self, cwd: str, folder: Path, lock: Path | None, root: Mapping[str, Any]) -> None:
        version = "10"
        if lock is not None:
            text = lock.read_text("utf-8", errors="replace")
            found = re.search(r"^lockfileVersion:\s*['\"]?([\d.]+)", text, re.MULTILINE)
            version = next((major for start, major in _PNPM_FOR_LOCK if found and found[1].startswith(start)), "")
            if not version:
                raise EnvironmentRefused(f"packages that {root['lock']} locks in an unknown format",
                                         f"Write {root['lock']} with pnpm 6 to 10.")  # fmt: skip
            # Hooks are not run, so what they would have changed is not checked.
            lock.write_text(re.sub(r"^pnpmfileChecksum:.*\n", "", text, flags=re.MULTILINE))
        _keep_yaml(folder / "pnpm-workspace.yaml", _PNPM, {})
        program = self._manager("pnpm", _exact(root["named"], "pnpm", version))
        how = "--frozen-lockfile" if lock is not None else "--no-frozen-lockfile"
        store = str(self._cache / "store")
        start = f"{root['folder']}/" if root["folder"] else ""
        aside = [f"--filter=!./{at.removeprefix(start)}" for at in root["unneeded"]]
        self._run([program, "install", how, *aside, "--ignore-scripts", "--ignore-pnpmfile", "--store-dir", store,
                   "--registry", self._registry, "--reporter", "append-only", "--config.confirmModulesPurge=false",
                   "--config.manage-package-manager-versions=false", "--config.engine-strict=false",
                   "--config.side-effects-cache=false", *([] if (folder / "pnpm-workspace.yaml").exists() else
                                                          ["--ignore-workspace"])], cwd,
                  {"npm_config_cache": str(self._cache / "npm"), "XDG_CACHE_HOME": str(self._cache)})  # fmt: skip

    def _yarn(self, cwd: str, folder: Path, lock: Path | None, root: Mapping[str, Any]) -> None:
        text = lock.read_text("utf-8", errors="replace") if lock is not None else ""
        version = re.search(r"^__metadata:\n  version: (\d+)", text, re.MULTILINE)
        named = re.match(r"yarn@(\d+)", root["named"])
        if version is None and (text or named is None or named[1] == "1"):
            program = self._manager("yarn", "1.22.22")
            how = ["--frozen-lockfile"] if lock is not None else ["--no-lockfile"]
            self._run([program, "install", *how, "--ignore-scripts", "--ignore-engines", "--non-interactive",
                       "--no-progress", "--no-default-rc", "--registry", self._registry, "--cache-folder",
                       str(self._cache / "yarn")], cwd, {"YARN_IGNORE_PATH": "1"})  # fmt: skip
            return
        old = version is not None and int(version[1]) < 8
        program = self._manager("@yarnpkg/cli-dist", _exact(root["named"], "yarn", "3" if old else "4", least=3))
        own: dict[str, Any] = {
            "nodeLinker": "node-modules", "enableTelemetry": False, "enableGlobalCache": False, "enableScripts": False,
            "npmRegistryServer": self._registry.rstrip("/"), "cacheFolder": str(self._cache / "berry"),
            "globalFolder": str(self._cache / "berry-global"), "unsafeHttpWhitelist": ["127.0.0.1", "localhost"],
            "httpsProxy": "${HTTPS_PROXY:-}", "httpProxy": "${HTTP_PROXY:-}", "enableProgressBars": False,
        }  # fmt: skip
        token = next((value for name, value in self._credentials.items() if name.endswith(":_authToken")), "")
        basic = next((value for name, value in self._credentials.items() if name.endswith(":_auth")), "")
        own |= {"npmAuthToken": token} if token else {"npmAuthIdent": basic} if basic else {}
        _keep_yaml(folder / ".yarnrc.yml", _YARN, own)
        if lock is None:
            (folder / "yarn.lock").write_text("")  # without it, yarn looks for a project in the folders above
        immutable = lock is not None and not (version is not None and int(version[1]) < 6)
        self._run([program, "install", "--immutable" if immutable else "--no-immutable", "--mode=skip-build"],
                  cwd, {"YARN_IGNORE_PATH": "1"})  # fmt: skip

    def _manager(self, package: str, version: str) -> str:
        """The file of a package manager, which is fetched first."""
        place = self._managers / f"{package}@{version}".replace("/", "+")
        if not place.exists():
            place.mkdir(parents=True)
            (place / "package.json").write_text("{}")
            (place / ".npmrc").write_text(self._npmrc(None))
            self._run_npm(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--no-save",
                           "--loglevel=error", f"{package}@{version}"], str(place))  # fmt: skip
        folder = place / "node_modules" / package
        try:
            programs = json.loads((folder / "package.json").read_text())["bin"]
        except (OSError, ValueError, KeyError) as error:
            raise FetchFailed(f"{package} {version} of the registry holds no program") from error
        name = "yarn" if "yarn" in package else "pnpm"
        return str(folder / (programs if isinstance(programs, str) else programs[name]))

    def _run(self, words: Sequence[str], cwd: str, variables: Mapping[str, str]) -> None:
        given = {"NODE_EXTRA_CA_CERTS": "/run/SSL_CERT_FILE", "CI": "true", "npm_config_update_notifier": "false",
                 "COREPACK_ENABLE_STRICT": "0", "NODE_NO_WARNINGS": "1",
                 "npm_config_maxsockets": "12", "npm_config_fetch_retries": "3", "npm_config_fetch_retry_factor": "3",
                 "npm_config_fetch_retry_mintimeout": "1000", **variables}  # fmt: skip
        self._step.run([str(self._node.program), *words], given, cwd)

    def _npmrc(self, own: Path | None) -> str:
        """A .npmrc with those settings of the repository's that decide about what is installed, and our registry."""
        lines = own.read_text("utf-8", errors="replace").splitlines() if own is not None and own.exists() else []
        kept = [line.strip() for line in lines if re.sub(r"(\[\])?\s*=.*", "", line.strip()) in _NPMRC]
        secret = [f"{name}={value}" for name, value in self._credentials.items()]
        return "\n".join([*kept, f"registry={self._registry}", "replace-registry-host=always", *secret, ""])


def _clean_package(path: Path) -> None:
    """Leaves out what a manager would run or insist on."""
    try:
        content = json.loads(path.read_text("utf-8", errors="replace"))
    except (OSError, ValueError, RecursionError):
        return
    if isinstance(content, dict):
        for name in ("scripts", "packageManager", "devEngines", "volta", "engines", "publishConfig"):
            content.pop(name, None)
        path.write_text(json.dumps(content, indent=2))


def _keep_yaml(path: Path, names: Sequence[str], own: Mapping[str, Any]) -> None:
    """Writes a YAML file again with these of its settings, and `own`."""
    if not path.exists() and not own:
        return
    try:
        content = yaml.safe_load(path.read_text("utf-8", errors="replace")) if path.exists() else {}
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise FetchFailed(f"{path.name} cannot be read: {str(error)[:200]}") from error
    kept = {name: content[name] for name in names if name in content} if isinstance(content, dict) else {}
    path.write_text(yaml.safe_dump({**kept, **own}, sort_keys=False))


def _exact(named: str, manager: str, major: str, least: int = 0) -> str:
    """The version of the manager that package.json names if it reads the lock's format, else the newest that does."""
    found = re.match(rf"{manager}@((\d+)\.\d+\.\d+)(?![-\w])", named)
    if found and (found[2] == major or (least and int(found[2]) >= least and int(found[2]) == int(major))):
        return found[1]
    return major
