"""From a configuration to a server's parts, with every mistake named."""

import os
from pathlib import Path

import pytest
from sshkit_keys import generate_private_key, write_private_key

from sshkit.config.parser import Setting
from sshkit.config.sshd_config import ConfigErrors, read_server_config
from sshkit.server import system_passwords
from sshkit.server.accounts import Account, own_account
from sshkit.server.configured import Plan, Planner
from sshkit.server.forward_policy import ForwardPolicy
from sshkit.server.limits import MaxStartups
from sshkit.ssh.transport.rekeying import DEFAULT_BYTES, DEFAULT_SECONDS, RekeyLimits


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "host"
    write_private_key(path, generate_private_key("ed25519").to_openssh(random_bytes=os.urandom))
    return str(path)


def plan(*lines: str, own_key: str | None = None, account: Account | None = None) -> Plan:
    return Planner(read_server_config(None, lines), account or own_account()).make(own_key)


def mistakes(*lines: str, own_key: str | None = None) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        plan(*lines, own_key=own_key)
    return [error.cause for error in caught.value.errors]


def test_settings_are_those_of_the_configuration(key: str, tmp_path: Path) -> None:
    (tmp_path / "banner").write_text("hello\n")
    made = plan(
        f"HostKey {key}",
        f"Banner {tmp_path / 'banner'}",
        "Ciphers aes128-ctr",
        "LoginGraceTime 7",
        "MaxAuthTries 2",
        "MaxStartups 1:2:3",
        "PerSourceMaxStartups 4",
        "PerSourceNetBlockSize 24:48",
        "MaxSessions 5",
        "ClientAliveInterval 6",
        "ClientAliveCountMax 2",
        "AcceptEnv X",
        "PermitTTY no",
        "RekeyLimit 1M 1m",
        "VersionAddendum here",
        "AuthenticationMethods publickey",
    )
    settings = made.settings
    assert [cipher.name for cipher in settings.algorithms.ciphers] == ["aes128-ctr"]
    assert (settings.grace_time, settings.max_tries, settings.max_sessions) == (7, 2, 5)
    assert settings.max_startups == MaxStartups(1, 2, 3)
    assert (settings.max_startups_per_source, settings.source_blocks) == (4, (24, 48))
    assert (settings.keepalive, settings.keepalive_count) == (6, 2)
    assert (settings.banner, settings.accept_env, settings.permit_terminal) == ("hello\n", ("X",), False)
    assert settings.rekey_limits == RekeyLimits(1 << 20, 60)
    assert settings.version_addendum == "here"
    assert made.users.rules.chains == (("publickey",),)
    assert len(made.host_keys) == 1


def test_defaults_are_sshds_but_for_passwords(key: str) -> None:
    made = plan(own_key=key)
    assert made.settings.rekey_limits == RekeyLimits(DEFAULT_BYTES, DEFAULT_SECONDS)
    assert made.settings.keepalive == 0
    assert made.users.methods() == ("publickey",)
    assert plan("RekeyLimit default none", own_key=key).settings.rekey_limits.seconds == 0


def test_a_count_of_zero_gives_nobody_up(key: str) -> None:
    assert plan("ClientAliveInterval 5", "ClientAliveCountMax 0", own_key=key).settings.keepalive == 0


def test_every_mistake_is_named(tmp_path: Path) -> None:
    (tmp_path / "damaged").write_text("no key")
    big = tmp_path / "banner"
    big.write_bytes(bytes(257000))
    found = mistakes(
        f"HostKey {tmp_path / 'missing'}",
        f"HostKey {tmp_path / 'damaged'}",
        "Ciphers nosuch",
        "MACs nosuch",
        f"Banner {big}",
        "PubkeyAuthentication no",
        "AuthenticationMethods publickey",
        "MaxSessions many",
    )
    text = "\n".join(found)
    assert f"HostKey: {tmp_path / 'missing'}: No such file or directory" in text
    assert f"HostKey: {tmp_path / 'damaged'}: " in text
    assert "Ciphers: unknown algorithm 'nosuch'" in text
    assert "MACs: unknown algorithm 'nosuch'" in text
    assert "more than 256000 bytes" in text
    assert "'publickey' is not switched on" in text
    assert "no method of authentication is switched on" in text
    assert "MaxSessions" in found[0]


def test_a_banner_that_is_missing_is_none(key: str) -> None:
    assert plan("Banner /no/such/file", own_key=key).settings.banner == ""


def test_a_bad_token_is_named_with_its_keyword(key: str) -> None:
    assert mistakes("AuthorizedKeysFile %x", own_key=key) == ["AuthorizedKeysFile '%x': %x is no token"]


def test_short_host_keys_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rsa"
    write_private_key(path, generate_private_key("rsa", 2048).to_openssh(random_bytes=os.urandom))
    assert mistakes(f"HostKey {path}", "RequiredRSASize 3072") == [f"HostKey: {path}: RSA with 2048 bits"]


@pytest.mark.parametrize("keyword", ["PasswordAuthentication", "KbdInteractiveAuthentication"])
def test_passwords_that_cannot_be_checked_are_an_error_that_says_why(
    key: str, keyword: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system_passwords, "SHADOW", "/no/such/shadow")
    monkeypatch.setattr(system_passwords, "load_crypt", lambda: str)
    assert mistakes(f"{keyword} yes", own_key=key) == [
        "passwords cannot be checked: /no/such/shadow: No such file or directory (only root may read it)"
    ]


def test_forwards_are_served_as_sshd_serves_them(key: str) -> None:
    assert plan(own_key=key).settings.forwards == ForwardPolicy()
    assert plan("DisableForwarding yes", own_key=key).settings.forwards is None
    both = ("AllowTcpForwarding no", "AllowStreamLocalForwarding no")
    assert plan(*both, "AllowAgentForwarding no", own_key=key).settings.forwards is None
    agent_only = plan(*both, own_key=key).settings.forwards
    assert agent_only is not None
    assert agent_only.agent
    assert not agent_only.open_tcp
    assert agent_only.x11 is None
    made = plan(
        "AllowTcpForwarding local",
        "AllowStreamLocalForwarding remote",
        "GatewayPorts clientspecified",
        "PermitOpen host:80",
        "PermitListen none",
        "StreamLocalBindMask 0117",
        "StreamLocalBindUnlink yes",
        own_key=key,
    )
    assert made.settings.forwards == ForwardPolicy(
        open_tcp=True,
        listen_tcp=False,
        open_unix=False,
        listen_unix=True,
        gateway="clientspecified",
        permit_open=(("host", 80),),
        permit_listen=(),
        bind_mask=0o117,
        unlink=True,
    )


def test_displays_and_tunnels_are_served_as_sshd_serves_them(key: str) -> None:
    lines = ("X11Forwarding yes", "X11DisplayOffset 50", "X11UseLocalhost no", "XAuthLocation none")
    forwards = plan(*lines, "PermitTunnel ethernet", own_key=key).settings.forwards
    assert forwards is not None
    assert forwards.tunnel == "ethernet"
    x11 = forwards.x11
    assert x11 is not None
    assert (x11.display_offset, x11.use_localhost, x11.xauth) == (50, False, "none")
    assert x11.environment is not None
    assert x11.environment["HOME"]


def test_of_sshds_own_host_keys_those_that_are_there_serve(key: str, tmp_path: Path) -> None:
    options = read_server_config(None, (), None)
    options.host_keys = Setting((str(tmp_path / "missing"), key))
    assert len(Planner(options, own_account()).make().host_keys) == 1
    options.host_keys = Setting((str(tmp_path / "missing"),))
    with pytest.raises(ConfigErrors, match=rf"HostKey: none of {tmp_path / 'missing'} is there"):
        Planner(options, own_account()).make()


def test_passwords_that_nobody_has_asked_for_are_left_out_where_they_cannot_be_checked(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system_passwords, "SHADOW", "/no/such/shadow")
    monkeypatch.setattr(system_passwords, "load_crypt", lambda: str)
    options = read_server_config(None, (f"HostKey {key}",), None)
    assert Planner(options, own_account()).make().users.methods() == ("publickey",)
    assert "passwords cannot be checked" in options.notes[-1]


def test_clients_are_told_of_the_keys_that_some_user_may_use(key: str, tmp_path: Path) -> None:
    def announced(*lines: str) -> tuple[str, ...] | None:
        path = tmp_path / "config"
        path.write_text("".join(f"{line}\n" for line in (f"HostKey {key}", *lines)))
        options = read_server_config(str(path), ())
        return Planner(options, own_account()).make().settings.announced_user_keys

    main = "PubkeyAcceptedAlgorithms ssh-ed25519"
    assert announced(main) is None
    assert announced(main, "Match user root", "X11Forwarding no") is None
    for_one = announced(main, "Match user ann", "PubkeyAcceptedAlgorithms rsa-sha2-512,ssh-ed25519")
    assert for_one == ("ssh-ed25519", "rsa-sha2-512")
    more = announced(main, "Match user ann", "PubkeyAcceptedAlgorithms +ssh-ed448")
    assert more is not None
    assert {"ssh-ed25519", "ssh-ed448", "rsa-sha2-256-cert-v01@openssh.com"} <= set(more)
