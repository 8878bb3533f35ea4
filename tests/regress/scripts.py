"""Which of OpenSSH's scripts are about SFTP and SCP, and what each is run with.

A column is a choice of whose programs run: `real` is the control, with OpenSSH's own everywhere.
"""

from typing import NamedTuple

COLUMNS = {
    "real": "OpenSSH's programs everywhere: the control",
    "server": "sshkit-sftp-server, called by OpenSSH's sftp and scp",
    "client": "sshkit-sftp and sshkit-scp, with OpenSSH's sftp-server and scp at the far side",
    "far": "sshkit-scp at the far side of OpenSSH's scp",
    "all": "ours everywhere",
}


class Script(NamedTuple):
    """One script."""

    name: str
    about: str
    columns: tuple[str, ...]


_SFTP = ("real", "server", "client", "all")
_SCP = ("real", "server", "client", "far", "all")
_CLIENT = ("real", "client")  #: the server is sshd's own internal-sftp

SCRIPTS = (
    Script("sftp", "get and put with buffers of 5 to 64000 bytes and 1 to 10 requests", _SFTP),
    Script("sftp-batch", "batch files: which end, and with what status", _SFTP),
    Script("sftp-badcmds", "commands that must fail and leave no file", _SFTP),
    Script("sftp-cmds", "every command, with quoted names, spaces and patterns", _SFTP),
    Script("sftp-glob", "quoting and patterns", _SFTP),
    Script("sftp-perm", "-R, -p and -P of the server, for every request", _SFTP),
    Script("sftp-resume", "get -a and put -a from every size", _SFTP),
    Script("sftp-uri", "sftp:// places", _CLIENT),
    Script("sftp-chroot", "a server below ChrootDirectory", _CLIENT),
    Script("scp", "copies each way with -O and -s; bad servers", _SCP),
    Script("scp3", "copies between two hosts through this one (-3)", _SCP),
    Script("scp-uri", "scp:// places", _SCP),
)

#: Scripts that move files too and are not run: the reason.
NOT_RUN = {
    "scp-ssh-wrapper": "no test: the program that scp.sh calls in the place of ssh",
    "ssh-com-sftp": "needs the servers of ssh.com, 2.0.10 to 3.2.0",
    "putty-transfer": "sends files through plink, not through SFTP or SCP",
    "multiplex": "is about ssh's control socket, with sftp and scp as loads, and needs OpenSSH's netcat",
    "channel-timeout": "is about sshd's ChannelTimeout, with OpenSSH's own sftp as a load",
}

#: What does not pass with ours and does with OpenSSH's, by release, script and column: the reason.
KNOWN: dict[tuple[str, str, str], str] = {}
