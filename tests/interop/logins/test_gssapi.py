"""Logins by Kerberos tickets of a real KDC: at OpenSSH's server and at our own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import generate_private_key

import sshkit
from sshkit.client.gssapi import GSSAPI
from sshkit.server.gssapi import GSSAPIAcceptor
from sshkit.ssh.authentication import gssapi_package
from sshkit.ssh.authentication.gssapi_package import GSSAPIFailed
from tests.interop.logins.realm import REALM, Realm
from tests.interop.logins.servers import VERSIONS, Sshd

pytestmark = [pytest.mark.peer("krb5kdc"), pytest.mark.peer("kinit")]


@pytest.fixture(scope="module")
def kdc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    pytest.importorskip("gssapi")
    folder = tmp_path_factory.mktemp("realm")
    folder.chmod(0o755)
    with Realm(folder) as realm:
        yield realm


@pytest.fixture
def realm(kdc: Realm, monkeypatch: pytest.MonkeyPatch) -> Realm:
    for name in ("KRB5_CONFIG", "KRB5_KTNAME", "KRB5CCNAME", "KRB5RCACHENAME"):
        monkeypatch.setenv(name, kdc.environment[name])
    kdc.log_out()
    return kdc


class Box(Sshd):
    """An sshd of the realm."""

    def __init__(self, folder: Path, version: str, realm: Realm) -> None:
        super().__init__(
            folder,
            version,
            "GSSAPIAuthentication yes",
            "GSSAPIStrictAcceptorCheck no",
            "PubkeyAuthentication no",
            "PasswordAuthentication no",
        )
        self.environment = realm.environment


def visit(sshd: Sshd, *lines: str, user: str = "root", run: str = "true", **options: Any) -> Any:
    config = sshd.write_config(
        sshd.folder / "config", "GSSAPIAuthentication yes", *lines, "HostKeyAlias box", "HostName localhost"
    )
    options.setdefault("config", config)

    async def main() -> Any:
        async with sshkit.connect(
            f"{user}@box", port=sshd.port, host_keys=[sshd.host_key.public], **options
        ) as connection:
            result = await connection.run(run)
            return [f"{attempt.method} {attempt.verdict}" for attempt in connection.trail], result.text

    return sshkit.run(main())


@pytest.mark.peer("sshd")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_ticket_lets_in_at_a_real_server(tmp_path: Path, version: str, realm: Realm) -> None:
    with Box(tmp_path, version, realm) as sshd:
        realm.log_in()
        trail, _ = visit(sshd)
        assert trail == ["gssapi-with-mic accepted"]
        _, delegated = visit(sshd, "GSSAPIDelegateCredentials yes", run="echo ${KRB5CCNAME:-none}")
        assert delegated.startswith("FILE:")
        assert delegated.strip() != realm.environment["KRB5CCNAME"]
        _, kept = visit(sshd, run="echo ${KRB5CCNAME:-none}")
        assert kept.strip() in ("none", realm.environment["KRB5CCNAME"])


@pytest.mark.peer("sshd")
def test_what_goes_wrong_is_told_in_the_librarys_words(tmp_path: Path, realm: Realm) -> None:
    with Box(tmp_path, "9.2", realm) as sshd:
        with pytest.raises(sshkit.AuthenticationFailed, match=r"gssapi-with-mic: .*[Cc]redential"):
            visit(sshd)
        realm.log_in()
        with pytest.raises(sshkit.AuthenticationFailed, match="not found in Kerberos database"):
            visit(sshd, "GSSAPIServerIdentity elsewhere.example")
        with pytest.raises(sshkit.AuthenticationFailed, match="gssapi-with-mic"):
            visit(sshd, "GSSAPIClientIdentity other")
        realm.log_in("other")
        with pytest.raises(sshkit.AuthenticationFailed) as refused:
            visit(sshd)
        assert any(attempt.verdict == "refused" for attempt in refused.value.trail)


@pytest.mark.peer("sshd")
def test_the_names_of_both_ends_can_be_chosen(
    tmp_path: Path, realm: Realm, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Box(tmp_path, "9.2", realm) as sshd:
        realm.log_in()
        names = ("GSSAPIClientIdentity root", "GSSAPIServerIdentity localhost")
        assert visit(sshd, *names)[0] == ["gssapi-with-mic accepted"]
        asked: list[Any] = []

        def look_up(address: Any, flags: int) -> tuple[str, str]:
            asked.append(address)
            return "localhost", "0"

        monkeypatch.setattr("socket.getnameinfo", look_up)
        assert visit(sshd, "GSSAPITrustDNS yes")[0] == ["gssapi-with-mic accepted"]
        assert asked[0][0] in ("127.0.0.1", "::1")

        def fails(address: Any, flags: int) -> Any:
            raise OSError

        monkeypatch.setattr("socket.getnameinfo", fails)
        assert visit(sshd, "GSSAPITrustDNS yes")[0] == ["gssapi-with-mic accepted"]


def serve_once(users: sshkit.Users, gssapi: GSSAPI, user: str = "me", **options: Any) -> Any:
    """Log in at a server of ours; return who was let in, or the error."""
    key = generate_private_key("ed25519")

    async def main() -> Any:
        async with sshkit.serve(
            "127.0.0.1:0", lambda session: None, host_keys=[key], users=users, log=lambda *_: None
        ) as server:
            try:
                async with sshkit.connect(
                    f"{user}@localhost:{server.address[1]}",
                    host_keys=[key.public],
                    identities=[],
                    agent="",
                    gssapi=gssapi,
                    **options,
                ) as connection:
                    return connection.trail[-1]
            except sshkit.AuthenticationFailed as error:
                return error

    return sshkit.run(main())


def test_our_own_server_takes_tickets_of_those_it_knows(realm: Realm, tmp_path: Path) -> None:
    realm.log_in()
    acceptor = GSSAPIAcceptor(realm.keytab, "host@localhost")
    users = sshkit.Users(gssapi=acceptor, principals={"me": [f"root@{REALM}"]})
    assert serve_once(users, GSSAPI()).method == "gssapi-with-mic"
    assert serve_once(users, GSSAPI(delegate=True)).verdict == "accepted"
    (tmp_path / "config").write_text("")
    assert serve_once(users, GSSAPI(), config=tmp_path / "config").verdict == "accepted"
    assert isinstance(serve_once(users, GSSAPI(), user="root"), sshkit.AuthenticationFailed)
    nobody = sshkit.Users(gssapi=GSSAPIAcceptor())
    assert isinstance(serve_once(nobody, GSSAPI()), sshkit.AuthenticationFailed)


def test_a_server_without_its_key_says_so(realm: Realm, tmp_path: Path) -> None:
    with pytest.raises(GSSAPIFailed):
        GSSAPIAcceptor(tmp_path / "missing", "host@localhost")


def test_without_the_package_the_trail_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    original = importlib.import_module

    def missing(name: str, *arguments: Any) -> Any:
        if name == "gssapi":
            raise ImportError(name)
        return original(name, *arguments)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(GSSAPIFailed, match=r"sshkit\[gssapi\]"):
        gssapi_package.load()
    error = serve_once(sshkit.Users(passwords={"me": "x"}), GSSAPI())
    # The server does not take it, so nobody looks for the package.
    assert "gssapi" not in str(error).lower()


def test_r06_a_mechanism_without_integrity_is_no_login(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    realm.log_in()
    monkeypatch.setattr("sshkit.server.gssapi.AcceptorContext._has_integrity", lambda self: False)
    users = sshkit.Users(gssapi=GSSAPIAcceptor(), principals={"me": [f"root@{REALM}"]})
    assert isinstance(serve_once(users, GSSAPI()), sshkit.AuthenticationFailed)
