"""PostgreSQL, with the landing database and Airflow's metadata."""

import functools
import hashlib
import os
import platform
import pwd
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from member_analyzer.landing.roles import RIGHTS, make_roles
from member_analyzer.local.archive import unpack
from member_analyzer.local.artifacts import locate
from member_analyzer.local.environment import base_environment
from member_analyzer.local.failure import LocalError
from member_analyzer.local.home import Home
from member_analyzer.local.passwords import write_private
from member_analyzer.local.plain_path import program_folder
from member_analyzer.local.server import NotReadyError, Server

# For homes that the server's user cannot enter.
FALLBACK_DIRECTORY = Path("/var/lib/member-analyzer")

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "shared_buffers": "96MB",
    "max_connections": "100",
    "max_wal_size": "512MB",
    "jit": "off",
    "log_min_messages": "warning",
    # A client that has vanished must not hold its locks until the kernel's timeout of hours.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60s",
    "client_connection_check_interval": "10s",
}


class Postgres(Server):
    """One PostgreSQL server, with SCRAM authentication and without a Unix socket."""

    name = "postgres"
    # INT is a fast shutdown; TERM would wait for all clients to disconnect.
    stop_signal = "INT"

    @property
    def ports(self) -> dict[str, int]:
        return {"LOCAL_POSTGRES_PORT": self.settings.postgres_port}

    @property
    def user(self) -> str | None:
        """PostgreSQL refuses to run as root."""
        return choose_user()

    @property
    def process_options(self) -> dict[str, Any]:
        """The arguments of `subprocess` to run as its user."""
        return as_user(self.user) if self.user else {}

    @property
    def directory(self) -> Path:
        return find_directory(self.home)

    @property
    def program(self) -> Path:
        """The unpacked binaries, which run each other in a shell by their resolved paths."""
        return program_folder(self.directory / "program", f"{self.home.root.name}-postgres")

    @property
    def data(self) -> Path:
        """The database cluster."""
        return self.directory / "data"

    @property
    def databases(self) -> dict[str, str]:
        """Password by role; each role owns the database of the same name."""
        return {
            "airflow": self.passwords.postgres_airflow,
            "member_analyzer": self.passwords.postgres_member_analyzer,
        }

    @property
    def command(self) -> list[str]:
        options = SETTINGS | {"port": str(self.settings.postgres_port)}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [f"{self.program}/bin/postgres", "-D", str(self.data), *arguments]

    def prepare(self) -> None:
        """Unpack the binaries and create the database cluster."""
        make_accessible(self.directory)
        unpack(locate(artifact_group(), self.home.downloads)[0], self.program)
        if not (self.data / "PG_VERSION").exists():
            self.create_cluster()
        # No earlier server is running; its process id may have been reused.
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def create_cluster(self) -> None:
        """Atomically create the database cluster."""
        unfinished = self.directory / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        secret = self.directory / "superuser"
        write_private(secret, self.passwords.postgres_superuser)
        if self.user:
            shutil.chown(unfinished, self.user)
            shutil.chown(secret, self.user)
        command = [
            f"{self.program}/bin/initdb",
            *("--pgdata", str(unfinished), "--username", "postgres", "--pwfile", str(secret)),
            # The built-in locale sorts the same on every machine.
            *("--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
            *("--auth", "scram-sha-256", "--no-instructions"),
        ]
        result = subprocess.run(
            command,
            env=base_environment(self.home),
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            **self.process_options,
        )
        secret.unlink()
        if result.returncode != 0:
            last = (result.stderr or result.stdout).strip().splitlines()[-1:]
            raise LocalError(f"PostgreSQL's data directory {unfinished} could not be created: {' '.join(last)}")
        unfinished.rename(self.data)

    def connect(self, database: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        """Connect as the superuser."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.settings.postgres_port,
            dbname=database,
            user="postgres",
            password=self.passwords.postgres_superuser,
            connect_timeout=5,
            autocommit=True,
        )

    def check(self, started: datetime) -> None:
        """It accepts a login and a query."""
        try:
            with self.connect() as connection:
                connection.execute("SELECT 1")
        except psycopg.Error as error:
            raise NotReadyError(str(error).splitlines()[0]) from error

    def provision(self) -> None:
        """Create the databases with their owners, and the programs' roles."""
        with self.connect() as connection:
            passwords = self.passwords.model_dump()
            make_roles(connection, {role: passwords[role] for role in RIGHTS})
            roles = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
            databases = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            for role, password in self.databases.items():
                name = sql.Identifier(role)
                if role not in roles:
                    connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(password)))
                if role not in databases:
                    connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
                    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))


def make_accessible(folder: Path) -> None:
    """Create a directory and its missing parents so that other users can enter them, independent of the umask."""
    if folder.exists():
        return
    make_accessible(folder.parent)
    folder.mkdir()
    folder.chmod(0o755)


def artifact_group() -> str:
    """The group of java.lock with the binaries for this machine."""
    return f"postgres-{platform.machine()}"


def choose_user() -> str | None:
    """The user that PostgreSQL runs as instead of root; None if the platform does not run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def find_directory(home: Home) -> Path:
    """PostgreSQL's directory: in the home, or in the fallback directory if its user cannot enter the home."""
    user = choose_user()
    fallback = FALLBACK_DIRECTORY / hashlib.sha256(os.fsencode(home.path)).hexdigest()[:12]
    # Existing data stays there, even if its user can enter the home by now.
    if user is None or (can_enter(user, home.path) and not fallback.exists()):
        return home.root / "postgres"
    return fallback


@functools.cache
def can_enter(user: str, folder: Path) -> bool:
    """Whether a user can enter a directory."""
    return subprocess.run(["test", "-x", str(folder)], env={}, cwd="/", check=False, **as_user(user)).returncode == 0


def as_user(user: str) -> dict[str, Any]:
    """The arguments of `subprocess` that drop root's privileges for a user's."""
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
