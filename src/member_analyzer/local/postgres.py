"""PostgreSQL: the landing database and Airflow's metadata."""

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

# For homes that the user of the server cannot reach.
ELSEWHERE = Path("/var/lib/member-analyzer")

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "shared_buffers": "96MB",
    "max_connections": "100",
    "max_wal_size": "512MB",
    "jit": "off",
    "log_min_messages": "warning",
    # A client that is gone must not hold its locks for the hours that the kernel waits.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60s",
    "client_connection_check_interval": "10s",
}


class Postgres(Server):
    """One PostgreSQL server; it has no Unix socket, and everyone logs in with SCRAM."""

    name = "postgres"
    # INT is its fast shutdown; TERM would wait for every client to leave.
    stop_signal = "INT"

    @property
    def ports(self) -> dict[str, int]:
        """For clients."""
        return {"LOCAL_POSTGRES_PORT": self.settings.postgres_port}

    @property
    def user(self) -> str | None:
        """PostgreSQL refuses to run as root."""
        return choose_user()

    @property
    def identity(self) -> dict[str, Any]:
        """What makes a subprocess run as its user."""
        return as_user(self.user) if self.user else {}

    @property
    def directory(self) -> Path:
        """Programs and data."""
        return find_directory(self.home)

    @property
    def program(self) -> Path:
        """Where the binaries are unpacked: they start each other with a shell, by their real path."""
        return program_folder(self.directory / "program", f"{self.home.root.name}-postgres")

    @property
    def data(self) -> Path:
        """The database cluster."""
        return self.directory / "data"

    @property
    def databases(self) -> dict[str, str]:
        """The password of each role that owns the database of its name."""
        return {
            "airflow": self.passwords.postgres_airflow,
            "member_analyzer": self.passwords.postgres_member_analyzer,
        }

    @property
    def command(self) -> list[str]:
        """The server."""
        options = SETTINGS | {"port": str(self.settings.postgres_port)}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [f"{self.program}/bin/postgres", "-D", str(self.data), *arguments]

    def prepare(self) -> None:
        """The binaries and the database cluster."""
        make_passable(self.directory)
        unpack(locate(group(), self.home.downloads)[0], self.program)
        if not (self.data / "PG_VERSION").exists():
            self.make_cluster()
        # Whatever ran here before has been ended; its number may belong to another process by now.
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def make_cluster(self) -> None:
        """Make the database cluster, whole or not at all."""
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
            # The built-in locale sorts alike on every machine.
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
            **self.identity,
        )
        secret.unlink()
        if result.returncode != 0:
            last = (result.stderr or result.stdout).strip().splitlines()[-1:]
            raise LocalError(f"PostgreSQL's data folder {unfinished} could not be made: {' '.join(last)}")
        unfinished.rename(self.data)

    def connect(self, database: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        """A session of the superuser."""
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
        """A login and a query."""
        try:
            with self.connect() as connection:
                connection.execute("SELECT 1")
        except psycopg.Error as error:
            raise NotReadyError(str(error).splitlines()[0]) from error

    def provision(self) -> None:
        """The owner of each database, which only roles with the right to may enter, and the programs' roles."""
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


def make_passable(folder: Path) -> None:
    """Make a folder, and those above it that are missing, that another user may pass through, whatever the umask."""
    if folder.exists():
        return
    make_passable(folder.parent)
    folder.mkdir()
    folder.chmod(0o755)


def group() -> str:
    """The group of java.lock with this machine's binaries."""
    return f"postgres-{platform.machine()}"


def choose_user() -> str | None:
    """The user that PostgreSQL runs as in place of root, none where the platform is not root's."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def find_directory(home: Home) -> Path:
    """PostgreSQL's folder: in the home, or elsewhere if its user cannot reach that."""
    user = choose_user()
    elsewhere = ELSEWHERE / hashlib.sha256(os.fsencode(home.place)).hexdigest()[:12]
    # Data stays where it was begun, even if its user can reach the home by now.
    if user is None or (can_enter(user, home.place) and not elsewhere.exists()):
        return home.root / "postgres"
    return elsewhere


@functools.cache
def can_enter(user: str, folder: Path) -> bool:
    """Whether a user can pass through a folder."""
    return subprocess.run(["test", "-x", str(folder)], env={}, cwd="/", check=False, **as_user(user)).returncode == 0


def as_user(user: str) -> dict[str, Any]:
    """The arguments of `subprocess.run` that give up root's rights for a user's."""
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
