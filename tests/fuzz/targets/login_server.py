"""What a client says to log in (RFC 4252), to a server with every method."""

from typing import Any

from sshkit.ssh.authentication.server import Questions, ServerAuthentication
from sshkit.ssh.authentication.verdicts import Partial, PasswordExpired
from tests.fuzz.targets.keyless import KEY, Keyless
from tests.ssh.harness import Owner, Policy


class Everything(Policy):
    """Knows every method, gives every verdict but a grant, and looks at what it gets."""

    takes_certificates = True

    def __init__(self) -> None:
        super().__init__()
        self.offered = ("publickey", "password", "keyboard-interactive", "hostbased")
        self.text = "banner\n"

    def none(self, user: str) -> Any:
        assert user.isprintable()

    def public_key(self, user: str, key: Any, signed: bool) -> Any:
        assert key.fingerprint()
        assert not signed or key != KEY.public, "a signature that nobody made"
        return Partial(("password",)) if signed else key.key_type == "ssh-ed25519"

    def password(self, user: str, password: str) -> Any:
        return PasswordExpired("new?") if password.startswith("old") else None

    def change_password(self, user: str, old: str, new: str) -> Any:
        return PasswordExpired("longer?") if len(new) < 8 else None

    def interactive(self, user: str, answers: Any) -> Any:
        return (
            Questions([("Password: ", False), ("Code: ", True)])
            if answers is None or len(answers) > 1
            else None
        )

    def host_based(self, user: str, key: Any, host: str, local_user: str) -> Any:
        assert host.isprintable()


def parse(data: bytes) -> None:
    policy = Everything()
    Keyless(Owner(), lambda layer: ServerAuthentication(layer, policy, 20), is_client=False).run(data)
    assert policy.grants == []
    assert all(text.isprintable() for failure in policy.failures for text in failure), policy.failures
