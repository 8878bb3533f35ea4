"""The environment of a session's process, as sshd(8) sets it up under LOGIN PROCESS and ENVIRONMENT.

Called by `commands` for each process.  What the client sent comes first, so that it can replace none of
what the server sets; the names it may send were checked when they came (R29).
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sshkit.server.accounts import Account
    from sshkit.server.session import SessionRequest

USER_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/games"
ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MAIL_FOLDER = "/var/mail"


def own_variables(account: "Account") -> dict[str, str]:
    """Return the variables that belong to the account, and to no session."""
    name = account.name
    return {
        "USER": name,
        "LOGNAME": name,
        "HOME": account.home,
        "PATH": USER_PATH if account.uid else ROOT_PATH,
        "MAIL": f"{MAIL_FOLDER}/{name}",
        "SHELL": account.shell,
    }


def login_environment(
    account: "Account",
    request: "SessionRequest",
    original_command: str | None = None,
    extra: "Mapping[str, str] | None" = None,
) -> dict[str, str]:
    """Return the variables for one process; `extra` is the configuration's SetEnv, which overrules."""
    environment = dict(request.environment)
    environment.update(own_variables(account))
    zone = os.environ.get("TZ")
    if zone is not None:
        environment["TZ"] = zone
    if extra:
        environment.update(extra)
    client_host, client_port, host, port = request.connection.addresses()
    environment["SSH_CLIENT"] = f"{client_host} {client_port} {port}"
    environment["SSH_CONNECTION"] = f"{client_host} {client_port} {host} {port}"
    if request.terminal is not None:
        environment["TERM"] = request.terminal.name or "dumb"
    if request.display:
        environment["DISPLAY"] = request.display
    if request.agent_wanted:
        agent = request.connection.forwards.agent_path
        if agent:
            environment["SSH_AUTH_SOCK"] = agent
    if request.connection.auth_info:
        environment["SSH_USER_AUTH"] = request.connection.auth_info
    if original_command is not None:
        environment["SSH_ORIGINAL_COMMAND"] = original_command
    return environment
