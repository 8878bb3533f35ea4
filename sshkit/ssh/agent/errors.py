"""What can go wrong between an agent and who asks it.  Raised by the client's side of this room."""

from sshkit_keys.errors import SSHKitError


class AgentError(SSHKitError):
    """Root of what goes wrong with an agent."""


class AgentUnavailable(AgentError):
    """There is no agent to talk to; the message names the socket and why."""


class AgentRefused(AgentError):
    """The agent answered that it will not; the protocol has no word for why."""


class AgentLost(AgentError):
    """The connection to the agent ended, or the agent broke the protocol, before there was an answer."""


class AgentTimeout(AgentError, TimeoutError):
    """The agent did not answer in time."""


class ConstraintError(AgentError):
    """A key's constraint that is unknown, contradicts itself or holds nothing (rule R40)."""
