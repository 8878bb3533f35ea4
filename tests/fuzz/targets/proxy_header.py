"""The header of a proxy (PROXY protocol, versions 1 and 2), whole and in two parts."""

from sshkit.server.proxy_protocol import parse_header


def parse(data: bytes) -> None:
    header = parse_header(data)
    if header is not None:
        for end in (1, len(data) // 2, header.size):
            assert parse_header(data[:end]) in (None, header)
        assert 0 < header.size <= len(data)
