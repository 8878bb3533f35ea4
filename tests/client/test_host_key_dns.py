"""Host keys in the DNS: what is asked, which answers count, and what a lying server gets (R18, R38)."""

from pathlib import Path
from typing import Any

import pytest
from sshkit_keys.sshfp import sshfp_records

import sshkit
from sshkit.client.dns_message import (
    CNAME,
    SSHFP,
    Answer,
    DNSError,
    encode_name,
    encode_question,
    parse_answer,
)
from sshkit.client.host_key_dns import NameServers, Published, look_up, published, read_name_servers
from sshkit.client.host_keys import HostKeyVerifier
from sshkit.deferred import fail, succeed
from tests.client.dns_server import AUTHENTIC, TRUNCATED, NameServer, answer, name, record
from tests.client.world import ECDSA_KEY, HOST_KEY, OTHER_KEY

HOST = "host.example"
KEY = HOST_KEY.public


def sshfp(key: Any = KEY, hash_name: str = "sha256") -> bytes:
    found = sshfp_records(key, (hash_name,))[0]
    return bytes((found.algorithm, found.hash_type)) + found.fingerprint


def asked(udp: Any, tcp: Any = None, key: Any = KEY, **settings: Any) -> Published:
    with NameServer(lambda question: [udp(question)], tcp) as server:
        return published(key, HOST, NameServers((server.address,), timeout=5, **settings))


def test_a_validated_record_of_a_server_on_this_machine_is_believed() -> None:
    def good(question: bytes) -> bytes:
        return answer(question, record(HOST, SSHFP, sshfp()), flags=AUTHENTIC)

    found = asked(good)
    assert found == Published(True, True, True)
    assert str(found) == "matching host key fingerprint in the DNS (validated)"


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([sshfp(OTHER_KEY.public)], (True, False)),
        ([sshfp(OTHER_KEY.public), sshfp()], (True, True)),
        ([sshfp(ECDSA_KEY.public)], (False, False)),
        ([sshfp(KEY, "sha1")], (False, False)),
        ([b"\4"], (False, False)),
        ([], (False, False)),
    ],
)
def test_records_of_other_keys_and_weak_hashes_match_nothing(records: Any, expected: Any) -> None:
    found = asked(lambda question: answer(question, *(record(HOST, SSHFP, each) for each in records)))
    assert found[:2] == expected
    assert not found.secure
    assert str(found).endswith("(not validated)") or "no host key fingerprint" in str(found)


def test_r38_a_server_elsewhere_is_not_believed_without_trust_ad() -> None:
    assert NameServers((("192.0.2.1", 53),)).believes("192.0.2.1") is False
    assert NameServers((("192.0.2.1", 53),), trust_ad=True).believes("192.0.2.1") is True
    assert NameServers().believes("::1") is True


def test_an_answer_that_does_not_fit_comes_over_tcp() -> None:
    def whole(question: bytes) -> bytes:
        data = answer(question, record(HOST, SSHFP, sshfp()), flags=AUTHENTIC)
        return len(data).to_bytes(2, "big") + data

    assert asked(lambda question: answer(question, flags=TRUNCATED), whole) == (True, True, True)
    for bad in (lambda q: b"", lambda q: b"\0\5ab", lambda q: (12).to_bytes(2, "big") + bytes(12)):
        with pytest.raises(DNSError):
            asked(lambda question: answer(question, flags=TRUNCATED), bad, attempts=1)

    def again(question: bytes) -> bytes:
        data = answer(question, flags=TRUNCATED)
        return len(data).to_bytes(2, "big") + data

    with pytest.raises(DNSError, match="too long for TCP"):
        asked(lambda question: answer(question, flags=TRUNCATED), again, attempts=1)


def test_aliases_are_followed_and_what_is_about_other_names_is_passed_over() -> None:
    def aliased(question: bytes) -> bytes:
        return answer(
            question,
            record(b"\xc0\x0c", CNAME, name("Real.Example")),
            record("evil.example", SSHFP, sshfp(OTHER_KEY.public)),
            record(HOST, 1, b"\x7f\0\0\1"),
            record("real.example", SSHFP, b"\4\2x", group=3),
            record("real.example", SSHFP, sshfp()),
        )

    assert asked(aliased) == (True, True, False)


def test_aliases_in_a_circle_end() -> None:
    question = encode_question(7, HOST, SSHFP)
    data = answer(question, record(HOST, CNAME, name("b")), record("b", CNAME, name(HOST)))
    assert parse_answer(data, 7, HOST, SSHFP).records == ()


def test_no_such_name_is_no_record_and_other_errors_are_errors() -> None:
    question = encode_question(7, HOST, SSHFP)
    assert parse_answer(answer(question, code=3), 7, HOST, SSHFP) == Answer((), False)
    with pytest.raises(DNSError, match="server failure"):
        parse_answer(answer(question, code=2), 7, HOST, SSHFP)
    with pytest.raises(DNSError, match="error 11"):
        parse_answer(answer(question, code=11), 7, HOST, SSHFP)


def test_r18_every_damaged_answer_is_an_error_and_none_hangs() -> None:
    question = encode_question(7, HOST, SSHFP)
    good = answer(question, record(b"\xc0\x0c", SSHFP, sshfp()), flags=AUTHENTIC)
    assert parse_answer(good, 7, HOST, SSHFP).records == (sshfp(),)
    for end in range(len(good)):
        with pytest.raises(DNSError):
            parse_answer(good[:end], 7, HOST, SSHFP)
    start = len(answer(question))
    damaged = {
        "circles": good[:start] + b"\xc0" + bytes((start,)) + good[start + 2 :],
        "unknown form": good[:start] + b"\x80\0" + good[start + 2 :],
        "too long": answer(question, record((b"\x3f" + b"a" * 63) * 5 + b"\0", SSHFP, b"")),
        "cut off": good[: start + 10] + b"\xff\xff" + good[start + 12 :],
        "another question": b"\0\0" + good[2:],
    }
    for cause, data in damaged.items():
        with pytest.raises(DNSError, match=cause):
            parse_answer(data, 7, HOST, SSHFP)
    for byte in range(len(good)):
        for value in (0, 0xC0, 0xFF):
            try:
                parse_answer(good[:byte] + bytes((value,)) + good[byte + 1 :], 7, HOST, SSHFP)
            except DNSError:
                pass


def test_r18_an_answer_to_another_question_is_none() -> None:
    question = encode_question(7, HOST, SSHFP)
    data = answer(encode_question(7, "other.example", SSHFP), record(HOST, SSHFP, sshfp()))
    for wrong in (data, answer(encode_question(7, HOST, 1)), question):
        with pytest.raises(DNSError, match="another question"):
            parse_answer(wrong, 7, HOST, SSHFP)


def test_datagrams_with_another_number_are_passed_over() -> None:
    def forged(question: bytes) -> list[bytes]:
        other = bytes((question[0] ^ 1, question[1])) + question[2:]
        evil = answer(other, record(HOST, SSHFP, sshfp(OTHER_KEY.public)))
        return [evil, answer(question, record(HOST, SSHFP, sshfp()))]

    with NameServer(forged) as server:
        assert published(KEY, HOST, NameServers((server.address,))).matches


def test_servers_that_say_nothing_or_nonsense_are_named_and_the_next_is_asked() -> None:
    with NameServer(lambda question: []) as silent, NameServer(lambda question: [question[:2]]) as mad:
        with pytest.raises(DNSError) as failed:
            look_up(HOST, SSHFP, NameServers((silent.address, mad.address), timeout=0.05, attempts=2))
        assert "no answer in time" in str(failed.value)
        assert "damaged" in str(failed.value)
        assert len(silent.questions) == len(mad.questions) == 2
        with NameServer(lambda question: [answer(question)]) as good:
            look_up(HOST, SSHFP, NameServers((mad.address, good.address)))


@pytest.mark.parametrize("bad", ["", "a..b", "x" * 64, "a." * 130, "\ud800"])
def test_r39_names_that_are_none_are_not_asked_for(bad: str) -> None:
    with pytest.raises(DNSError):
        encode_name(bad)


def test_names_of_all_languages_and_addresses() -> None:
    assert encode_name("bücher.example.") == b"\x0dxn--bcher-kva\7example\0"
    with pytest.raises(DNSError, match="is an address"):
        published(KEY, "192.0.2.1")


def test_resolv_conf_is_read_as_the_system_does(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(
        "# a comment\nnameserver 192.0.2.1\nnameserver nonsense\nnameserver ::1\nsearch example\n"
        "nameserver 192.0.2.3\nnameserver 192.0.2.4\noptions timeout:99 trust-ad attempts:x\nnameserver\n"
    )
    found = read_name_servers(str(file))
    assert found.addresses == (("192.0.2.1", 53), ("::1", 53), ("192.0.2.3", 53))
    assert (found.timeout, found.attempts, found.trust_ad) == (30.0, 2, True)
    assert read_name_servers(str(tmp_path / "missing")) == NameServers()
    file.write_text("options attempts:0\n")
    assert read_name_servers(str(file)).attempts == 1


def judge(found: Any, *, decides: bool = True, policy: Any = "strict", lines: str = "", tmp: Path) -> Any:
    """Verify an unknown key that the DNS says this of; return the verifier and what it said."""
    known = tmp / "known"
    known.write_text(lines)
    said: list[str] = []
    verifier = HostKeyVerifier(
        HOST, 22, files=[known], global_files=[], policy=policy, warn=said.append, ask=lambda key, text: False
    )
    verifier.dns = lambda key, host: found if isinstance(found, sshkit.Deferred) else succeed(found)
    verifier.dns_decides = decides
    outcome = verifier.verify(KEY)
    errors: list[BaseException] = []
    if outcome is not None:
        outcome.add_errback(lambda failure: errors.append(failure.exception))
    return verifier, said, errors


def test_r38_only_a_validated_record_stands_for_a_known_key(tmp_path: Path) -> None:
    verifier, said, errors = judge(Published(True, True, True), tmp=tmp_path)
    assert (errors, said) == ([], [])
    assert verifier.reason == "its fingerprint is in the DNS, validated"
    assert not verifier.is_known
    for found, decides in (
        (Published(True, True, False), True),
        (Published(True, True, True), False),
        (Published(False, False, True), True),
    ):
        _, _, errors = judge(found, decides=decides, tmp=tmp_path)
        assert isinstance(errors[0], sshkit.HostKeyUnknown)
        assert str(found) in str(errors[0])


def test_r38_a_validated_record_of_another_key_is_a_changed_key(tmp_path: Path) -> None:
    _, _, errors = judge(Published(True, False, True), policy="accept-new", tmp=tmp_path)
    assert isinstance(errors[0], sshkit.HostKeyChanged)
    _, said, errors = judge(Published(True, False, False), tmp=tmp_path)
    assert isinstance(errors[0], sshkit.HostKeyUnknown)
    assert "is not that of its record" in said[0]


def test_r38_what_the_files_say_of_a_key_is_not_overruled(tmp_path: Path) -> None:
    kind, text = OTHER_KEY.public.to_line().split(" ")[:2]
    with pytest.raises(sshkit.HostKeyChanged):
        judge(Published(True, True, True), lines=f"{HOST} {kind} {text}\n", tmp=tmp_path)


def test_r38_a_failed_look_up_decides_nothing(tmp_path: Path) -> None:
    _, said, errors = judge(fail(DNSError("nobody answers")), tmp=tmp_path)
    assert said == ["VerifyHostKeyDNS: nobody answers"]
    assert isinstance(errors[0], sshkit.HostKeyUnknown)
    _, _, errors = judge(fail(ZeroDivisionError()), tmp=tmp_path)
    assert isinstance(errors[0], ZeroDivisionError)
