"""The bodies of a session's requests (RFC 4254 section 6).

Encoded by the client, decoded by the server (and the other way round for exit-status and exit-signal).
"""

from sshkit.ssh.messages.record import Boolean, Record, String, Text, UInt32, record

#: Names of signals on the wire (RFC 4254 section 6.10), without SIG; numbers are the system's own.
SIGNALS = ("ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2")
#: A signal of OpenSSH's own: have the command tell how far it is (PROTOCOL section 2.4).
INFO = "INFO@openssh.com"
#: OpenSSH's "no more data can be taken" (PROTOCOL section 2.1), and its global request of section 2.2.
END_OF_WRITE = "eow@openssh.com"
NO_MORE_SESSIONS = "no-more-sessions@openssh.com"
BREAK_LENGTH = 1000  #: milliseconds


@record
class PtyRequest(Record):
    """`pty-req`: a terminal, please (RFC 4254 section 6.2)."""

    terminal: Text  #: the value for TERM
    columns: UInt32
    rows: UInt32
    pixel_width: UInt32
    pixel_height: UInt32
    modes: String  #: encoded terminal modes, RFC 4254 section 8


@record
class WindowChange(Record):
    """`window-change`: the terminal has a new size (RFC 4254 section 6.7)."""

    columns: UInt32
    rows: UInt32
    pixel_width: UInt32
    pixel_height: UInt32


@record
class EnvRequest(Record):
    """`env`: a variable for what is started next (RFC 4254 section 6.4)."""

    name: String
    value: String


@record
class ExecRequest(Record):
    """`exec`: start this command (RFC 4254 section 6.5)."""

    command: String


@record
class SubsystemRequest(Record):
    """`subsystem`: start this subsystem (RFC 4254 section 6.5)."""

    name: Text


@record
class SignalRequest(Record):
    """`signal`: send this signal to what runs (RFC 4254 section 6.9)."""

    name: Text


@record
class BreakRequest(Record):
    """`break`: send a BREAK, of so many milliseconds (RFC 4335)."""

    length: UInt32


@record
class FlowControl(Record):
    """`xon-xoff`: the client may stop and start the output itself (RFC 4254 section 6.8)."""

    client_can_do: Boolean


@record
class ExitStatus(Record):
    """`exit-status`: what the command returned (RFC 4254 section 6.10)."""

    status: UInt32


@record
class ExitSignal(Record):
    """`exit-signal`: the signal that ended the command (RFC 4254 section 6.10)."""

    name: Text
    core_dumped: Boolean
    message: String
    language: String
