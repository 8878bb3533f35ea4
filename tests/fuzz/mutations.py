"""Changes to an input, for where there is no atheris: without coverage, with the same targets and seeds.

Called by `tests.fuzz.run`.  Each input comes from one or two seeds, or from one that was changed before.
"""

from random import Random

INTERESTING = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    bytes(4),
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\0\0\0\1",
    b"\n",
    b" ",
)
LONGEST = 8192  #: bytes of an input
KEPT = 256  #: inputs that later ones come from


class Mutations:
    """An endless supply of inputs."""

    def __init__(self, seeds: list[bytes], seed: int = 0) -> None:
        self._seeds = list(seeds) or [b""]
        self._known = len(self._seeds)
        self._random = Random(seed)

    def next(self) -> bytes:
        """Return one more."""
        random = self._random
        data = random.choice(self._seeds)
        for _ in range(random.choice((1, 1, 2, 3, 5))):
            data = self._changed(data)
        data = data[:LONGEST]
        if random.random() < 0.05:
            if len(self._seeds) < self._known + KEPT:
                self._seeds.append(data)
            else:
                self._seeds[random.randrange(self._known, len(self._seeds))] = data
        return data

    def _changed(self, data: bytes) -> bytes:
        random = self._random
        at = random.randrange(len(data) + 1)
        to = min(len(data), at + random.choice((1, 2, 4, random.randrange(1, 64))))
        how = random.randrange(7)
        if how == 0:  # a bit
            return (
                data[:at]
                + bytes(octet ^ 1 << random.randrange(8) for octet in data[at : at + 1])
                + data[at + 1 :]
            )
        if how == 1:
            return data[:at] + random.randbytes(to - at) + data[to:]
        if how == 2:
            piece = random.choice(INTERESTING)
            return data[:at] + piece + data[at + len(piece) * random.randrange(2) :]
        if how == 3:
            return data[:at] + data[to:]
        if how == 4:
            return data[:to] + data[at:]
        if how == 5:
            return data[:at] + random.randbytes(random.randrange(1, 9)) + data[at:]
        other = random.choice(self._seeds)
        return data[:at] + other[random.randrange(len(other) + 1) :]
