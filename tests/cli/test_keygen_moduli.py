"""sshkit-keygen -M: groups for Diffie-Hellman group exchange."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sshkit_cli import keygen_moduli
from sshkit_cli.keygen_moduli import candidates, generator_of, is_prime, small_primes

Run = Callable[..., tuple[int, str, str]]


#: A safe prime of 2048 bits with the generator 2.
SAFE = int(
    "E98F2A209BA9F4C8C1FFB02490E599A99FBE28F6A053E240A4BD5FEDE80B23FEA8A1476E9EF6605A4B4B41CC74CB945C"
    "7E168A91DB112424480A85CBF5853234B9B1F60F030D38F678BA80AE1461F716C463D7396151EB5F037CC88690FEEF8D"
    "16A1B67F56C11874DB5AA3D541BEFF390077C79C86434EDBC2B46821D2AE5D2FA4FFF1B086B07669B09498EA11B0FE26"
    "C773F79ACA044E085E0BA43BBE1EBE954AA1EC7A465A3232699E54958B1760AB7A04D9627EC1810970706C96B58BF849"
    "99EBED8846D8B384CB945BF782141B1BE2B7C0E04D531A2334DB41BBFD1BEA428C5FD22F50BABDBDFCC5B848F64CBA8D"
    "039636311F8D844DFFFBD77A429A9923",
    16,
)


def line(value: int, kind: int = 4, tests: int = 2) -> str:
    return f"20260101000000 {kind} {tests} 0 {value.bit_length() - 1} 0 {value:X}\n"


def test_candidates_have_no_small_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keygen_moduli, "SIEVE_LIMIT", 1000)
    start = (1 << 63) + 12345
    found = list(candidates(65, start, span=20000))
    primes = small_primes(1000)
    expected = [
        q
        for q in range(start | 1, (start | 1) + 20000, 2)
        if all(q % prime and (2 * q + 1) % prime for prime in primes[1:])
    ]
    assert found == expected
    assert found
    assert list(candidates(64, start, span=2000)) == []


def test_primes_are_told_from_others() -> None:
    assert small_primes(30) == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
    assert is_prime(2**127 - 1, 20)
    assert is_prime(2**89 - 1, 20)
    assert not is_prime((2**61 - 1) * (2**89 - 1), 20)
    assert not is_prime(3215031751, 20)  # a strong pseudoprime to the bases 2, 3, 5 and 7
    assert not is_prime(1590231231043178376951698401, 20)  # a Carmichael number


def test_generators_follow_the_residues() -> None:
    assert [generator_of(p) for p in (11, 59, 23, 47, 167, 7)] == [2, 2, 5, 5, 5, 5]
    assert generator_of(59, 2) == 2
    assert generator_of(59, 5) == 0
    assert generator_of(179 * 10 + 9) == 0


def test_generated_candidates_are_lines_of_the_right_size(
    run_keygen: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keygen_moduli, "SIEVE_LIMIT", 1 << 12)
    monkeypatch.setattr(candidates, "__defaults__", (None, 1 << 16))
    status, text, errors = run_keygen("-M", "generate", "-O", "bits=2048", "out")
    assert (status, errors) == (0, "")
    lines = Path("out").read_text().splitlines()
    assert text == f"{len(lines)} candidates in out\n"
    assert lines
    for row in lines:
        fields = row.split()
        assert fields[1:4] == ["4", "2", "0"]
        assert int(fields[6], 16).bit_length() == 2047
    start = lines[0].split()[6]
    assert run_keygen("-q", "-M", "generate", "-O", "bits=2048", "-O", f"start={start}", "again")[:2] == (
        0,
        "",
    )
    assert Path("again").read_text().splitlines()[0].split()[6] == start


def test_screening_keeps_safe_primes(run_keygen: Run) -> None:
    q = SAFE >> 1
    Path("in").write_text("# comment\n\n" + line(q - 2) + line(q) + line(SAFE, 2, 6) + line(q + 2**61))
    options = ("-O", "prime-tests=4", "-O", "memory=10")
    assert run_keygen("-M", "screen", "-f", "in", *options, "out") == (0, "2 groups in out\n", "")
    fields = Path("out").read_text().splitlines()[0].split()
    assert fields[1:6] == ["2", "6", "4", "2047", "2"]
    assert int(fields[6], 16) == SAFE
    assert (
        run_keygen("-q", "-M", "screen", *options, "-O", "lines=1", "out", stdin=Path("in").read_bytes())[0]
        == 0
    )
    assert Path("out").read_text() == ""
    assert run_keygen("-q", "-M", "screen", "-f", "in", *options, "-O", "start-line=4", "out")[0] == 0
    assert len(Path("out").read_text().splitlines()) == 1
    assert run_keygen("-q", "-M", "screen", "-f", "in", *options, "-O", "generator=5", "out")[0] == 0
    assert Path("out").read_text() == ""


@pytest.mark.peer("ssh-keygen")
def test_the_real_tool_takes_our_candidates(run_keygen: Run) -> None:
    Path("in").write_text(line(SAFE >> 1))
    subprocess.run(
        ["ssh-keygen", "-q", "-M", "screen", "-f", "in", "-O", "prime-tests=4", "out"],
        check=True,
        capture_output=True,
    )
    assert len(Path("out").read_text().splitlines()) == 1
    assert run_keygen("-q", "-M", "screen", "-f", "out", "-O", "prime-tests=4", "ours")[0] == 0
    assert Path("ours").read_text().split()[4:] == Path("out").read_text().split()[4:]


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (("nosuch", "out"), "Unsupported moduli option nosuch"),
        (("generate",), "-M generate needs one output file"),
        (("generate", "-O", "bits=512", "out"), "a number from 2048 to 8192 is needed"),
        (("generate", "-O", "start=xyz", "out"), "a hexadecimal number is needed"),
        (("generate", "-O", "start=" + "f" * 3000, "out"), "a hexadecimal number is needed"),
        (("screen", "-O", "nosuch=1", "out"), "Unrecognised moduli option 'nosuch=1'"),
    ],
)
def test_wrong_usage_is_told(run_keygen: Run, arguments: tuple[str, ...], cause: str) -> None:
    status, _, errors = run_keygen("-M", *arguments)
    assert status == 1
    assert cause in errors


@pytest.mark.parametrize(
    "text", ["junk", "1 2 3", line(SAFE >> 1).replace(" 4 ", " 9 "), line(10**8), "a 4 2 0 7 0 zz"]
)
def test_damaged_lines_are_errors_with_their_place(run_keygen: Run, text: str) -> None:
    Path("in").write_text(f"# c\n{text}\n")
    assert run_keygen("-M", "screen", "-f", "in", "out") == (
        255,
        "",
        "sshkit-keygen: in:2: not a line of moduli(5)\n",
    )
