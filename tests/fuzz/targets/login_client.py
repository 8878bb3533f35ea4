"""What a server says to a client that logs in (RFC 4252), by every method."""

from typing import Any

from sshkit.ssh.authentication.client import MAX_REQUESTS, ClientAuthentication, Identity
from tests.fuzz.targets.keyless import KEY, Keyless
from tests.ssh.harness import Credentials, Owner

METHODS = ("publickey", "keyboard-interactive", "password", "none")


class User(Credentials):
    """Answers everything, as long as it can be shown."""

    def answers(self, title: str, instruction: str, prompts: Any) -> Any:
        assert len(prompts) <= 64
        return ["x"] * len(prompts)

    def password(self) -> Any:
        self.asked.append("password")
        assert len(self.asked) <= MAX_REQUESTS  # who always has an answer is asked until then
        return "secret"


def parse(data: bytes) -> None:
    user = User([Identity(KEY.public, "key", KEY)])

    def begin(layer: Any) -> None:
        authentication = ClientAuthentication(layer, "user", user, METHODS)
        authentication.done.add_errback(lambda failure: layer.disconnect(failure.exception))
        authentication.start()

    Keyless(Owner(), begin, is_client=True).run(data)
    assert len(user.banners) <= 16
