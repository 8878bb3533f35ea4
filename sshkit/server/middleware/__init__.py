"""Functions around a session's handler: ``chain(handler, access(...), logging(), recover())``.

A middleware takes a handler and returns one.  The first given to `chain` is outermost: it sees a session
first and its end last.  Each works with handlers that are coroutines, plain functions or return a Deferred;
when the client goes, what waits inside is cancelled.  Nothing is shared but what one call of a middleware
made.
"""

from sshkit.server.middleware.access import AccessRule, access, allow, deny
from sshkit.server.middleware.chain import Middleware, call, chain, say
from sshkit.server.middleware.commands import command_allowlist, terminal_required
from sshkit.server.middleware.limits import concurrency, deadline
from sshkit.server.middleware.logged import elapsed, logging, recover
from sshkit.server.middleware.rates import rate_limit
from sshkit.server.recordings.recorder import recording

__all__ = [
    "AccessRule",
    "Middleware",
    "access",
    "allow",
    "call",
    "chain",
    "command_allowlist",
    "concurrency",
    "deadline",
    "deny",
    "elapsed",
    "logging",
    "rate_limit",
    "recording",
    "recover",
    "say",
    "terminal_required",
]
