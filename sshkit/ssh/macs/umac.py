"""umac-64, umac-128 (RFC 4418, draft-miller-secsh-umac) and their -etm forms (OpenSSH's PROTOCOL).

The arithmetic is plain Python and much slower than an HMAC of the library, so these are there for who asks
by name; it is loaded when it is wanted.
"""

from sshkit.ssh.macs.mac import MAC, Tagger


def _line(name: str, size: int, *, etm: bool) -> MAC:
    def start(key: bytes) -> Tagger:
        from sshkit.ssh.macs.umac_hash import UMAC

        return UMAC(key, size)

    return MAC(name, 16, size, etm, start)


UMAC_64 = _line("umac-64@openssh.com", 8, etm=False)
UMAC_128 = _line("umac-128@openssh.com", 16, etm=False)
UMAC_64_ETM = _line("umac-64-etm@openssh.com", 8, etm=True)
UMAC_128_ETM = _line("umac-128-etm@openssh.com", 16, etm=True)
