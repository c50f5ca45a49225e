"""Finding what tests need: a pure function of files that may be hostile."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from sandbox.environments.find import find
from sandbox.environments.find.pyproject import poetry_specifier
from sandbox.environments.find.requirement_files import local_folder
from sandbox.environments.wanted import Declaration, EnvironmentRefused, Wanted

Write = Callable[[Mapping[str, str]], Path]
PROJECT = '[project]\nname = "it"\nversion = "1"\n'


def texts(wanted: Wanted | None) -> list[str]:
    assert wanted is not None
    return [item.text for group in wanted.groups for item in group.requirements]


def test_a_repository_that_declares_nothing_wants_nothing(write: Write) -> None:
    assert find(write({"app.py": "x = 1\n", "test_app.py": "import app\n"})) is None


def test_a_table_of_tool_settings_alone_declares_nothing(write: Write) -> None:
    assert find(write({"pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-q"\n'})) is None


def test_pyproject_gives_dependencies_test_extras_and_groups_but_not_others(write: Write) -> None:
    wanted = find(write({"pyproject.toml": PROJECT + 'dependencies = ["a>=1"]\nrequires-python = ">=3.10"\n'
        '[project.optional-dependencies]\ntest = ["b", "it[speed]"]\nspeed = ["c"]\ndocs = ["d"]\n'
        '[dependency-groups]\ntesting = ["e", {include-group = "base"}]\nbase = ["f"]\ndev = ["g"]\n'}))  # fmt: skip
    assert sorted(texts(wanted)) == ["a>=1", "b", "c", "e", "f"]
    assert wanted is not None
    assert wanted.python == ">=3.10"
    assert wanted.projects == (), "without a build system it is not a package"


def test_development_extras_count_where_there_are_none_for_tests(write: Write) -> None:
    wanted = find(write({"pyproject.toml": PROJECT + '[dependency-groups]\ndev = ["g"]\ndocs = ["d"]\n'}))
    assert texts(wanted) == ["g"]


def test_a_group_that_includes_itself_is_refused_by_name(write: Write) -> None:
    root = write({"pyproject.toml": PROJECT + '[dependency-groups]\ntest = [{include-group = "test"}]\n'})
    with pytest.raises(EnvironmentRefused, match=r"group 'test' of pyproject.toml, which includes itself"):
        find(root)


def test_requirements_files_are_followed_and_joined(write: Write) -> None:
    wanted = find(write({
        "requirements.txt": "a==1 \\\n  --hash=sha256:" + "0" * 64 + "  # why\n-c limits.txt\n--index-url https://x.invalid\n",
        "limits.txt": "b<2\n",
        "requirements-test.txt": "-r requirements.txt\npytest-x; python_version > '3'\n",
    }))  # fmt: skip
    assert wanted is not None
    assert texts(wanted) == ["a==1", "a==1", 'pytest-x; python_version > "3"']
    assert [item.text for item in wanted.constraints][:1] == ["b<2"]
    assert wanted.lock is not None
    assert wanted.lock.hashes == {"a==1": frozenset({"0" * 64})}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("git+ssh://git@host.invalid/it.git", "version control, which requirements.txt .line 2."),
        ("it @ git+https://host.invalid/it.git", "`it` from version control"),
        ("it @ https://host.invalid/it-1.whl", "`it` from an address of its own"),
        ("-e ../other", "`../other`, which requirements.txt .line 2. names and which is outside the repository"),
        ("/opt/it.whl", "`/opt/it.whl`, which requirements.txt .line 2. names and which is outside"),
        ("-r ../../etc/passwd", "outside the repository"),
        ("-r missing.txt", "the requirements file missing.txt, which does not exist"),
        ("not a requirement!", "no valid requirement"),
    ],
)
def test_what_cannot_be_fetched_is_refused_with_its_line_and_a_remedy(write: Write, line: str, message: str) -> None:
    with pytest.raises(EnvironmentRefused, match=message) as refused:
        find(write({"requirements.txt": f"a\n{line}\n"}))
    assert refused.value.remedy


def test_what_only_tests_ask_for_is_left_out_with_a_note(write: Write) -> None:
    wanted = find(
        write({"pyproject.toml": PROJECT, "requirements-test.txt": "b\nit2 @ git+https://host.invalid/it2\n"})
    )
    assert texts(wanted) == ["b"]
    assert wanted is not None
    assert "it2" in wanted.notes[0]


def test_a_link_out_of_the_repository_is_not_read(write: Write, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret-package\n")
    root = write({"app.py": ""})
    (root / "requirements.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(EnvironmentRefused, match=r"requirements\.txt declares, which cannot be read"):
        find(root)


def test_a_file_that_is_too_large_is_refused(write: Write) -> None:
    with pytest.raises(EnvironmentRefused, match="at most 1 MiB"):
        find(write({"pyproject.toml": "#" * (2 << 20)}))


def test_a_lock_chooses_versions_and_knows_hashes(write: Write) -> None:
    lock = '[[package]]\nname = "A"\nversion = "1.5"\nsource = {registry = "https://x.invalid"}\n' \
           f'wheels = [{{url = "u", hash = "sha256:{"1" * 64}"}}]\n' \
           '[[package]]\nname = "it"\nversion = "1"\nsource = {editable = "."}\n'  # fmt: skip
    wanted = find(write({"pyproject.toml": PROJECT + 'dependencies = ["a"]\n', "uv.lock": lock}))
    assert wanted is not None
    assert wanted.lock is not None
    assert wanted.lock.versions == {"a": "1.5"}
    assert wanted.lock.hashes == {"a==1.5": frozenset({"1" * 64})}


def test_a_lock_with_a_version_for_each_python_gives_both_with_their_markers(write: Write) -> None:
    lock = "".join(f'[[package]]\nname = "a"\nversion = "{v}"\nresolution-markers = ["python_version {m}"]\n'
                   for v, m in (("1", "< '3.10'"), ("2", ">= '3.10'")))  # fmt: skip
    wanted = find(write({"pyproject.toml": PROJECT + 'dependencies = ["a"]\n', "uv.lock": lock}))
    assert wanted is not None
    assert wanted.lock is not None
    assert wanted.lock.marked == ('a==1 ; (python_version < "3.10")', 'a==2 ; (python_version >= "3.10")')


def test_what_is_remembered_of_a_lock_is_what_it_says(write: Write, tmp_path: Path) -> None:
    lock = '[[package]]\nname = "a"\nversion = "1.5"\nfiles = [{hash = "sha256:' + "3" * 64 + '"}]\n'
    root = write({"pyproject.toml": PROJECT + 'dependencies = ["a"]\n', "poetry.lock": lock})
    first = find(root, memory=tmp_path / "memory")
    assert len(list((tmp_path / "memory").iterdir())) == 1
    assert find(root, memory=tmp_path / "memory") == first == find(root)


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("uv.lock", 'source = {directory = "../../secret"}', "outside the repository"),
        (
            "uv.lock",
            'source = {git = "ssh://git@host.invalid/a"}',
            r"uv.lock \(package a\) takes it from version control",
        ),
        ("poetry.lock", 'source = {type = "directory", url = "/etc"}', "outside the repository"),
        ("pdm.lock", 'git = "https://host.invalid/a"', "version control"),
    ],
)
def test_a_lock_that_leads_elsewhere_is_refused(write: Write, name: str, source: str, message: str) -> None:
    lock = f'[[package]]\nname = "a"\nversion = "1"\n{source}\n'
    with pytest.raises(EnvironmentRefused, match=message):
        find(write({"pyproject.toml": PROJECT + 'dependencies = ["a"]\n', name: lock}))


def test_pipfile_lock_lists_what_is_needed(write: Write) -> None:
    lock = {"default": {"a": {"version": "==1", "hashes": ["sha256:" + "2" * 64]}}, "develop": {"b": {"version": "*"}}}
    wanted = find(write({"Pipfile.lock": json.dumps(lock)}))
    assert texts(wanted) == ["a==1", "b"]


def test_setup_py_is_parsed_and_never_run(write: Write, tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    text = f"open({str(proof)!r}, 'w')\nfrom setuptools import setup\nNEEDS = ['a']\nsetup(name='It', "
    text += "install_requires=NEEDS + ['b'], extras_require={'tests': ['c']}, python_requires='>=3.8')"
    wanted = find(write({"setup.py": text}))
    assert not proof.exists()
    assert texts(wanted) == ["a", "b", "c"]
    assert wanted is not None
    assert wanted.projects[0].name == "it"
    assert wanted.python == ">=3.8"


def test_a_setup_py_that_computes_its_requirements_is_dynamic(write: Write) -> None:
    wanted = find(write({"setup.py": "from setuptools import setup\nsetup(name='it', install_requires=compute())"}))
    assert wanted is not None
    assert wanted.projects[0].dynamic


def test_tox_and_nox_are_read(write: Write) -> None:
    wanted = find(write({
        "pyproject.toml": PROJECT + '[project.optional-dependencies]\ntest = ["e"]\n',
        "tox.ini": "[testenv]\ndeps =\n    a\n    -r more.txt\n    lint: never\n[testenv:docs]\ndeps = sphinx\n",
        "more.txt": "b\n",
        "noxfile.py": "import nox\n@nox.session\ndef tests(session):\n    session.install('c', '.[test]')\n"
                      "@nox.session\ndef docs(session):\n    session.install('sphinx')\n",
    }))  # fmt: skip
    assert set(texts(wanted)) == {"a", "b", "c", "e"}


def test_environment_yml_counts_where_nothing_else_is_declared(write: Write) -> None:
    wanted = find(
        write({"environment.yml": "dependencies:\n - python=3.11\n - numpy=1.2\n - pip\n - pip:\n   - a>2\n"})
    )
    assert texts(wanted) == ["numpy==1.2.*", "a>2"]
    assert wanted is not None
    assert wanted.python == "==3.11.*"


def test_a_repository_of_several_packages_must_name_those_to_install(write: Write) -> None:
    files = {f"{name}/pyproject.toml": PROJECT.replace('"it"', f'"{name}"') for name in ("one", "two")}
    with pytest.raises(EnvironmentRefused, match=r"one of 2 packages \(one, two\)") as refused:
        find(write(files))
    assert 'projects = ["one"]' in refused.value.remedy
    wanted = find(write({**files, "two/setup.cfg": ""}), Declaration(projects=("two",), requirements=("one", "two")))
    assert texts(wanted) == ["one"], "what is installed from the repository is not fetched"


def test_what_penstock_toml_declares_replaces_what_is_found(write: Write) -> None:
    root = write({"pyproject.toml": PROJECT + '[dependency-groups]\ntest = ["a"]\nother = ["b"]\n'})
    assert texts(find(root, Declaration(groups=("other",), requirements=("c",)))) == ["c", "b"]
    with pytest.raises(EnvironmentRefused, match=r"the group 'none', which penstock\.toml"):
        find(root, Declaration(groups=("none",)))


@given(st.text(max_size=300), st.sampled_from(("requirements.txt", "pyproject.toml", "setup.cfg", "setup.py", "tox.ini",
       "uv.lock", "Pipfile.lock", "environment.yml", "noxfile.py", ".python-version")))  # fmt: skip
@settings(max_examples=150)
def test_no_content_of_a_file_breaks_finding(tmp_path_factory: pytest.TempPathFactory, text: str, name: str) -> None:
    root = tmp_path_factory.mktemp("any")
    (root / name).write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        find(root)
    except EnvironmentRefused as refused:
        assert refused.missing
        assert refused.remedy


@given(st.lists(st.integers(0, 20), min_size=1, max_size=3))
def test_a_caret_allows_its_version_and_no_other_leading_number(parts: list[int]) -> None:
    version = ".".join(map(str, parts))
    allowed = SpecifierSet(poetry_specifier(f"^{version}"))
    assert allowed.contains(version)
    assert not allowed.contains(f"{parts[0] + 1}.0")


@given(st.text(max_size=60))
def test_a_registry_requirement_is_no_local_folder(text: str) -> None:
    if found := local_folder(text):
        assert "/" in text or text.startswith((".", "file:"))
        assert found[0]


def test_an_extra_whose_module_is_imported_is_wanted_and_no_other(write: Write) -> None:
    wanted = find(write({
        "pyproject.toml": PROJECT + '[project.optional-dependencies]\ntest = ["t"]\nfast = ["Speed_Up>=1"]\n'
                          'docs = ["sphinx"]\n',
        "src/it/__init__.py": "try:\n    import speed_up.core\nexcept ImportError:\n    pass\n",
        "docs/conf.py": "import sphinx\n",
    }))  # fmt: skip
    assert texts(wanted) == ["t", "Speed_Up>=1"]
    assert wanted is not None
    assert not wanted.groups[-1].needed
