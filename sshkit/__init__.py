"""sshkit: an SSH client, server and library on its own event-driven core.

Names are loaded on use (PEP 562), so that a program that needs one room does not pay for the others.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sshkit_keys.errors import SSHKitError

    from sshkit import blocking, cred, databases, service, testing
    from sshkit.agent.connect import connect_agent
    from sshkit.agent.serve import AgentListener, serve_agent
    from sshkit.client.advice import Advice, advise
    from sshkit.client.connect import connect
    from sshkit.client.connection import ClientConnection
    from sshkit.client.destination import InvalidDestination
    from sshkit.client.dialogue import (
        Dialogue,
        DialogueEnded,
        DialogueError,
        DialogueOverflow,
        DialogueTimeout,
        Found,
    )
    from sshkit.client.gssapi import GSSAPI
    from sshkit.client.host_based import HostBased
    from sshkit.client.host_keys import HostKeyChanged, HostKeyRevoked, HostKeyUnknown
    from sshkit.client.known_hosts_command import KnownHostsCommandFailed
    from sshkit.client.many import HostOutcome, HostRun, run_on_hosts
    from sshkit.client.process import ClientProcess, CommandFailed, OutputTooLarge, Result
    from sshkit.client.proxy import ProxyFailed
    from sshkit.client.scan import ScannedHost, scan, scan_host
    from sshkit.client.sharing.errors import (
        ForeignSocket,
        MasterLost,
        MasterRefused,
        MuxProtocolError,
        NoMaster,
        SharingError,
    )
    from sshkit.client.sharing.master import SharedConnection, share
    from sshkit.client.steps import Step, steps_of
    from sshkit.client.target import Target, load_target
    from sshkit.config.parser import ConfigError
    from sshkit.deferred import CancelledError, Deferred, Failure, ensure_deferred, gather, race
    from sshkit.forwarding.errors import (
        ForwardClosed,
        ForwardError,
        ForwardRefused,
        InvalidAddress,
        NoAgent,
        NoDisplay,
        NoTunnel,
    )
    from sshkit.forwarding.forward import Forward
    from sshkit.forwarding.stream import ForwardStream
    from sshkit.forwarding.tun import Tunnel
    from sshkit.forwarding.x11 import X11Options
    from sshkit.interfaces import TerminalSize
    from sshkit.reactor import ConnectError, ConnectTimeout, ListenError, ReactorClosed, ResolveError
    from sshkit.reactor.current import current as current_reactor
    from sshkit.reactor.endpoints import EndpointError, client_from_string, server_from_string
    from sshkit.reactor.running import run
    from sshkit.reactor.sleeping import sleep
    from sshkit.reactor.threads import ThreadPool, from_thread
    from sshkit.server import middleware, recordings
    from sshkit.server.bastion import BastionRefused, forward_sessions
    from sshkit.server.connection import LoginTimedOut
    from sshkit.server.forward_policy import ForwardPolicy, ForwardRequest, X11Policy
    from sshkit.server.gssapi import GSSAPIAcceptor
    from sshkit.server.handler import Session
    from sshkit.server.host_logins import HostUsers
    from sshkit.server.limits import MaxStartups
    from sshkit.server.portal_users import PortalUsers
    from sshkit.server.recordings import LiveSessions, NoSuchSession, RecordingError, play
    from sshkit.server.routes import Router
    from sshkit.server.server import Server, Settings, serve
    from sshkit.server.sftp import SFTPService
    from sshkit.server.terminal_programs import prompt_toolkit_session, run_textual
    from sshkit.server.unused_timeout import ConnectionUnused
    from sshkit.server.users import EveryUser, Users
    from sshkit.sftp.attributes import Attributes
    from sshkit.sftp.attributes_v4 import FullAttributes
    from sshkit.sftp.backends.archive import ArchiveBackend
    from sshkit.sftp.backends.fsspec_fs import FsspecBackend
    from sshkit.sftp.backends.local import LocalBackend
    from sshkit.sftp.backends.memory import MemoryBackend
    from sshkit.sftp.backends.quota import Quota
    from sshkit.sftp.client import SFTPClient
    from sshkit.sftp.errors import (
        SFTPBadMessage,
        SFTPConnectionLost,
        SFTPDirectoryNotEmpty,
        SFTPEndOfFile,
        SFTPError,
        SFTPFailure,
        SFTPFileExists,
        SFTPInvalidHandle,
        SFTPInvalidName,
        SFTPInvalidParameter,
        SFTPIsADirectory,
        SFTPLinkLoop,
        SFTPLocked,
        SFTPNoConnection,
        SFTPNoSpace,
        SFTPNoSuchFile,
        SFTPNotADirectory,
        SFTPOpUnsupported,
        SFTPPermissionDenied,
        SFTPProtocolError,
        SFTPQuotaExceeded,
        SFTPReadOnly,
        SFTPUnknownOwner,
    )
    from sshkit.sftp.file import SFTPFile
    from sshkit.sftp.path import SftpPath
    from sshkit.sftp.progress import FileError, Progress, TransferError, TransferResult, TreeError
    from sshkit.sftp.server_events import SFTPEvent
    from sshkit.sftp.server_requests import SFTPRequest
    from sshkit.sftp.transfer import Transfer
    from sshkit.ssh.agent.client import AgentClient, AgentKey
    from sshkit.ssh.agent.errors import (
        AgentError,
        AgentLost,
        AgentRefused,
        AgentTimeout,
        AgentUnavailable,
    )
    from sshkit.ssh.agent.keyring import Keyring
    from sshkit.ssh.agent.policy import AgentRequest, AuditEvent
    from sshkit.ssh.algorithms import Algorithms
    from sshkit.ssh.authentication.gssapi_package import GSSAPIFailed
    from sshkit.ssh.authentication.verdicts import Attempt, PasswordExpired
    from sshkit.ssh.channels.streams import StreamOverflow, StreamReader, StreamWriter
    from sshkit.ssh.errors import (
        AuthenticationFailed,
        ChannelClosed,
        ChannelOpenFailed,
        ChannelRequestFailed,
        ClosedByApplication,
        CompressionFailed,
        ConnectionLost,
        DisconnectedByPeer,
        HostKeyNotVerified,
        HostKeySigningFailed,
        KeyExchangeFailed,
        LocalProtocolError,
        MACMismatch,
        RemoteProtocolError,
        TooManyAuthenticationFailures,
        VersionNotSupported,
    )
    from sshkit.ssh.transport.rekeying import RekeyLimits
    from sshkit.syncing.outcome import Action, SyncError, SyncResult
    from sshkit.syncing.patterns import PatternError
    from sshkit.syncing.sync import Sync, sync

__version__ = "0.1.0"

#: Where each public name lives.
_HOMES = {
    "sshkit_keys.errors": ("SSHKitError",),
    "sshkit.agent.connect": ("connect_agent",),
    "sshkit.agent.serve": ("AgentListener", "serve_agent"),
    "sshkit.client.advice": ("Advice", "advise"),
    "sshkit.client.connect": ("connect",),
    "sshkit.client.connection": ("ClientConnection",),
    "sshkit.client.destination": ("InvalidDestination",),
    "sshkit.client.dialogue": (
        "Dialogue",
        "DialogueEnded",
        "DialogueError",
        "DialogueOverflow",
        "DialogueTimeout",
        "Found",
    ),
    "sshkit.client.gssapi": ("GSSAPI",),
    "sshkit.client.host_based": ("HostBased",),
    "sshkit.client.host_keys": ("HostKeyChanged", "HostKeyRevoked", "HostKeyUnknown"),
    "sshkit.client.known_hosts_command": ("KnownHostsCommandFailed",),
    "sshkit.client.many": ("HostOutcome", "HostRun", "run_on_hosts"),
    "sshkit.client.process": ("ClientProcess", "CommandFailed", "OutputTooLarge", "Result"),
    "sshkit.client.proxy": ("ProxyFailed",),
    "sshkit.client.scan": ("ScannedHost", "scan", "scan_host"),
    "sshkit.client.steps": ("Step", "steps_of"),
    "sshkit.client.sharing.errors": (
        "ForeignSocket",
        "MasterLost",
        "MasterRefused",
        "MuxProtocolError",
        "NoMaster",
        "SharingError",
    ),
    "sshkit.client.sharing.master": ("SharedConnection", "share"),
    "sshkit.client.target": ("Target", "load_target"),
    "sshkit.config.parser": ("ConfigError",),
    "sshkit.deferred": ("CancelledError", "Deferred", "Failure", "ensure_deferred", "gather", "race"),
    "sshkit.forwarding.errors": (
        "ForwardClosed",
        "ForwardError",
        "ForwardRefused",
        "InvalidAddress",
        "NoAgent",
        "NoDisplay",
        "NoTunnel",
    ),
    "sshkit.forwarding.forward": ("Forward",),
    "sshkit.forwarding.stream": ("ForwardStream",),
    "sshkit.forwarding.tun": ("Tunnel",),
    "sshkit.forwarding.x11": ("X11Options",),
    "sshkit.interfaces": ("TerminalSize",),
    "sshkit.reactor": ("ConnectError", "ConnectTimeout", "ListenError", "ReactorClosed", "ResolveError"),
    "sshkit.reactor.endpoints": ("EndpointError", "client_from_string", "server_from_string"),
    "sshkit.reactor.running": ("run",),
    "sshkit.reactor.sleeping": ("sleep",),
    "sshkit.reactor.threads": ("ThreadPool", "from_thread"),
    "sshkit.server.bastion": ("BastionRefused", "forward_sessions"),
    "sshkit.server.connection": ("LoginTimedOut",),
    "sshkit.server.forward_policy": ("ForwardPolicy", "ForwardRequest", "X11Policy"),
    "sshkit.server.handler": ("Session",),
    "sshkit.server.limits": ("MaxStartups",),
    "sshkit.server.portal_users": ("PortalUsers",),
    "sshkit.server.recordings": ("LiveSessions", "NoSuchSession", "RecordingError", "play"),
    "sshkit.server.routes": ("Router",),
    "sshkit.server.terminal_programs": ("prompt_toolkit_session", "run_textual"),
    "sshkit.server.server": ("Server", "Settings", "serve"),
    "sshkit.server.sftp": ("SFTPService",),
    "sshkit.server.gssapi": ("GSSAPIAcceptor",),
    "sshkit.server.host_logins": ("HostUsers",),
    "sshkit.server.unused_timeout": ("ConnectionUnused",),
    "sshkit.server.users": ("EveryUser", "Users"),
    "sshkit.ssh.authentication.gssapi_package": ("GSSAPIFailed",),
    "sshkit.sftp.attributes": ("Attributes",),
    "sshkit.sftp.attributes_v4": ("FullAttributes",),
    "sshkit.sftp.backends.archive": ("ArchiveBackend",),
    "sshkit.sftp.backends.fsspec_fs": ("FsspecBackend",),
    "sshkit.sftp.backends.local": ("LocalBackend",),
    "sshkit.sftp.backends.memory": ("MemoryBackend",),
    "sshkit.sftp.backends.quota": ("Quota",),
    "sshkit.sftp.client": ("SFTPClient",),
    "sshkit.sftp.errors": (
        "SFTPBadMessage",
        "SFTPConnectionLost",
        "SFTPDirectoryNotEmpty",
        "SFTPEndOfFile",
        "SFTPError",
        "SFTPFailure",
        "SFTPFileExists",
        "SFTPInvalidHandle",
        "SFTPInvalidName",
        "SFTPInvalidParameter",
        "SFTPIsADirectory",
        "SFTPLinkLoop",
        "SFTPLocked",
        "SFTPNoConnection",
        "SFTPNoSpace",
        "SFTPNoSuchFile",
        "SFTPNotADirectory",
        "SFTPOpUnsupported",
        "SFTPPermissionDenied",
        "SFTPProtocolError",
        "SFTPQuotaExceeded",
        "SFTPReadOnly",
        "SFTPUnknownOwner",
    ),
    "sshkit.sftp.file": ("SFTPFile",),
    "sshkit.sftp.path": ("SftpPath",),
    "sshkit.sftp.progress": (
        "FileError",
        "Progress",
        "TransferError",
        "TransferResult",
        "TreeError",
    ),
    "sshkit.sftp.server_events": ("SFTPEvent",),
    "sshkit.sftp.server_requests": ("SFTPRequest",),
    "sshkit.sftp.transfer": ("Transfer",),
    "sshkit.ssh.agent.client": ("AgentClient", "AgentKey"),
    "sshkit.ssh.agent.errors": (
        "AgentError",
        "AgentLost",
        "AgentRefused",
        "AgentTimeout",
        "AgentUnavailable",
    ),
    "sshkit.ssh.agent.keyring": ("Keyring",),
    "sshkit.ssh.agent.policy": ("AgentRequest", "AuditEvent"),
    "sshkit.ssh.algorithms": ("Algorithms",),
    "sshkit.ssh.authentication.verdicts": ("Attempt", "PasswordExpired"),
    "sshkit.ssh.channels.streams": ("StreamOverflow", "StreamReader", "StreamWriter"),
    "sshkit.ssh.errors": (
        "AuthenticationFailed",
        "ChannelClosed",
        "ChannelOpenFailed",
        "ChannelRequestFailed",
        "ClosedByApplication",
        "CompressionFailed",
        "ConnectionLost",
        "DisconnectedByPeer",
        "HostKeyNotVerified",
        "HostKeySigningFailed",
        "KeyExchangeFailed",
        "LocalProtocolError",
        "MACMismatch",
        "RemoteProtocolError",
        "TooManyAuthenticationFailures",
        "VersionNotSupported",
    ),
    "sshkit.ssh.transport.rekeying": ("RekeyLimits",),
    "sshkit.syncing.outcome": ("Action", "SyncError", "SyncResult"),
    "sshkit.syncing.patterns": ("PatternError",),
    "sshkit.syncing.sync": ("Sync", "sync"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
#: Rooms that are public by themselves, and where each lies.
_ROOMS = {
    "blocking": "sshkit.blocking",
    "cred": "sshkit.cred",
    "databases": "sshkit.databases",
    "manhole": "sshkit.manhole",
    "middleware": "sshkit.server.middleware",
    "recordings": "sshkit.server.recordings",
    "service": "sshkit.service",
    "testing": "sshkit.testing",
}

__all__ = [
    "GSSAPI",
    "Action",
    "Advice",
    "AgentClient",
    "AgentError",
    "AgentKey",
    "AgentListener",
    "AgentLost",
    "AgentRefused",
    "AgentRequest",
    "AgentTimeout",
    "AgentUnavailable",
    "Algorithms",
    "ArchiveBackend",
    "Attempt",
    "Attributes",
    "AuditEvent",
    "AuthenticationFailed",
    "BastionRefused",
    "CancelledError",
    "ChannelClosed",
    "ChannelOpenFailed",
    "ChannelRequestFailed",
    "ClientConnection",
    "ClientProcess",
    "ClosedByApplication",
    "CommandFailed",
    "CompressionFailed",
    "ConfigError",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionLost",
    "ConnectionUnused",
    "Deferred",
    "Dialogue",
    "DialogueEnded",
    "DialogueError",
    "DialogueOverflow",
    "DialogueTimeout",
    "DisconnectedByPeer",
    "EndpointError",
    "EveryUser",
    "Failure",
    "FileError",
    "ForeignSocket",
    "Forward",
    "ForwardClosed",
    "ForwardError",
    "ForwardPolicy",
    "ForwardRefused",
    "ForwardRequest",
    "ForwardStream",
    "Found",
    "FsspecBackend",
    "FullAttributes",
    "GSSAPIAcceptor",
    "GSSAPIFailed",
    "HostBased",
    "HostKeyChanged",
    "HostKeyNotVerified",
    "HostKeyRevoked",
    "HostKeySigningFailed",
    "HostKeyUnknown",
    "HostOutcome",
    "HostRun",
    "HostUsers",
    "InvalidAddress",
    "InvalidDestination",
    "KeyExchangeFailed",
    "Keyring",
    "KnownHostsCommandFailed",
    "ListenError",
    "LiveSessions",
    "LocalBackend",
    "LocalProtocolError",
    "LoginTimedOut",
    "MACMismatch",
    "MasterLost",
    "MasterRefused",
    "MaxStartups",
    "MemoryBackend",
    "MuxProtocolError",
    "NoAgent",
    "NoDisplay",
    "NoMaster",
    "NoSuchSession",
    "NoTunnel",
    "OutputTooLarge",
    "PasswordExpired",
    "PatternError",
    "PortalUsers",
    "Progress",
    "ProxyFailed",
    "Quota",
    "ReactorClosed",
    "RecordingError",
    "RekeyLimits",
    "RemoteProtocolError",
    "ResolveError",
    "Result",
    "Router",
    "SFTPBadMessage",
    "SFTPClient",
    "SFTPConnectionLost",
    "SFTPDirectoryNotEmpty",
    "SFTPEndOfFile",
    "SFTPError",
    "SFTPEvent",
    "SFTPFailure",
    "SFTPFile",
    "SFTPFileExists",
    "SFTPInvalidHandle",
    "SFTPInvalidName",
    "SFTPInvalidParameter",
    "SFTPIsADirectory",
    "SFTPLinkLoop",
    "SFTPLocked",
    "SFTPNoConnection",
    "SFTPNoSpace",
    "SFTPNoSuchFile",
    "SFTPNotADirectory",
    "SFTPOpUnsupported",
    "SFTPPermissionDenied",
    "SFTPProtocolError",
    "SFTPQuotaExceeded",
    "SFTPReadOnly",
    "SFTPRequest",
    "SFTPService",
    "SFTPUnknownOwner",
    "SSHKitError",
    "ScannedHost",
    "Server",
    "Session",
    "Settings",
    "SftpPath",
    "SharedConnection",
    "SharingError",
    "Step",
    "StreamOverflow",
    "StreamReader",
    "StreamWriter",
    "Sync",
    "SyncError",
    "SyncResult",
    "Target",
    "TerminalSize",
    "ThreadPool",
    "TooManyAuthenticationFailures",
    "Transfer",
    "TransferError",
    "TransferResult",
    "TreeError",
    "Tunnel",
    "Users",
    "VersionNotSupported",
    "X11Options",
    "X11Policy",
    "advise",
    "blocking",
    "client_from_string",
    "connect",
    "connect_agent",
    "cred",
    "current_reactor",
    "databases",
    "ensure_deferred",
    "forward_sessions",
    "from_thread",
    "gather",
    "load_target",
    "middleware",
    "play",
    "prompt_toolkit_session",
    "race",
    "recordings",
    "run",
    "run_on_hosts",
    "run_textual",
    "scan",
    "scan_host",
    "serve",
    "serve_agent",
    "server_from_string",
    "service",
    "share",
    "sleep",
    "steps_of",
    "sync",
    "testing",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _ROOMS:
        return import_module(_ROOMS[name])
    if name == "current_reactor":
        from sshkit.reactor.current import current

        return current
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'sshkit' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
