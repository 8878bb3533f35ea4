"""What refuses or lets pass a host key beside the lines of known_hosts (R7, R22, R38)."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import generate_private_key, sign_certificate

import sshkit
from sshkit.client.host_keys import HostKeyVerifier
from sshkit.client.known_hosts_command import KnownHostsCommand, KnownHostsCommandFailed
from sshkit.client.target import load_target
from sshkit.config.parser import ConfigError, Place
from sshkit.ssh.errors import HostKeyNotVerified
from sshkit.testing import MemoryReactor
from tests.client.world import ECDSA_KEY, HOST_KEY, OTHER_KEY, USER_KEY, World, known_line

KEY = HOST_KEY.public


def verifier(tmp: Path, lines: str = "", **options: Any) -> HostKeyVerifier:
    file = tmp / "known"
    file.write_text(lines)
    return HostKeyVerifier("host", options.pop("port", 22), files=[file], global_files=[], **options)


def outcome(judge: HostKeyVerifier, key: Any = KEY) -> Any:
    """Return the error of a verdict, or None."""
    found: list[Any] = []
    try:
        verdict = judge.verify(key)
    except sshkit.SSHKitError as error:
        return error
    if verdict is not None:
        verdict.add_callbacks(lambda _: found.append(None), lambda failure: found.append(failure.exception))
        return found[0]
    return None


def test_r07_keys_in_the_list_of_revoked_ones_are_refused_whatever_else_is_said(tmp_path: Path) -> None:
    revoked = tmp_path / "revoked"
    revoked.write_text(KEY.to_line() + "\n")
    for options in ({"policy": "off"}, {"trusted": [KEY]}, {}):
        judge = verifier(tmp_path, known_line("host", HOST_KEY), **options)
        judge.revoked = str(revoked)
        judge.trust_loopback = True
        judge.peer_address = "127.0.0.1"
        error = outcome(judge)
        assert isinstance(error, sshkit.HostKeyRevoked)
        assert str(revoked) in str(error)


@pytest.mark.peer("ssh-keygen")
def test_r07_a_revocation_list_covers_authorities_of_certificates(tmp_path: Path) -> None:
    authority = generate_private_key("ed25519")
    (tmp_path / "ca.pub").write_text(authority.public.to_line() + "\n")
    made = ["ssh-keygen", "-q", "-k", "-f", str(tmp_path / "krl"), str(tmp_path / "ca.pub")]
    subprocess.run(made, check=True)
    certificate = sign_certificate(
        authority, KEY, role="host", key_id="x", principals=("host",), random_bytes=os.urandom
    )
    judge = verifier(tmp_path, known_line("*", authority, "@cert-authority"))
    assert outcome(judge, certificate) is None
    judge.revoked = str(tmp_path / "krl")
    assert isinstance(outcome(judge, certificate), sshkit.HostKeyRevoked)


def test_r38_a_list_of_revoked_keys_that_cannot_be_read_refuses_every_key(tmp_path: Path) -> None:
    for place, cause in ((tmp_path / "missing", "No such file"), (tmp_path / "bad", "bad:")):
        (tmp_path / "bad").write_bytes(b"SSHKRL\n\0garbage")
        judge = verifier(tmp_path, known_line("host", HOST_KEY))
        judge.revoked = str(place)
        error = outcome(judge)
        assert isinstance(error, sshkit.HostKeyRevoked)
        assert cause in str(error)


def test_revoked_host_keys_are_an_option_of_connect(world: World, tmp_path: Path) -> None:
    (tmp_path / "revoked").write_text(KEY.to_line() + "\n")
    (tmp_path / "known").write_text(known_line("host", HOST_KEY))

    async def main(**options: Any) -> None:
        with pytest.raises(sshkit.HostKeyRevoked):
            await world.connect(
                known_hosts=tmp_path / "known", revoked_host_keys=tmp_path / "revoked", **options
            )

    async def both() -> None:
        async with world.serve():
            await main()
            (tmp_path / "config").write_text("")
            await main(config=tmp_path / "config")

    world.run(both())


def test_r22_an_rsa_key_that_is_too_short_is_refused_though_it_is_known(tmp_path: Path) -> None:
    short = generate_private_key("rsa", 2048)
    judge = verifier(tmp_path, known_line("host", short))
    assert outcome(judge, short.public) is None
    judge.required_rsa_size = 3072
    error = outcome(judge, short.public)
    assert isinstance(error, HostKeyNotVerified)
    assert "has 2048 bits, RequiredRSASize is 3072" in str(error)


def test_r07_an_authority_that_signs_with_what_is_not_allowed_vouches_for_nobody(tmp_path: Path) -> None:
    authority = generate_private_key("ed25519")
    certificate = sign_certificate(
        authority, KEY, role="host", key_id="x", principals=("host",), random_bytes=os.urandom
    )
    said: list[str] = []
    judge = verifier(tmp_path, known_line("host", authority, "@cert-authority"), warn=said.append)
    judge.ca_signatures = ("rsa-sha2-512",)
    assert isinstance(outcome(judge, certificate), sshkit.HostKeyUnknown)
    assert "which is not allowed" in said[0]


@pytest.mark.parametrize(("address", "let_in"), [("127.0.0.5", True), ("::1", True), ("192.0.2.1", False)])
def test_a_server_on_this_machine_may_be_let_pass(tmp_path: Path, address: str, let_in: bool) -> None:
    judge = verifier(tmp_path, known_line("host", OTHER_KEY))
    judge.trust_loopback = True
    judge.peer_address = address
    error = outcome(judge)
    assert (error is None) is let_in
    if let_in:
        assert "NoHostAuthenticationForLocalhost" in judge.reason
    judge.peer_address = None
    assert isinstance(outcome(judge), sshkit.HostKeyChanged)


def test_the_address_is_written_down_beside_a_known_name(tmp_path: Path) -> None:
    said: list[str] = []
    for port, name in ((22, "192.0.2.1"), (2222, "[192.0.2.1]:2222")):
        judge = verifier(
            tmp_path,
            known_line("host" if port == 22 else "[host]:2222", HOST_KEY),
            port=port,
            warn=said.append,
        )
        judge.address = "192.0.2.1"
        assert outcome(judge) is None
        assert name not in (tmp_path / "known").read_text()  # unless CheckHostIP says so
        judge.add_address = True
        assert outcome(judge) is None
        assert known_line(name, HOST_KEY) in (tmp_path / "known").read_text()
    assert said[0] == f"added the address 192.0.2.1 (ssh-ed25519) to {tmp_path}/known"
    judge = verifier(tmp_path, policy="accept-new")
    judge.address, judge.add_address = "192.0.2.1", True
    assert outcome(judge) is None
    assert (tmp_path / "known").read_text().count("\n") == 2
    judge = verifier(tmp_path, known_line("host", HOST_KEY) + known_line("192.0.2.1", HOST_KEY))
    judge.address, judge.add_address = "192.0.2.1", True
    assert outcome(judge) is None
    assert (tmp_path / "known").read_text().count("\n") == 2


def test_an_address_that_cannot_be_written_down_costs_a_warning(tmp_path: Path) -> None:
    said: list[str] = []
    judge = verifier(tmp_path, known_line("host", HOST_KEY), warn=said.append)
    judge.address, judge.add_address = "192.0.2.1", True
    judge.files = [str(tmp_path / "known" / "file")]
    judge._known = sshkit_known(tmp_path / "known")
    assert outcome(judge) is None
    assert "could not be added" in said[0]


def sshkit_known(path: Path) -> Any:
    from sshkit_keys import KnownHosts

    return KnownHosts.load([path])


def test_r38_a_changed_key_of_the_address_is_a_changed_key(tmp_path: Path) -> None:
    judge = verifier(tmp_path, known_line("host", HOST_KEY) + known_line("192.0.2.1", OTHER_KEY))
    judge.address, judge.add_address = "192.0.2.1", True
    assert isinstance(outcome(judge), sshkit.HostKeyChanged)


@pytest.mark.parametrize("late", [False, True])
def test_who_is_asked_may_answer_later(world: World, tmp_path: Path, late: bool) -> None:
    async def later(key: Any, text: str) -> bool:
        return True

    async def main() -> str:
        async with (
            world.serve(),
            world.connect(
                known_hosts=tmp_path / "known",
                host_key_policy="ask",
                ask_host_key=later if late else lambda key, text: True,
            ) as connection,
        ):
            assert connection.verifier.is_known
            return connection.verifier.reason

    assert world.run(main()) == "unknown until now, and accepted by whoever was asked"


# KnownHostsCommand.


def command(text: str, host: str = "host") -> KnownHostsCommand:
    tokens = load_target(f"me@{host}", files=[]).tokens
    return KnownHostsCommand(text, Place("config", 4), tokens, MemoryReactor().defer_to_thread)


def test_the_tokens_of_the_command_are_replaced_within_one_argument() -> None:
    ours = command("/bin/prog '%I %H' %t %f %K %h:%p %% 100%%")
    kind, blob = KEY.to_line().split(" ")[:2]
    assert ours.arguments("HOSTNAME", "host", KEY) == [
        "/bin/prog",
        "HOSTNAME host",
        kind,
        KEY.fingerprint(),
        blob,
        "host:22",
        "%",
        "100%",
    ]
    assert ours.arguments("ORDER", "host")[2:5] == ["NONE"] * 3


@pytest.mark.parametrize("text", ["prog", "/bin/prog %q", "/bin/prog %", "'/bin/prog"])
def test_a_command_that_makes_no_sense_names_its_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"config:4: "):
        command(text).arguments("ORDER", "host")


def script(tmp: Path, body: str) -> str:
    path = tmp / "prog"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_a_command_knows_keys_that_no_file_has(tmp_path: Path) -> None:
    log = tmp_path / "log"
    prog = script(tmp_path, f"echo \"$@\" >>{log}\nprintf '%s' '{known_line('host', HOST_KEY)}'")
    judge = verifier(tmp_path)
    judge.command = command(f"{prog} %I %H %t")
    assert outcome(judge) is None
    assert judge.reason == "known by KnownHostsCommand (config:4):1"
    assert log.read_text() == "HOSTNAME host ssh-ed25519\n"
    judge = verifier(tmp_path)
    judge.command = command(f"{prog} %I %H %t")
    judge.address = "192.0.2.1"
    assert isinstance(outcome(judge, OTHER_KEY.public), sshkit.HostKeyChanged)
    assert log.read_text().endswith("HOSTNAME host ssh-ed25519\nADDRESS 192.0.2.1 ssh-ed25519\n")


def test_the_command_is_asked_for_the_order_before_the_connection(tmp_path: Path) -> None:
    authority = known_line("host", OTHER_KEY, "@cert-authority")
    line = known_line("host", ECDSA_KEY)
    prog = script(tmp_path, f"printf '%s' '{line}'; test -e {tmp_path}/ca && cat {tmp_path}/ca; true")
    judge = verifier(tmp_path)
    judge.command = command(prog)
    judge.prepare()
    names = ("ssh-ed25519", "ecdsa-sha2-nistp256")
    assert judge.order(names) == ("ecdsa-sha2-nistp256", "ssh-ed25519")
    (tmp_path / "ca").write_text(authority)
    judge.prepare()
    assert judge.order(names)[0] == "ssh-ed25519-cert-v01@openssh.com"


@pytest.mark.parametrize(
    ("body", "cause"), [("exit 3", "ended with status 3"), (None, "No such file"), ("yes", "wrote more than")]
)
def test_r38_a_command_that_fails_refuses_the_key(tmp_path: Path, body: str | None, cause: str) -> None:
    prog = script(tmp_path, body or "")
    if body is None:
        os.unlink(prog)
    if body == "yes":
        prog = script(tmp_path, "head -c 17000000 /dev/zero")
    judge = verifier(tmp_path, known_line("host", HOST_KEY))
    judge.command = command(prog)
    error = outcome(judge)
    assert isinstance(error, KnownHostsCommandFailed)
    assert cause in str(error)


def test_a_command_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sshkit.client.known_hosts_command.TIMEOUT", 0.05)
    judge = verifier(tmp_path)
    judge.command = command(script(tmp_path, "exec sleep 1000"))
    assert "no end within 0.05 s" in str(outcome(judge))


def test_the_configuration_names_the_command(world: World, tmp_path: Path) -> None:
    prog = script(tmp_path, f"printf '%s' '{known_line('host', HOST_KEY)}'")
    config = tmp_path / "config"
    none = f"UserKnownHostsFile {tmp_path}/none\nGlobalKnownHostsFile none\n"
    config.write_text(f"KnownHostsCommand {prog}\n{none}")

    async def main() -> str:
        network: Any = world.network
        async with (
            world.serve(host_keys=[ECDSA_KEY, HOST_KEY]),
            sshkit.connect("me@host", config=config, identities=[USER_KEY], reactor=network) as connection,
        ):
            assert connection.host_key == KEY
            return connection.verifier.reason

    assert world.run(main()) == f"known by KnownHostsCommand ({config}:1):1"
