"""Agent forwarding: the request for it, and the channels that the server opens then (OpenSSH's PROTOCOL).

Used by `sshkit.forwarding.agent` and `sshkit.server.agent_forwarding`.  Neither has a body.
"""

from typing import Final

REQUEST: Final = "auth-agent-req@openssh.com"
KIND: Final = "auth-agent@openssh.com"
