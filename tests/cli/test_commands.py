"""The `authaudit` command as people run it: a process, its output, its exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from opentelemetry_instrumentation_authaudit.model.catalog import EVENTS
from opentelemetry_instrumentation_authaudit.privacy.pseudonyms import Key, Keyring

from ..query.trail import canonical, line, write
from .command import PACKAGE, authaudit, records


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a trail in the default place: two services, as the tutorial of the seed has it."""
    journal = tmp_path / ".local" / "state" / "authaudit" / "journal"
    write(
        journal,
        [
            canonical(1, user__id="user:1", audit__identity="ann"),
            canonical(2, audit__outcome="failure", audit__identity="ann", audit__reason="wrong_password"),
            canonical(3, "token.issue", audit__action="sign_in_with_token", audit__strategy="token", user__id="user:1"),
        ],
    )
    write(
        journal,
        [canonical(1, stream="b" * 16, at=9, user__id="user:2")],
        name=f"2025-11-24.{'b' * 16}.0001.jsonl",
        service="admin",
    )
    return tmp_path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trail that an application recorded, with everything between it and the disk: the events of the seed's tutorial."""
    folder = tmp_path_factory.mktemp("recorded")
    program = """
from opentelemetry_instrumentation_authaudit import AuthAuditInstrumentor, audit
AuthAuditInstrumentor().instrument(journal_dir="journal")
audit.record("auth.register", strategy="password", subject="user?id=1", identity="ann@example.org")
audit.record("auth.sign_in", strategy="password", subject="user?id=1", identity="ann@example.org")
audit.record("auth.sign_in", strategy="password", status="failure", reason="wrong_password", identity="ann@example.org")
audit.record("auth.sign_in", strategy="oauth2", provider="github", subject="user?id=2")
audit.record("token.issue", action="sign_in_with_token", strategy="token", subject="user?id=1")
audit.record("password.reset_request", strategy="password", status="unknown", identity="who@example.org")
""".replace('"journal"', repr(str(folder / "journal")))
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "HOME": str(folder)}, check=True, timeout=60)
    return folder


SEED = {
    "all": (
        (),
        [
            "register_with_password success user?id=1",
            "sign_in_with_password success user?id=1",
            "sign_in_with_password failure ",
            "sign_in_with_github success user?id=2",
            "sign_in_with_token success user?id=1",
            "request_password_reset_with_password unknown ",
        ],
    ),
    "by subject": (
        ("--subject", "user?id=1"),
        [
            "register_with_password success user?id=1",
            "sign_in_with_password success user?id=1",
            "sign_in_with_token success user?id=1",
        ],
    ),
    "by action": (
        ("--action", "sign_in_with_password"),
        ["sign_in_with_password success user?id=1", "sign_in_with_password failure "],
    ),
    "by status": (("--status", "failure"), ["sign_in_with_password failure "]),
}


@pytest.mark.parametrize("question", SEED)
def test_the_four_queries_of_the_seed(recorded: Path, question: str) -> None:
    """All, by subject, by action, by status: the answers its tutorial promises, beside what the audit tells of itself."""
    flags, expected = SEED[question]
    done = authaudit("query", "--store", str(recorded / "journal"), *flags, "--format", "json", home=recorded)
    assert done.returncode == 0, done.stderr
    found = [json.loads(row) for row in done.stdout.splitlines()]
    told = [record for record in found if not record["event"].startswith("audit.")]
    assert [f"{r['audit.action']} {r['audit.outcome']} {r.get('user.id', '')}" for r in told] == expected
    assert [record["event"] for record in found if record not in told] == (
        ["audit.start", "audit.stop"] if question == "all" else []
    )


def test_identity_is_found_in_what_was_recorded(recorded: Path) -> None:
    """It is stored as a hash, and asked for in clear: the key lies beside the journal."""
    asked = ("query", "--store", str(recorded / "journal"), "--identity", "Ann@Example.org", "--format", "json")
    done = authaudit(*asked, home=recorded)
    assert len(done.stdout.splitlines()) == 3
    assert "ann@example.org" not in done.stdout.lower()


def test_query_says_where_it_looked(home: Path) -> None:
    """Without a flag all services of every default place are asked; data goes to stdout, words to stderr."""
    done = authaudit("query", home=home)
    assert done.returncode == 0
    assert f"looked in {home}/.local/state/authaudit/journal" in done.stderr
    assert "2 files" in done.stderr
    assert len(done.stdout.splitlines()) == 5
    assert "wrong_password" in done.stdout


def test_query_of_one_store_newest_only(home: Path) -> None:
    """`--store` names a file or folder; `--last` keeps the newest, `--limit` the first."""
    store = str(home / ".local/state/authaudit/journal/shop")
    assert records(authaudit("query", "--store", store, "--last", "1", "--format", "json", home=home)) == ["aaaa-0003"]
    assert records(authaudit("query", "--store", store, "--limit", "1", "--format", "json", home=home)) == ["aaaa-0001"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("query", "--store", "/nowhere"), 2, "there is no /nowhere"),
        (("query", "--status", "failed"), 2, "a status is success, failure or unknown"),
        (("query", "--since", "yesterday"), 2, "write 2026-11-24"),
        (("query", "--since", ""), 2, "write 2026-11-24"),
        (("query", "--ip", "localhost"), 2, "is no address"),
        (("query", "--last", "-1"), 2, "write 0 or more"),
        (("query", "--stat", "failure"), 2, "unrecognized arguments"),
        (("query", "--format", "xml"), 2, "invalid choice"),
        (("ask",), 2, "invalid choice: 'ask'"),
        ((), 2, "COMMAND"),
        (("init", "--log-lifetime", "0"), 2, "a number of days (1 or more), or infinity"),
        (("init", "--exclude-strategies", "pasword"), 2, "did you mean 'password'?"),
        (("init", "--output", "/nowhere/x.env"), 2, "cannot be written"),
    ],
)
def test_wrong_use_is_explained(home: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    """Exit code 2, and a sentence that says what to do."""
    done = authaudit(*arguments, home=home)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_recorded_yet(tmp_path: Path) -> None:
    """An empty answer is no failure, and says how to begin."""
    done = authaudit("query", home=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "opentelemetry-instrument" in done.stderr


def test_unreadable_lines_are_told(home: Path) -> None:
    """What was passed over is counted on stderr."""
    path = next((home / ".local/state/authaudit/journal/shop").glob("*.jsonl"))
    path.write_bytes(path.read_bytes() + b'{"resourceLogs":[{"resource"\n')
    assert "1 torn or damaged line could not be read" in authaudit("query", home=home).stderr


def test_reader_that_has_enough_is_no_failure(home: Path) -> None:
    """`authaudit query | head -1`."""
    write(home / "many", [canonical(n) for n in range(1, 3000)])
    shell = f"{sys.executable} -m opentelemetry_instrumentation_authaudit query --store {home}/many | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", shell], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, len(done.stdout.splitlines()), done.stderr) == (0, 1, "")


def test_asking_does_not_load_what_only_telling_needs(home: Path) -> None:
    """A shell command is quick: no SDK, no gRPC, no library is imported for a query."""
    code = (
        "import sys\nfrom opentelemetry_instrumentation_authaudit.cli import main\nmain(['query', '--format', 'json'])\n"
        "heavy = {'grpc', 'opentelemetry.sdk', 'requests', 'django', 'flask', 'google.protobuf'} & set(sys.modules)\nsys.exit(f'{heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.count("looked in")) == (0, 1), done.stderr


def test_identity_is_found_behind_its_hash(home: Path) -> None:
    """The key that was generated beside the journals is used, wherever they are; without it the answer says what is missing."""
    journal = home / "elsewhere" / "journal"
    key = Key("k1", b"generated")
    path = write(
        journal, [canonical(1, audit__identity=Keyring((key,)).identity("Ann@example.org")), canonical(2, audit__identity="bob")]
    )
    missing = authaudit("query", "--store", str(journal), "--identity", "ann@example.org", home=home)
    assert (missing.returncode, missing.stdout) == (0, "")
    assert "OTEL_PYTHON_AUTHAUDIT_HASH_KEY" in missing.stderr
    (home / "elsewhere" / "keys").mkdir()
    (home / "elsewhere" / "keys" / "hash.key").write_text("k1:generated\n")
    for store in (journal, path.parent, path):
        asked = ("query", "--store", str(store), "--identity", "ann@example.org", "--format", "json")
        assert records(authaudit(*asked, home=home)) == ["aaaa-0001"]


def test_commas_belong_to_names(home: Path) -> None:
    """An LDAP name is one subject; actions and statuses are lists."""
    write(
        home / "ldap",
        [
            canonical(1, user__id="uid=ann,ou=people"),
            canonical(2, audit__outcome="unknown"),
            canonical(3, audit__outcome="failure"),
        ],
    )
    store = ("query", "--store", str(home / "ldap"), "--format", "json")
    assert records(authaudit(*store, "--subject", "uid=ann,ou=people", home=home)) == ["aaaa-0001"]
    assert records(authaudit(*store, "--status", "Failure,unknown", home=home)) == ["aaaa-0002", "aaaa-0003"]


def test_strategies_are_named_as_in_the_options(home: Path) -> None:
    """`oauth` is both, a provider may be named, and a word that was misspelt is pointed out."""
    strategies = ("oauth2", "oidc", "password")
    write(home / "social", [canonical(n, audit__strategy=s, audit__provider="github") for n, s in enumerate(strategies, 1)])
    store = ("query", "--store", str(home / "social"), "--format", "json")
    assert records(authaudit(*store, "--strategy", "oauth", home=home)) == ["aaaa-0001", "aaaa-0002"]
    assert len(records(authaudit(*store, "--strategy", "github", home=home))) == 3
    assert "did you mean 'password'?" in authaudit(*store, "--strategy", "pasword", home=home).stderr


def test_table_is_about_people(home: Path) -> None:
    """Checkpoints of the chain would hide the sign-ins; who asks for them gets them, and programs get everything."""
    write(home / "chain", [canonical(1), canonical(2, "audit.checkpoint", audit__action="checkpoint")])
    store = ("query", "--store", str(home / "chain"))
    assert "checkpoint" not in authaudit(*store, home=home).stdout
    assert "checkpoint" in authaudit(*store, "--event", "audit.*", home=home).stdout
    assert len(records(authaudit(*store, "--format", "json", home=home))) == 2


def test_piped_table_has_whole_lines(home: Path) -> None:
    """Nothing is folded where no terminal is: `authaudit query | grep`."""
    long = "user?id=" + "0" * 200
    write(home / "long", [canonical(1, user__id=long)])
    assert long in authaudit("query", "--store", str(home / "long"), home=home, COLUMNS="").stdout


def test_terminal_without_the_characters_gets_the_record(home: Path) -> None:
    """A Latin-1 terminal and a Chinese name."""
    write(home / "wide", [canonical(1, user__id="名前")])
    done = authaudit("query", "--store", str(home / "wide"), home=home, PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert "\\u540d\\u524d" in done.stdout


def test_disk_behind_stdout_is_full(home: Path) -> None:
    """Half an answer is no answer: exit code 3."""
    shell = f"{sys.executable} -m opentelemetry_instrumentation_authaudit query --store {home}/.local/state/authaudit/journal > /dev/full"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert done.stderr == "authaudit query: could not finish: [Errno 28] No space left on device\n"


@pytest.mark.skipif(os.getuid() != 0, reason="becoming another user needs root")
def test_closed_folder_is_named(home: Path) -> None:
    """A service's folder that this user may not read is not passed over in silence."""
    journal = home / ".local/state/authaudit/journal"
    code = (
        "import os, sys\nfrom opentelemetry_instrumentation_authaudit.cli import main, query, places\nos.setuid(65534)\n"
        f"sys.exit(main(['query', '--store', {str(journal)!r}]))"
    )
    for folder in [journal, *journal.parents]:
        if str(folder).startswith("/tmp/pytest"):  # noqa: S108 -- where pytest puts a test's folder
            folder.chmod(0o755)
    (journal / "admin").chmod(0o700)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert f"could not read {journal / 'admin'}: permission denied" in done.stderr
    assert "wrong_password" in done.stdout


def test_version(home: Path) -> None:
    """What a bug report names."""
    assert authaudit("--version", home=home).stdout == f"opentelemetry-instrumentation-authaudit {metadata.version(PACKAGE)}\n"


def test_tail_of_nothing_waits(home: Path) -> None:
    """`-n 0` begins with what comes."""
    assert authaudit("tail", "-n", "0", home=home).stdout == ""
    assert records(authaudit("tail", "-n", "3", "--format", "json", home=home)) == ["aaaa-0002", "aaaa-0003", "bbbb-0001"]
    assert records(authaudit("tail", "-n", "3", "--subject", "user:1", "--format", "json", home=home)) == [
        "aaaa-0001",
        "aaaa-0003",
    ]


@pytest.fixture
def follower(home: Path) -> Iterator[subprocess.Popen[str]]:
    """`authaudit tail -f`."""
    command = [sys.executable, "-m", "opentelemetry_instrumentation_authaudit", "tail", "-f", "-n", "1", "--format", "json"]
    command += ["--store", str(home / ".local/state/authaudit/journal")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_tail_follows_over_rotation(home: Path, follower: subprocess.Popen[str]) -> None:
    """The newest, then what comes: appended, in a new file, a line in two halves, a collector's file that is renamed or emptied.

    Nothing comes twice; Ctrl-C ends it.
    """
    assert follower.stdout is not None
    assert json.loads(follower.stdout.readline())["audit.record.id"] == "bbbb-0001"
    folder = home / ".local/state/authaudit/journal/shop"
    with next(folder.glob("*.jsonl")).open("ab") as file:
        file.write(line(canonical(4)))
    assert json.loads(follower.stdout.readline())["audit.record.id"] == "aaaa-0004"
    whole = line(canonical(5))
    with (folder / f"2025-11-25.{'a' * 16}.0002.jsonl").open("ab", buffering=0) as file:
        file.write(whole[:100])
        time.sleep(0.5)
        file.write(whole[100:])
    assert json.loads(follower.stdout.readline())["audit.record.id"] == "aaaa-0005"
    collected = folder / "collected.jsonl"
    collected.write_bytes(line(canonical(5)) + line(canonical(6)))
    assert json.loads(follower.stdout.readline())["audit.record.id"] == "aaaa-0006"
    collected.rename(folder / "collected-2025-11-25T00-00-00.000.jsonl")
    collected.write_bytes(line(canonical(7)))
    assert json.loads(follower.stdout.readline())["audit.record.id"] == "aaaa-0007"
    collected.write_bytes(b"")
    time.sleep(0.5)
    collected.write_bytes(line(canonical(8)))
    assert json.loads(follower.stdout.readline())["audit.record.id"] == "aaaa-0008"
    follower.send_signal(signal.SIGINT)
    assert follower.wait(10) == 130


def test_init_writes_what_the_seed_asks_for(home: Path) -> None:
    """The flags of the seed's installer, an env file that a shell can read, and the next command."""
    flags: tuple[str, ...] = (
        "--audit-log",
        "accounts",
        "--include-fields",
        "email,username",
        "--exclude-strategies",
        "magic_link,oauth",
    )
    flags += ("--exclude-actions", "sign_in_with_token", "--ip-privacy-mode", "truncate", "--log-lifetime", "30")
    done = authaudit("init", *flags, home=home)
    assert done.returncode == 0, done.stderr
    assert "opentelemetry-instrument" in done.stdout
    path = home / "authaudit.env"
    assert path.stat().st_mode & 0o777 == 0o600
    shell = f"set -a; . {path}; env"
    env = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=10, check=True).stdout.splitlines()
    assert {row for row in env if row.startswith("OTEL_PYTHON_AUTHAUDIT_")} == {
        "OTEL_PYTHON_AUTHAUDIT_LOG_NAME=accounts",
        "OTEL_PYTHON_AUTHAUDIT_INCLUDE_FIELDS=email,username",
        "OTEL_PYTHON_AUTHAUDIT_EXCLUDE_STRATEGIES=magic_link,oauth",
        "OTEL_PYTHON_AUTHAUDIT_EXCLUDE_ACTIONS=sign_in_with_token",
        "OTEL_PYTHON_AUTHAUDIT_IP_PRIVACY_MODE=truncate",
        "OTEL_PYTHON_AUTHAUDIT_LOG_LIFETIME=30",
    }


def test_init_overwrites_only_by_force(home: Path) -> None:
    """What stands in the file may be somebody's work."""
    assert authaudit("init", home=home).returncode == 0
    again = authaudit("init", "--log-lifetime", "7", home=home)
    assert again.returncode == 2
    assert "--force" in again.stderr
    assert "LOG_LIFETIME=90" in (home / "authaudit.env").read_text()
    assert authaudit("init", "--log-lifetime", "7", "--force", home=home).returncode == 0
    assert "LOG_LIFETIME=7" in (home / "authaudit.env").read_text()


def test_schema_is_complete(home: Path) -> None:
    """Every event, and the same in every format."""
    found = json.loads(authaudit("schema", "--format", "json", home=home).stdout)
    assert [event["name"] for event in found["events"]] == list(EVENTS)
    for form in ("text", "markdown"):
        text = authaudit("schema", "--format", form, home=home, COLUMNS="300").stdout
        assert all(name in text for name in EVENTS)


def test_help_teaches(home: Path) -> None:
    """Each command has examples."""
    for command in ("query", "tail", "doctor", "init", "schema"):
        done = authaudit(command, "--help", home=home)
        assert done.returncode == 0
        assert "examples:" in done.stdout
