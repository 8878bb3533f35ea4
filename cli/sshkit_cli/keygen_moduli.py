"""sshkit-keygen makes groups for Diffie-Hellman group exchange: -M generate, -M screen (moduli(5)).

`generate` sieves candidates p for which neither p nor (p - 1) / 2 has a small factor; `screen` keeps those
where both are prime, with the smallest generator that fits.  Both are slow: hours for 4096 bits and more.
"""

import os
from collections.abc import Iterator
from time import gmtime, strftime

from sshkit_keys.errors import KeyFormatError
from sshkit_keys.file_access import write_new_file
from sshkit_keys.text import printable, quoted

from sshkit_cli.keygen import Options, UsageError
from sshkit_cli.keygen_files import read_file

MIN_BITS, MAX_BITS, DEFAULT_BITS = 2048, 8192, 3072
#: Candidates have no factor below this.
SIEVE_LIMIT = 1 << 20
#: Numbers looked at in one pass; a file of 3072 bits gets some 400 candidates out of it.
SPAN = 1 << 21
MIN_TESTS, DEFAULT_TESTS = 4, 100
#: type 2 is a safe prime, 4 a Sophie Germain prime; test bits: 2 sieved, 4 Miller-Rabin (moduli(5)).
_SAFE, _CANDIDATE, _SIEVED, _TESTED = 2, 4, 2, 4
_FIELDS = 7


class Settings:
    """What -O says."""

    def __init__(self, options: Options) -> None:
        self.bits = DEFAULT_BITS
        self.tests = DEFAULT_TESTS
        self.generator = 0
        self.lines = self.first_line = 0
        self.start: int | None = None
        for setting in options.settings:
            name, _, value = setting.partition("=")
            if name == "bits":
                self.bits = _number(setting, value, MIN_BITS, MAX_BITS)
            elif name == "prime-tests":
                self.tests = _number(setting, value, MIN_TESTS, 10_000)
            elif name == "generator":
                self.generator = _number(setting, value, 2, 5)
            elif name == "lines":
                self.lines = _number(setting, value, 1, 10**9)
            elif name == "start-line":
                self.first_line = _number(setting, value, 0, 10**9)
            elif name == "start":
                self.start = _hexadecimal(setting, value)
            elif name != "memory":  # the sieve is bounded already
                raise UsageError(f"Unrecognised moduli option {quoted(setting)}")


def generate_or_screen(options: Options) -> int:
    """Do what the word after -M says."""
    word = options.values["-M"]
    if word not in ("generate", "screen"):
        raise UsageError(f"Unsupported moduli option {printable(word)}")
    if len(options.files) != 1:
        raise UsageError(f"-M {word} needs one output file")
    settings = Settings(options)
    target = options.files[0]
    if word == "generate":
        lines = [_line(_CANDIDATE, _SIEVED, 0, q, 0) for q in candidates(settings.bits, settings.start)]
    else:
        data, place = read_file(options.values.get("-f", "-"))
        lines = list(_screened(data, place, settings))
    write_new_file(target, "".join(lines).encode("ascii"), 0o644, overwrite=True)
    if not options.quiet:
        print(f"{len(lines)} {'candidates' if word == 'generate' else 'groups'} in {printable(target)}")
    return 0


def candidates(bits: int, start: int | None = None, span: int = SPAN) -> Iterator[int]:
    """Yield odd q in order, with p = 2 q + 1 of `bits` bits, neither of them with a small factor."""
    if start is None:
        start = int.from_bytes(os.urandom(bits // 8), "big") | 1 << bits - 1
        start = (start >> 1) & ~(span - 1)  # room behind it, so that no candidate grows a bit more
    first = start | 1
    sieve = bytearray(b"\1") * (span // 2)  # index i stands for first + 2 i
    for prime in small_primes(SIEVE_LIMIT):
        if prime == 2:
            continue
        half = (prime + 1) // 2  # the inverse of 2
        for residue in (0, (prime - 1) * half % prime):  # q = 0, and 2 q + 1 = 0, modulo prime
            index = (residue - first) * half % prime
            count = len(range(index, len(sieve), prime))
            sieve[index::prime] = bytes(count)
    position = sieve.find(1)
    while position >= 0:
        q = first + 2 * position
        if (2 * q + 1).bit_length() != bits:
            return
        yield q
        position = sieve.find(1, position + 1)


def small_primes(limit: int) -> list[int]:
    """Return the primes below `limit`."""
    sieve = bytearray(b"\1") * limit
    sieve[:2] = b"\0\0"
    for number in range(2, int(limit**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, limit, number)))
    return [number for number, prime in enumerate(sieve) if prime]


def is_prime(number: int, tests: int) -> bool:
    """Say whether an odd number above 10**6 passes as many Miller-Rabin tests with random bases."""
    odd, twos = number - 1, 0
    while not odd & 1:
        odd, twos = odd >> 1, twos + 1
    size = number.bit_length() // 8 - 1
    for _ in range(tests):
        value = pow(int.from_bytes(os.urandom(size), "big") + 2, odd, number)
        if value in (1, number - 1):
            continue
        for _ in range(twos - 1):
            value = value * value % number
            if value == number - 1:
                break
        else:
            return False
    return True


def generator_of(p: int, wanted: int = 0) -> int:
    """Return 2 or 5, a generator of a safe prime's large subgroup; 0 if neither is, or another is wanted."""
    found = 2 if p % 24 == 11 else 5 if p % 10 in (3, 7) else 0
    return found if wanted in (0, found) else 0


def _screened(data: bytes, place: str, settings: Settings) -> Iterator[str]:
    """Yield the lines of the candidates that hold."""
    done = 0
    for number, line in enumerate(data.splitlines(), 1):
        text = line.decode("ascii", "replace").strip()
        if not text or text.startswith("#") or number <= settings.first_line:
            continue
        if settings.lines and done == settings.lines:
            return
        done += 1
        kind, tests, tries, value = _read(text, f"{place}:{number}")
        q, p = (value, 2 * value + 1) if kind == _CANDIDATE else (value >> 1, value)
        generator = generator_of(p, settings.generator)
        # One test each first: most candidates fall there.
        if generator and all(is_prime(n, rounds) for rounds in (1, settings.tests) for n in (q, p)):
            yield _line(_SAFE, tests | _TESTED, tries + settings.tests, p, generator)


def _read(text: str, place: str) -> tuple[int, int, int, int]:
    fields = text.split()
    try:
        if len(fields) != _FIELDS or len(fields[6]) > MAX_BITS // 4 + 1:
            raise ValueError
        kind, tests, tries = (int(field) for field in fields[1:4])
        value = int(fields[6], 16)
        if kind not in (_SAFE, _CANDIDATE) or value < SIEVE_LIMIT or not value & 1 or not 0 <= tries < 10**9:
            raise ValueError
    except ValueError:
        raise KeyFormatError("not a line of moduli(5)", place) from None
    return kind, tests, tries, value


def _line(kind: int, tests: int, tries: int, value: int, generator: int) -> str:
    now = strftime("%Y%m%d%H%M%S", gmtime())
    return f"{now} {kind} {tests} {tries} {value.bit_length() - 1} {generator} {value:X}\n"


def _number(setting: str, text: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 10 or not low <= int(text) <= high:
        raise UsageError(f"option -O {printable(setting)}: a number from {low} to {high} is needed")
    return int(text)


def _hexadecimal(setting: str, text: str) -> int:
    try:
        if len(text) > MAX_BITS // 4:
            raise ValueError
        return int(text, 16)
    except ValueError:
        raise UsageError(f"option -O {printable(setting)}: a hexadecimal number is needed") from None
