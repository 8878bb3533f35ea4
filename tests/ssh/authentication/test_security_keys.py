"""What a security key saw when it signed: a touch is needed unless who decides waives it (R6)."""

from typing import Any

import pytest
from sshkit_keys import generate_private_key, sign_certificate

from sshkit.deferred import Deferred, succeed
from sshkit.ssh.authentication.client import Identity
from sshkit.ssh.authentication.methods.public_key import SignatureFlags, flags_fault, verify_signature
from sshkit.ssh.authentication.verdicts import Grant
from tests.keys.test_security_keys import Device
from tests.ssh.harness import Credentials, Duo, Policy

ED25519 = "sk-ssh-ed25519@openssh.com"
ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"
TOUCHED, VERIFIED = 1, 4


class Limits:
    """Options of a grant."""

    def __init__(self, touch_required: bool, verify_required: bool) -> None:
        self.touch_required = touch_required
        self.verify_required = verify_required


class Signer:
    """A device as an agent has it."""

    def __init__(self, device: Device, flags: int, public: Any = None) -> None:
        self.device = device
        self.flags = flags
        self.public = public or device.public

    def sign(self, algorithm: str, data: bytes) -> bytes:
        return self.device.sign(data, self.flags)


class JudgingPolicy(Policy):
    """A policy that looks at the flags itself."""

    judges_flags = True

    def public_key(self, user: str, key: Any, signed: bool, flags: Any = None) -> Any:
        return self._answer("public_key", user, key, signed, flags)


def log_in(
    flags: int, options: object = None, kind: str = ED25519, policy: Policy | None = None, later: bool = False
) -> bool:
    """Say whether a signature with these flags lets in."""

    def grant(user: str, *_: Any) -> Any:
        verdict = Grant(user, "publickey", options=options)
        return succeed(verdict) if later else verdict

    signer = Signer(Device(kind), flags)
    policy = policy or Policy(public_key=grant)
    identities = [Identity(signer.public, "device", signer)]
    duo = Duo(policy=policy, credentials=Credentials(identities), methods=("publickey",))
    duo.settle()
    return bool(policy.grants)


@pytest.mark.parametrize("kind", [ED25519, ECDSA])
@pytest.mark.parametrize("later", [False, True])
def test_r06_nobody_is_let_in_without_a_touch_or_the_verification_that_is_demanded(
    kind: str, later: bool
) -> None:
    assert not log_in(0, kind=kind, later=later)
    assert log_in(TOUCHED, kind=kind, later=later)
    strict = Limits(True, True)
    assert not log_in(TOUCHED, strict, kind, later=later)
    assert log_in(TOUCHED | VERIFIED, strict, kind, later=later)


def test_r06_a_policy_that_says_nothing_about_flags_cannot_waive_the_touch() -> None:
    assert not log_in(0, Limits(False, False))
    assert log_in(TOUCHED, Limits(False, False))


def test_a_policy_that_judges_flags_is_told_them_with_the_signature_alone() -> None:
    policy = JudgingPolicy(public_key=lambda user, key, signed, flags: Grant(user, "publickey"))
    assert log_in(0, policy=policy)
    assert [asked[3:] for asked in policy.asked] == [(True, SignatureFlags(False, False))]
    policy = JudgingPolicy(public_key=None)
    assert not log_in(VERIFIED, policy=policy)
    assert policy.asked[-1][4] == SignatureFlags(False, True)


def test_what_the_options_of_a_grant_demand() -> None:
    def fault(touched: bool, verified: bool, options: object = None) -> str:
        return flags_fault(options, SignatureFlags(touched, verified))

    assert flags_fault(Limits(True, True), None) == ""  # no security key
    assert fault(False, True) == "nobody touched the security key"
    assert fault(True, False) == ""
    assert fault(False, False, Limits(False, False)) == ""
    assert fault(True, False, Limits(False, True)) == "the security key did not verify its user"


def test_r06_a_certificate_with_verify_required_holds_whatever_the_policy_says() -> None:
    from sshkit_keys.errors import SignatureError

    device = Device(ED25519)
    authority = generate_private_key("ed25519")

    def certify(**more: Any) -> Any:
        return sign_certificate(
            authority,
            device.public,
            role="user",
            key_id="id",
            principals=["user"],
            random_bytes=lambda size: bytes(size),
            **more,
        )

    plain, strict = certify(), certify(critical_options={"verify-required": ""})
    (algorithm,) = plain.signature_algorithms
    assert verify_signature(plain, algorithm, b"data", device.sign(b"data", 0)) == (False, False)
    assert verify_signature(strict, algorithm, b"data", device.sign(b"data", 5)) == (True, True)
    with pytest.raises(SignatureError, match="did not verify"):
        verify_signature(strict, algorithm, b"data", device.sign(b"data", 1))
    key = generate_private_key("ed25519")
    assert verify_signature(key.public, "ssh-ed25519", b"data", key.sign("ssh-ed25519", b"data")) is None


def test_a_verdict_that_comes_later_is_judged_as_well() -> None:
    waiting: list[Deferred[Any]] = []

    def ask(user: str, *_: Any) -> Any:
        waiting.append(Deferred())
        return waiting[-1]

    policy = Policy(public_key=ask)
    assert not log_in(TOUCHED, policy=policy)
    waiting[-1].callback(Grant("user", "publickey", options=Limits(True, True)))
    assert not policy.grants
