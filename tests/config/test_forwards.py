"""Forwards as they are written: fields, brackets, paths, and what is no forward."""

import pytest

from sshkit.config.forwards import (
    DYNAMIC,
    LOCAL,
    MAX_PATH,
    REMOTE,
    Endpoint,
    Forward,
    InvalidForward,
    parse_forward,
    parse_host_port,
)

HOST = Endpoint("host", 80)
PATH = Endpoint(None, 0, "/run/x")


@pytest.mark.parametrize(
    ("kind", "text", "listen", "target"),
    [
        (LOCAL, "8080:host:80", Endpoint(None, 8080), HOST),
        (LOCAL, "0:host:80", Endpoint(None, 0), HOST),
        (LOCAL, "127.0.0.1:8080:host:80", Endpoint("127.0.0.1", 8080), HOST),
        (LOCAL, ":8080:host:80", Endpoint("", 8080), HOST),
        (LOCAL, "*:8080:host:80", Endpoint("*", 8080), HOST),
        (LOCAL, "[::1]:8080:[fe80::1]:80", Endpoint("::1", 8080), Endpoint("fe80::1", 80)),
        (LOCAL, "/run/x:host:80", PATH, HOST),
        (LOCAL, "8080:/run/x", Endpoint(None, 8080), PATH),
        (LOCAL, "8080:[/run/x]", Endpoint(None, 8080), PATH),
        (LOCAL, "::1:8080:/run/x", None, None),
        (LOCAL, "localhost:8080:/run/x", Endpoint("localhost", 8080), PATH),
        (LOCAL, "/run/x:/run/x", PATH, PATH),
        (LOCAL, "/run/a\\:b:host:80", Endpoint(None, 0, "/run/a:b"), HOST),
        (REMOTE, "8080:host:80", Endpoint(None, 8080), HOST),
        (REMOTE, "1080", Endpoint(None, 1080), None),
        (REMOTE, "*:1080", Endpoint("*", 1080), None),
        (REMOTE, "/run/x", PATH, None),
        (DYNAMIC, "1080", Endpoint(None, 1080), None),
        (DYNAMIC, "localhost:1080", Endpoint("localhost", 1080), None),
        (DYNAMIC, "[::]:1080", Endpoint("::", 1080), None),
        (LOCAL, "8080", None, None),
        (LOCAL, "h:8080", None, None),
        (LOCAL, "8080::80", None, None),
        (LOCAL, "8080:host:0", None, None),
        (LOCAL, "x:host:80", None, None),
        (LOCAL, "65536:host:80", None, None),
        (LOCAL, "a:1:b:2:c", None, None),
        (LOCAL, "[::1:8080:host:80", None, None),
        (LOCAL, "[::1]8080:host:80", None, None),
        (LOCAL, "/run/x:/run/x:1:2", None, None),
        (DYNAMIC, "8080:host:80", None, None),
        (DYNAMIC, "", None, None),
    ],
)
def test_a_forward_is_read_as_ssh_reads_it(
    kind: str, text: str, listen: Endpoint | None, target: Endpoint | None
) -> None:
    if listen is None:
        with pytest.raises(InvalidForward):
            parse_forward(text, kind)
    else:
        assert parse_forward(text, kind) == Forward(kind, listen, target)


def test_a_path_too_long_for_a_socket_is_refused_with_its_length() -> None:
    with pytest.raises(InvalidForward, match=f"has {MAX_PATH + 1} bytes"):
        parse_forward(f"/{'x' * MAX_PATH}:host:80", LOCAL)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [("host:80", HOST), ("[::1]:22", Endpoint("::1", 22)), ("/run/x", PATH), ("host", None), (":80", None)],
)
def test_host_and_port_are_read_as_one_word(text: str, endpoint: Endpoint | None) -> None:
    if endpoint is None:
        with pytest.raises(InvalidForward):
            parse_host_port(text)
    else:
        assert parse_host_port(text) == endpoint
