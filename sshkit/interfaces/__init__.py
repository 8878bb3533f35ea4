"""Every interface of sshkit, declared once: a typing.Protocol and, with `I` before it, its zope.interface."""

from .clock import Clock, DelayedCall, IClock, IDelayedCall
from .derive import implementer, interface
from .endpoint import ClientEndpoint, IClientEndpoint, IListener, IServerEndpoint, Listener, ServerEndpoint
from .process import (
    ExitStatus,
    IProcessProtocol,
    IProcessTransport,
    ProcessProtocol,
    ProcessTransport,
    TerminalSize,
)
from .protocol import (
    BaseProtocol,
    BufferedProtocol,
    IBaseProtocol,
    IBufferedProtocol,
    IStreamProtocol,
    StreamProtocol,
    receive_into_buffer,
)
from .reactor import (
    IReactor,
    IReactorDescriptors,
    IReactorLife,
    IReactorNetwork,
    IReactorProcesses,
    Reactor,
    ReactorDescriptors,
    ReactorLife,
    ReactorNetwork,
    ReactorProcesses,
)
from .threads import IThreads, Threads
from .transport import ITransport, Transport, Writable

__all__ = [
    "BaseProtocol",
    "BufferedProtocol",
    "ClientEndpoint",
    "Clock",
    "DelayedCall",
    "ExitStatus",
    "IBaseProtocol",
    "IBufferedProtocol",
    "IClientEndpoint",
    "IClock",
    "IDelayedCall",
    "IListener",
    "IProcessProtocol",
    "IProcessTransport",
    "IReactor",
    "IReactorDescriptors",
    "IReactorLife",
    "IReactorNetwork",
    "IReactorProcesses",
    "IServerEndpoint",
    "IStreamProtocol",
    "IThreads",
    "ITransport",
    "Listener",
    "ProcessProtocol",
    "ProcessTransport",
    "Reactor",
    "ReactorDescriptors",
    "ReactorLife",
    "ReactorNetwork",
    "ReactorProcesses",
    "ServerEndpoint",
    "StreamProtocol",
    "TerminalSize",
    "Threads",
    "Transport",
    "Writable",
    "implementer",
    "interface",
    "receive_into_buffer",
]
