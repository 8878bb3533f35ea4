"""A server's other keys are learnt when it proves them, and never by its word alone (R18, R36, R38)."""

import os
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import generate_private_key
from sshkit_keys.wire import string

import sshkit
from sshkit.client.host_key_updates import ANNOUNCED, MAX_KEYS, PROVE, HostKeyUpdates
from sshkit.client.host_keys import HostKeyVerifier
from sshkit.deferred import fail, succeed
from sshkit.ssh.errors import LocalProtocolError
from sshkit.ssh.messages import connection
from tests.client.test_hostile_server import Hostile
from tests.client.world import ECDSA_KEY, OTHER_KEY, key_file, known_line
from tests.interop.logins.servers import VERSIONS, Sshd
from tests.ssh.raw_peer import HOST_KEY

RSA_KEY = generate_private_key("rsa", 2048)
COMMENT = "# mine\n\nother.example ssh-ed25519 damaged!\n"


class Server(Hostile):
    """A raw server whose key is in a file."""

    def __init__(self, tmp: Path, lines: str | None = None, policy: Any = "strict", **updates: Any) -> None:
        super().__init__()
        self.file = tmp / "known"
        self.file.write_text(COMMENT + known_line("host", HOST_KEY) if lines is None else lines)
        self.said: list[str] = []
        self.client.verifier = HostKeyVerifier("host", 22, files=[self.file], global_files=[], policy=policy)
        self.client.host_key_updates = HostKeyUpdates(self.client, say=self.said.append, **updates)
        self.let_in()

    def announce(self, *keys: Any, raw: bytes = b"") -> None:
        body = b"".join(string(key.public.blob) for key in keys) + raw
        self.send(connection.GlobalRequest(ANNOUNCED, False, body))

    def asked(self) -> bytes:
        """Return the keys that are to be proved."""
        request = connection.GlobalRequest.decode(self.raw.take(connection.GLOBAL_REQUEST))
        assert request.kind == PROVE
        assert request.want_reply
        return request.body

    def proofs(self, *keys: Any, session_id: bytes | None = None, kind: str = PROVE) -> None:
        session = self.client.layer.session_id if session_id is None else session_id
        body = b""
        for key in keys:
            data = string(kind) + string(session) + string(key.public.blob)
            body += string(key.sign(key.public.signature_algorithms[0], data))
        self.send(bytes((connection.REQUEST_SUCCESS,)) + body)

    @property
    def over(self) -> str:
        assert self.client.host_key_updates is not None
        assert self.client.host_key_updates.done.called
        return self.said[-1]


def test_new_keys_are_added_when_they_are_proved_and_no_other_line_changes(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.announce(HOST_KEY, ECDSA_KEY, RSA_KEY)
    assert server.asked() == string(ECDSA_KEY.public.blob) + string(RSA_KEY.public.blob)
    server.proofs(ECDSA_KEY, RSA_KEY)
    assert server.over.endswith("2 host keys added, 0 removed")
    assert server.file.read_text() == (
        COMMENT + known_line("host", HOST_KEY) + known_line("host", ECDSA_KEY) + known_line("host", RSA_KEY)
    )
    assert not server.client.is_closed


def test_keys_that_the_server_has_no_more_are_removed(tmp_path: Path) -> None:
    lines = (
        COMMENT + known_line("host", HOST_KEY) + known_line("host", OTHER_KEY) + known_line("x", OTHER_KEY)
    )
    server = Server(tmp_path, lines)
    server.announce(HOST_KEY)
    assert server.over.endswith("0 host keys added, 1 removed")
    assert server.file.read_text() == COMMENT + known_line("host", HOST_KEY) + known_line("x", OTHER_KEY)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("yes", [False, True])
def test_the_user_may_be_asked(tmp_path: Path, yes: bool, late: bool) -> None:
    asked: list[str] = []

    def confirm(text: str) -> Any:
        asked.append(text)
        return succeed(yes) if late else yes

    lines = known_line("host", HOST_KEY) + known_line("host", OTHER_KEY)
    server = Server(tmp_path, lines, confirm=confirm)
    server.announce(HOST_KEY, ECDSA_KEY)
    server.proofs(ECDSA_KEY)
    assert asked[0].splitlines() == [
        "The server has updated its host keys.",
        f"Learned new hostkey: ECDSA {ECDSA_KEY.public.fingerprint()}",
        f"Deprecating obsolete hostkey: ED25519 {OTHER_KEY.public.fingerprint()} ({server.file}:2)",
        "Accept updated hostkeys? (yes/no): ",
    ]
    assert (known_line("host", ECDSA_KEY) in server.file.read_text()) is yes
    assert (known_line("host", OTHER_KEY) in server.file.read_text()) is not yes


def test_an_error_of_whoever_is_asked_changes_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path, confirm=lambda text: fail(LocalProtocolError("no terminal")))
    server.announce(HOST_KEY, ECDSA_KEY)
    server.proofs(ECDSA_KEY)
    assert "no terminal" in server.over


def unchanged(server: Server) -> None:
    assert ECDSA_KEY.public.to_line().split(" ")[1] not in server.file.read_text()


@pytest.mark.parametrize("wrong", ["session", "kind", "key", "missing", "more", "label", "none"])
def test_r38_keys_that_are_not_proved_are_not_written(tmp_path: Path, wrong: str) -> None:
    server = Server(tmp_path)
    server.announce(HOST_KEY, ECDSA_KEY)
    if wrong == "none":
        server.send(bytes((connection.REQUEST_FAILURE,)))
    elif wrong == "label":
        server.send(bytes((connection.REQUEST_SUCCESS,)) + string(b"\0"))
    elif wrong == "missing":
        server.proofs()
    else:
        keys = {"key": [OTHER_KEY], "more": [ECDSA_KEY, ECDSA_KEY]}.get(wrong, [ECDSA_KEY])
        session = b"x" * 32 if wrong == "session" else None
        server.proofs(*keys, session_id=session, kind="other" if wrong == "kind" else PROVE)
    assert "are not proved" in server.over
    unchanged(server)
    assert not server.client.is_closed


@pytest.mark.parametrize(
    ("lines", "policy", "why"),
    [
        ("", "off", "in no file"),
        (
            known_line("host", OTHER_KEY, "@cert-authority") + known_line("host", HOST_KEY),
            "strict",
            "authority",
        ),
        pytest.param(known_line("host,other", HOST_KEY), "strict", "names others too", id="others"),
        pytest.param(known_line("*", HOST_KEY), "strict", "names others too", id="everybody"),
    ],
)
def test_r38_nothing_is_learnt_where_the_files_do_not_vouch_for_this_host_alone(
    tmp_path: Path, lines: str, policy: Any, why: str
) -> None:
    server = Server(tmp_path, lines, policy)
    server.announce(HOST_KEY, ECDSA_KEY)
    assert why in server.over
    assert connection.GLOBAL_REQUEST not in server.raw.numbers()
    unchanged(server)


def test_r38_a_server_that_leaves_its_own_key_out_changes_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.announce(ECDSA_KEY)
    assert "does not list the key" in server.over
    assert server.file.read_text() == COMMENT + known_line("host", HOST_KEY)


def test_keys_that_are_known_or_strange_are_passed_over(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.announce(HOST_KEY, raw=string(string("ssh-unheard-of") + b"x") + string(b""))
    assert "known already" in server.over
    server.announce(HOST_KEY, ECDSA_KEY)  # only the first list counts
    assert connection.GLOBAL_REQUEST not in server.raw.numbers()


@pytest.mark.parametrize(
    "body",
    [
        b"\0\0",
        string(b"") * (MAX_KEYS + 1),
    ],
)
def test_r18_a_damaged_or_endless_list_ends_the_connection(tmp_path: Path, body: bytes) -> None:
    server = Server(tmp_path)
    server.announce(raw=body)
    assert isinstance(server.client.layer.lost, sshkit.RemoteProtocolError)


def test_a_file_that_cannot_be_read_or_written_costs_a_word(tmp_path: Path) -> None:
    server = Server(tmp_path)
    os.unlink(server.file)
    server.file.mkdir()
    server.announce(HOST_KEY, ECDSA_KEY)
    assert str(server.file) in server.over
    (tmp_path / "second").mkdir()
    server = Server(tmp_path / "second")
    server.announce(HOST_KEY, ECDSA_KEY)
    os.unlink(server.file)
    server.file.mkdir()
    server.proofs(ECDSA_KEY)
    assert str(server.file) in server.over


def test_an_obsolete_key_of_an_unknown_type_is_named_by_its_line(tmp_path: Path) -> None:
    asked: list[str] = []
    lines = known_line("host", HOST_KEY) + "host ssh-unheard-of AAAADnNzaC11bmhlYXJkLW9m\n"
    server = Server(tmp_path, lines, confirm=asked.append)
    server.announce(HOST_KEY)
    assert f"Deprecating obsolete hostkey: ssh-unheard-of ({server.file}:2)" in asked[0]


@pytest.mark.peer("sshd")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("hashed", ["yes", "no"])
def test_real_servers_tell_their_keys(tmp_path: Path, version: str, hashed: str) -> None:
    with_keys = Sshd(tmp_path, version, f"HostKey {tmp_path}/host_key", f"HostKey {tmp_path}/second")
    key_file(tmp_path, "second", ECDSA_KEY)
    with with_keys as sshd:
        config = sshd.write_config(tmp_path / "config", "UpdateHostKeys yes", f"HashKnownHosts {hashed}")

        async def main() -> None:
            async with sshkit.connect("root@box", config=config) as connection:
                updates = connection.host_key_updates
                assert updates is not None
                await connection.run("true")  # sshd tells its keys with the first session
                await updates.done.add_timeout(20, connection.clock)

        sshkit.run(main())
        text = sshd.known_hosts.read_text()
        assert text.count("\n") == 2
        assert ("|1|" in text) is (hashed == "yes")
        sshkit.run(main())
        assert sshd.known_hosts.read_text() == text


def test_updating_is_the_rule_only_for_the_users_own_files(tmp_path: Path) -> None:
    from sshkit.client.configured import make_connection
    from sshkit.client.connect_configured import ProgramAsking
    from sshkit.client.target import load_target
    from sshkit.config.client_options import command_line
    from sshkit.testing import MemoryReactor

    def updates(*lines: tuple[str, str]) -> Any:
        target = load_target("host", [command_line(*line) for line in lines], files=[])
        wishes: Any = type("W", (), {})()
        made = make_connection(target, MemoryReactor(), ProgramAsking(wishes), trusted=None)  # type: ignore[arg-type]
        return made.host_key_updates

    assert updates() is not None
    assert updates(("UserKnownHostsFile", "x")) is None
    assert updates(("VerifyHostKeyDNS", "yes")) is None
    assert updates(("UserKnownHostsFile", "x"), ("UpdateHostKeys", "yes")) is not None
    assert updates(("UpdateHostKeys", "no")) is None
    assert updates(("UpdateHostKeys", "ask"))._confirm is not None
    assert updates(("UpdateHostKeys", "ask"), ("BatchMode", "yes")) is None
