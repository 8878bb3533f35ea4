"""The policy of a login as a worker has it: every question goes to the monitor (R1, R4).

`sshkit.ssh.authentication.server` asks; the monitor's `LoginPolicy` answers, after it has verified the
signature once more, with its own idea of which session it is about.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sshkit_keys.wire import WireReader, boolean, string, uint32

from sshkit.server.workers import messages
from sshkit.ssh.authentication.server import Questions
from sshkit.ssh.authentication.verdicts import Grant, Partial, PasswordExpired
from sshkit.ssh.errors import ClosedByApplication

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.deferred import Deferred
    from sshkit.server.workers.worker import WorkerConnection

MAX_QUESTIONS = 64  #: of one round


class NoRoom(ClosedByApplication):
    """The descriptor of a session did not arrive: this process may have no more of them."""

    reason = 12  # SSH_DISCONNECT_TOO_MANY_CONNECTIONS, RFC 4253 section 11.1


class RemotePolicy:
    """One connection's policy."""

    __slots__ = ("_connection", "_rules", "_user", "session_fd")
    users = None  #: the monitor has them

    def __init__(self, connection: "WorkerConnection") -> None:
        self._connection = connection
        self._user = ""
        self._rules = connection.server.rules
        self.session_fd = -1  #: of the process that serves who was let in

    def prepare(self, user: str) -> "Deferred[None]":
        """Learn what holds for a user."""
        self._user = user
        identification = self._connection.layer.peer_identification

        def learn(answer: messages.Answer) -> None:
            self._rules = messages.Rules.decode(answer.body)

        asked = self._connection.ask(
            lambda request, connection: messages.Prepare(request, connection, user, identification)
        )
        return asked.add_callback(lambda answered: learn(answered[0]))

    @property
    def takes_certificates(self) -> bool:
        return self._rules.takes_certificates

    @property
    def user_keys(self) -> tuple[str, ...]:
        return self._rules.user_keys

    @property
    def max_tries(self) -> int:
        return self._rules.max_tries

    def methods(self, user: str) -> tuple[str, ...]:
        return self._rules.methods

    def banner(self, user: str) -> str:
        return self._rules.banner

    def none(self, user: str) -> "Deferred[Any]":
        return self._ask("none", b"")

    judges_flags = True  # the monitor looks at them

    def public_key(self, user: str, key: "PublicKey", signed: bool, flags: object = None) -> "Deferred[Any]":
        proof = self._connection.authentication.proof
        if signed and proof is not None:
            question = messages.KeyQuestion(key.blob, proof.algorithm, True, proof.signature, proof.host_key)
        else:
            question = messages.KeyQuestion(key.blob, key.key_type, False, b"", b"")
        return self._ask("publickey", question.encode())

    def host_based(self, user: str, key: "PublicKey", host: str, local_user: str) -> "Deferred[Any]":
        proof = self._connection.authentication.proof
        assert proof is not None
        question = messages.HostQuestion(key.blob, proof.algorithm, proof.signature, host, local_user)
        return self._ask("hostbased", question.encode())

    def password(self, user: str, password: str) -> "Deferred[Any]":
        return self._ask("password", messages.PasswordQuestion(password, False, "").encode())

    def change_password(self, user: str, old: str, new: str) -> "Deferred[Any]":
        return self._ask("password", messages.PasswordQuestion(old, True, new).encode())

    def interactive(self, user: str, answers: Sequence[str] | None) -> "Deferred[Any]":
        body = boolean(answers is not None) + uint32(len(answers or ()))
        return self._ask("keyboard-interactive", body + b"".join(string(answer) for answer in answers or ()))

    def attempt_failed(self, user: str, method: str, detail: str) -> None:
        self._connection.tell(messages.Failed(self._connection.number, user, method, detail))

    def granted(self, grant: Grant) -> None:
        fd, self.session_fd = self.session_fd, -1
        self._connection.let_in(grant, fd)

    def drop(self) -> None:
        """Forget a session that nobody wants any more."""
        if self.session_fd >= 0:
            os.close(self.session_fd)
            self.session_fd = -1

    def _ask(self, method: str, body: bytes) -> "Deferred[Any]":
        asked = self._connection.ask(
            lambda request, connection: messages.Ask(request, connection, method, body)
        )
        return asked.add_callback(self._verdict)

    def _verdict(self, answered: "tuple[messages.Answer, list[int]]") -> Any:
        answer, fds = answered
        kind, body = answer.kind, answer.body
        if kind == messages.GRANTED:
            if not fds:  # the monitor has counted him as let in: he cannot try again
                self._connection.server.log("error", "no descriptor is left for another session")
                self._connection.layer.disconnect(NoRoom("there is no room for another session just now"))
                return None
            granted = messages.Granted.decode(body)
            (self.session_fd,) = fds
            return Grant(self._user, granted.method, granted.key or None)
        if kind == messages.ACCEPTABLE:
            return Grant(self._user, "publickey")
        reader = WireReader(body)
        if kind == messages.PARTIAL:
            return Partial(reader.name_list("methods"))
        if kind == messages.EXPIRED:
            return PasswordExpired(reader.text("prompt"))
        if kind == messages.QUESTIONS:
            title, instruction = reader.text("title"), reader.text("instruction")
            count = min(reader.uint32("count"), MAX_QUESTIONS)
            return Questions(
                [(reader.text("prompt"), reader.boolean("echo")) for _ in range(count)], title, instruction
            )
        return None
