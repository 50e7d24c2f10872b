"""A real LDAP server for a test run: OpenLDAP's slapd on loopback, with everything it writes in a temporary folder."""

from __future__ import annotations

import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ..ports import free_port

__all__ = (
    "ADMIN",
    "ADMIN_PASSWORD",
    "BASE",
    "SERVICE",
    "SERVICE_PASSWORD",
    "Directory",
    "active_directory",
    "serve",
    "slapd",
)

BASE = "dc=example,dc=org"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{BASE}", "admin-granite-heron-8813"
SERVICE, SERVICE_PASSWORD = f"cn=lookup,{BASE}", "lookup-velvet-ferry-2740"

_SCHEMAS = ("core", "cosine", "inetorgperson")
_CONFIG = """
{schemas}
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
sasl-secprops none
password-hash {{CLEARTEXT}}
authz-regexp "^uid=([^,]+),cn=(digest-md5|plain),cn=auth$" "uid=$1,{base}"
authz-regexp "^uid=([^,]+),cn=[^,]+,cn=(digest-md5|plain),cn=auth$" "uid=$1,{base}"
{allow}
database mdb
suffix "{base}"
directory {folder}/data
rootdn "{admin}"
rootpw {admin_password}
access to attrs=userPassword by self write by anonymous auth by * none
access to * by * read
"""
"""Passwords stand in clear in it: DIGEST-MD5 cannot do without."""


@dataclass(frozen=True)
class Directory:
    """The server, as long as it runs."""

    port: int
    socket: str
    """URL of its Unix socket."""
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ldap://127.0.0.1:{self.port}"


def slapd() -> str | None:
    """The server's program, which Debian keeps out of a user's PATH."""
    return shutil.which(
        "slapd", path="/usr/sbin:/usr/local/sbin:/usr/libexec:/opt/homebrew/opt/openldap/libexec"
    ) or shutil.which("slapd")


def unconfined(folder: Path) -> str:
    """The program, or a copy of it in *folder*: Ubuntu's AppArmor knows it by its path, and lets that one write nowhere but in its own
    folders."""
    program = slapd()
    assert program is not None
    if Path("/etc/apparmor.d/usr.sbin.slapd").exists():
        return shutil.copy(program, str(folder / "slapd"))
    return program


def person(name: str, password: str) -> str:
    """A person of the directory."""
    return f"dn: uid={name},{BASE}\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\nuserPassword: {password}\n"


@contextmanager
def serve(folder: Path, people: dict[str, str], *, unauthenticated: bool = False, port: int | None = None) -> Iterator[Directory]:
    """Run a server that knows *people* (name and password) and the service account; *unauthenticated* binds are refused by default,
    as OpenLDAP does. A server may come back on the *port* of another."""
    (folder / "data").mkdir(parents=True)
    config, entries = folder / "slapd.conf", folder / "entries.ldif"
    schemas = "\n".join(f"include /etc/ldap/schema/{name}.schema" for name in _SCHEMAS)
    allow = "allow bind_anon_dn" if unauthenticated else ""
    words = {"folder": folder, "base": BASE, "admin": ADMIN, "admin_password": ADMIN_PASSWORD, "schemas": schemas, "allow": allow}
    config.write_text(_CONFIG.format(**words))
    top = f"dn: {BASE}\nobjectClass: domain\ndc: example\n"
    service = f"dn: {SERVICE}\nobjectClass: person\ncn: lookup\nsn: lookup\nuserPassword: {SERVICE_PASSWORD}\n"
    entries.write_text("\n".join([top, service, *(person(name, password) for name, password in people.items())]))
    program = unconfined(folder)
    subprocess.run([program, "-Tadd", "-f", config, "-l", entries], check=True, capture_output=True)
    port, unix = port or free_port(), f"ldapi://{quote(str(folder / 's'), safe='')}"
    command = [program, "-d", "0", "-f", str(config), "-h", f"ldap://127.0.0.1:{port} {unix}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(port, process)
            yield Directory(port, unix, process)
        finally:
            process.terminate()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until somebody listens on *port*."""
    for _ in range(200):
        assert process.poll() is None, f"slapd ended with {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    message = f"slapd does not listen on port {port}"
    raise AssertionError(message)


class _Refusing(socketserver.BaseRequestHandler):
    """Answers every bind with the words of Active Directory (RFC 4511, 4.2.2)."""

    def handle(self) -> None:
        """One answer for each message but an unbind."""
        while asked := self.request.recv(65536):
            start = 2 if asked[1] < 128 else 2 + (asked[1] & 127)  # behind tag and length
            number, operation = asked[start + 2 : start + 2 + asked[start + 1]], asked[start + 2 + asked[start + 1]]
            if operation == 0x60:
                answer = b"\x0a\x01\x31" + _octets(b"") + _octets(self.server.words)  # type: ignore[attr-defined]
                self.request.sendall(_wrapped(0x30, _wrapped(0x02, number) + _wrapped(0x61, answer)))


def _wrapped(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content


def _octets(content: bytes) -> bytes:
    return _wrapped(0x04, content)


@contextmanager
def active_directory(code: str) -> Iterator[str]:
    """A server that refuses every bind for the reason that *code* means to Active Directory; gives its URL."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Refusing) as server:
        server.daemon_threads = True
        server.words = f"80090308: LdapErr: DSID-0C09042A, comment: error, data {code}, v3839".encode()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"ldap://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
