"""-T and -G, line by line as OpenSSH's sshd prints them, for many configurations and connections."""

import subprocess
from pathlib import Path

import pytest
from sshkit_cli.server_dump import dumped
from sshkit_cli.server_options import parse
from sshkit_keys import generate_private_key, write_private_key

from sshkit.config.sshd_config import read_server_config
from tests.interop.peers import BACKPORTS

TEN = str(BACKPORTS / "usr/sbin/sshd")
SSHDS = [
    pytest.param("/usr/sbin/sshd", marks=pytest.mark.peer("sshd"), id="9.2"),
    pytest.param(TEN, marks=pytest.mark.peer(TEN), id="10.0"),
]

#: Keyword -> why sshd's line may differ from ours.
DIFFERENT = {
    "casignaturealgorithms": "the list is our own",
    "ciphers": "the list is our own",
    "gssapikexalgorithms": "key exchange by GSSAPI is not offered (Debian's patch)",
    "hostbasedacceptedalgorithms": "the list is our own",
    "hostkeyalgorithms": "the list is our own",
    "kexalgorithms": "the list is our own",
    "macs": "the list is our own",
    "pubkeyacceptedalgorithms": "the list is our own",
    "sshdauthpath": "a program of OpenSSH's own",
    "sshdsessionpath": "a program of OpenSSH's own",
}
#: Lines of a configuration that says nothing: (sshd's, ours, why).
OTHER_DEFAULTS = {
    ("ipqos lowdelay throughput", "ipqos ef none", "Debian's patch there, the default of 10.1 here"),
    ("requiredrsasize 1024", "requiredrsasize 2048", "smaller keys are refused here"),
}
#: Lines that 9.2 does not print.
NEWER = (
    "pamservicename",
    "refuseconnection",
    "debianbanner",
    "persourcepenalties",
    "persourcepenaltyexemptlist",
)


@pytest.fixture(scope="module")
def host_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("peer") / "key"
    write_private_key(str(path), generate_private_key("ed25519").to_openssh(random_bytes=bytes))
    return path


def ours(config: Path, *arguments: str) -> list[str]:
    options = parse(["-T", "-f", str(config), *arguments])
    configuration = read_server_config(str(config), options.overrides, None)
    configuration.check()
    return dumped(options, configuration).splitlines()


def theirs(sshd: str, config: Path, *arguments: str) -> list[str]:
    command = ["timeout", "10", sshd, "-T", "-f", str(config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def compared(lines: list[str], sshd: str) -> set[str]:
    """Return the lines that must be the same on both sides."""
    replaced = {shown: mine for shown, mine, _ in OTHER_DEFAULTS}
    left_out = {*DIFFERENT, *(() if sshd == TEN else (*NEWER, "channeltimeout"))}
    return {replaced.get(line, line) for line in lines if line.partition(" ")[0] not in left_out}


PLAIN = """
AddressFamily inet
AllowUsers a b@192.0.2.0/24
AuthenticationMethods publickey,password keyboard-interactive:pam
AuthorizedKeysCommand /bin/x %u %k
AuthorizedKeysCommandUser nobody
AuthorizedKeysFile none
Banner none
ChannelTimeout session=300 *=3600
ClientAliveInterval 1h1
Compression delayed
FingerprintHash md5
ForceCommand  echo "a b" # c
GatewayPorts clientspecified
IgnoreRhosts shosts-only
IPQoS af11 cs2
ListenAddress 127.0.0.1
LoginGraceTime 0
LogLevel DEBUG1
LogVerbose kex.c:*:1000 packet.c
MaxStartups 5
PermitListen 8080 localhost:*
PermitOpen 127.0.0.1:1 [::1]:* host:80
PermitRootLogin prohibit-password
PermitTunnel point-to-point
PermitUserEnvironment LANG,LC_*
PerSourceMaxStartups 3
PerSourceNetBlockSize 24:56
PidFile none
PubkeyAuthOptions touch-required verify-required
RekeyLimit 1G 1h
SetEnv A=1 B=2 A=3
StreamLocalBindMask 0117
Subsystem sftp internal-sftp
Subsystem a /bin/a x
SyslogFacility LOCAL3
UnusedConnectionTimeout 5m
VersionAddendum of the house
XAuthLocation none
KeepAlive no
"""
BLOCKS = """
AcceptEnv A
Banner /g
Match user ann,!abe address 192.0.2.0/24,!192.0.2.7
  Banner /ann
  AcceptEnv X Y
Match host *.example
  Banner /host
  MaxSessions 3
Match group root
  X11Forwarding yes
  PermitOpen none
Match localport 2222 localaddress ::1
  AllowUsers x
  ForceCommand none
Match rdomain vrf1
  RekeyLimit 1M
Match all
  AllowUsers y z
  AcceptEnv Z
  ClientAliveInterval 5
"""
CASES = {
    "nothing": ("", []),
    "plain": (PLAIN, []),
    "address family": ("AddressFamily inet6\nPort 22\nPort 2222\n", []),
    "addresses first": ("ListenAddress 127.0.0.1\nListenAddress ::1\nPort 1234\nPort 5678\n", []),
    "command line": ("Port 1\nLogLevel ERROR\n", ["-p", "7", "-o", "MaxSessions=2", "-g", "5m", "-q"]),
    "blocks, nobody": (BLOCKS, ["-C", "lport=22"]),
    "blocks, ann": (BLOCKS, ["-C", "user=ann,addr=192.0.2.1,lport=22"]),
    "blocks, ann elsewhere": (BLOCKS, ["-C", "user=ann,addr=192.0.2.7", "-C", "lport=22,host=a.example"]),
    "blocks, root": (BLOCKS, ["-C", "user=root", "-C", "host=B.Example", "-C", "lport=22"]),
    "blocks, port": (BLOCKS, ["-C", "lport=2222,laddr=::1,rdomain=vrf1"]),
}


@pytest.mark.parametrize("sshd", SSHDS)
@pytest.mark.parametrize("case", CASES)
def test_the_configuration_in_force_is_printed_as_sshd_prints_it(
    tmp_path: Path, host_key: Path, sshd: str, case: str
) -> None:
    text, arguments = CASES[case]
    config = tmp_path / "config"
    config.write_text(f"HostKey {host_key}\n{text}")
    here, there = ours(config, *arguments), theirs(sshd, config, *arguments)
    assert compared(here, sshd) == compared(there, sshd)


@pytest.mark.parametrize("sshd", SSHDS[1:])
def test_the_lines_of_newer_sshds_are_theirs(tmp_path: Path, host_key: Path, sshd: str) -> None:
    config = tmp_path / "config"
    config.write_text(
        f"HostKey {host_key}\nSubsystem sftp /bin/q\nDebianBanner no\n"
        "PerSourcePenalties crash:1m overflow:deny-all\n"
        "PerSourcePenalties crash:2m noauth:9\nPerSourcePenaltyExemptList 10.0.0.0/8,!192.0.2.*\n"
        "Match Invalid-User\nRefuseConnection yes\nMatch user ann\nPAMServiceName ssh2\n"
        "Subsystem sftp /bin/s\nSubsystem x /bin/x\n"
    )
    for arguments in (["-C", "user=ann"], ["-C", "user=bob,invalid-user"]):
        here, there = ours(config, *arguments), theirs(sshd, config, *arguments)
        assert compared(here, sshd) == compared(there, sshd)


@pytest.mark.parametrize("sshd", SSHDS[1:])
def test_sshd_reads_what_we_print_and_prints_it_again(tmp_path: Path, host_key: Path, sshd: str) -> None:
    config, again = tmp_path / "config", tmp_path / "again"
    # Of SetEnv the first line counts, but sshd prints a line for each variable.
    text = PLAIN.replace("AuthenticationMethods", "#").replace("A=1 B=2 A=3", "A=1")
    config.write_text(f"HostKey {host_key}\n{text}")
    lines = ours(config)
    again.write_text("\n".join(line for line in lines if line.partition(" ")[0] not in DIFFERENT))
    assert compared(theirs(sshd, again), sshd) == compared(lines, sshd)
    again.write_text("\n".join(lines))
    assert ours(again) == lines


@pytest.mark.parametrize("sshd", SSHDS)
@pytest.mark.parametrize(
    "line",
    [
        "Match user a\nPort 1",
        "Match user a\nNoSuch 1",
        "Match user",
        "Match all user a",
        "Match command x",
        "Match address 10.0.0.0/33",
        "Match address 10.0.0.1/8",
        "Match localport 1,2",
        "Match user a\nMaxSessions x",
        "AllowUsers ''",
        "AllowUsers a@192.0.2.0/33",
        "AuthenticationMethods any publickey",
        "AuthenticationMethods publickey,magic",
        "AuthorizedKeysCommand relative",
        "AcceptEnv A=b",
        "SetEnv A",
        "Include",
        "LogLevel loud",
        "PermitOpen a:0",
        "PubkeyAuthOptions magic",
        "Banner a b",
        "IPQoS loud",
        "ChannelTimeout session",
    ],
)
def test_what_sshd_refuses_is_refused(tmp_path: Path, host_key: Path, sshd: str, line: str) -> None:
    config = tmp_path / "config"
    config.write_text(f"HostKey {host_key}\n{line}\n")
    assert read_server_config(str(config)).errors
    with pytest.raises(subprocess.CalledProcessError):
        theirs(sshd, config)
