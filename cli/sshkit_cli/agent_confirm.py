"""Asks the user whether a key may be used: on the terminal, or through SSH_ASKPASS (ssh-agent(1)).

Called by `agent_run`.  One question at a time; where nobody can be asked the answer is no.
"""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sshkit_keys.text import printable

from sshkit.deferred import Deferred, DeferredLock, ensure_deferred

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor
    from sshkit.ssh.agent.policy import AgentRequest


class Confirmer:
    """Answers the agent's `confirm`."""

    __slots__ = ("_environment", "_hash_name", "_lock", "_reactor", "_say", "_terminal")

    def __init__(
        self,
        reactor: "Reactor",
        environment: Mapping[str, str],
        say: Callable[[str], object],
        *,
        hash_name: str = "sha256",
        terminal: Callable[[], int] | None = None,
    ) -> None:
        """`terminal` opens the one to ask on, if the agent runs in the foreground of one."""
        self._reactor = reactor
        self._environment = {**environment, "SSH_ASKPASS_PROMPT": "confirm"}
        self._say = say
        self._hash_name = hash_name
        self._terminal = terminal
        self._lock = DeferredLock()

    def confirm(self, request: "AgentRequest") -> Deferred[bool]:
        """Ask; fires with whether the user said yes."""
        return ensure_deferred(self._confirm(request))

    async def _confirm(self, request: "AgentRequest") -> bool:
        from sshkit_cli.prompts import NobodyToAsk, TerminalQuestion, askpass_rules

        text = self._question(request)
        async with self._lock:
            allowed, preferred, forced = askpass_rules(self._environment)
            if self._terminal is not None and not (preferred or forced):
                try:
                    question = TerminalQuestion(
                        self._reactor, self._terminal(), f"{text}\n(yes/no) ", echo=True
                    )
                    answer = await question.answer
                    return answer is not None and answer.strip().lower() in ("y", "yes")
                except (OSError, NobodyToAsk):
                    pass  # no terminal after all
            program = self._environment.get("SSH_ASKPASS", "")
            if not (allowed and program):
                self._say("nobody can be asked: there is no terminal, and no SSH_ASKPASS with a display")
                return False
            from sshkit_cli.askpass import ask_program

            answer = await ask_program(self._reactor, program, text, self._environment, self._say)
            return answer is not None and answer.strip().lower() in ("", "yes")

    def _question(self, request: "AgentRequest") -> str:
        assert request.key is not None  # only keys that are held are confirmed
        lines = [
            f"Allow use of key {printable(request.comment)}?",
            f"Key fingerprint {request.key.fingerprint(self._hash_name)}.",
        ]
        data = request.data
        if data.kind == "login":
            where = f" at {printable(request.host)}" if request.host else ""
            lines.append(f"It is to log in as {printable(data.user)}{where}.")
        elif data.kind == "sshsig":
            lines.append(f"It is to sign for the namespace {printable(data.namespace)}.")
        if request.forwarded:
            lines.append("The request comes over a forwarded connection.")
        return "\n".join(lines)


def open_terminal() -> int:
    """Open the terminal that this process was started on."""
    return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK)
