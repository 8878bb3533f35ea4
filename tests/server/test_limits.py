"""How many may knock at once: the counts (R42)."""

from sshkit.server.limits import MaxStartups, Startups


def startups(
    limit: MaxStartups, per_source: int | None = None, draw: int = 0, blocks: tuple[int, int] = (32, 128)
) -> Startups:
    return Startups(limit, per_source, lambda size: bytes([draw]) * size, blocks)


def test_r42_below_the_start_nobody_is_refused() -> None:
    counted = startups(MaxStartups(2, 100, 4))
    counted.begin("a")
    assert counted.refusal("a") is None


def test_r42_from_the_full_number_everybody_is_refused() -> None:
    counted = startups(MaxStartups(1, 1, 3), draw=255)
    for _ in range(3):
        assert counted.refusal("a") is None
        counted.begin("a")
    assert counted.refusal("a") == "3 connections are not logged in"
    counted.end("a")
    assert counted.refusal("a") is None


def test_r42_between_both_chance_refuses_ever_more() -> None:
    for count, percent in ((10, 30), (55, 65), (99, 99)):
        refused = 0
        for draw in range(256):
            counted = startups(MaxStartups(10, 30, 100), draw=draw)
            counted.count = count
            refused += counted.refusal("a") is not None
        assert abs(refused / 2.56 - percent) < 1


def test_r42_one_source_cannot_use_up_what_is_for_all() -> None:
    counted = startups(MaxStartups(), per_source=2)
    for _ in range(2):
        assert counted.refusal("192.0.2.1") is None
        counted.begin("192.0.2.1")
    assert counted.refusal("192.0.2.1") == "2 connections of 192.0.2.1 are not logged in"
    assert counted.refusal("192.0.2.2") is None
    counted.end("192.0.2.1")
    assert counted.refusal("192.0.2.1") is None


def test_r42_a_network_counts_as_one_source_where_it_is_configured() -> None:
    counted = startups(MaxStartups(), per_source=1, blocks=(24, 56))
    for source, neighbour, stranger in (
        ("192.0.2.1", "192.0.2.99", "192.0.3.1"),
        ("2001:db8::1", "2001:db8:0:ff::1", "2001:db8:0:100::1"),
        ("fe80::1%eth0", "fe80::2%eth1", "2001:db8:1::1"),
        ("local", "local", "other"),
    ):
        counted.begin(source)
        assert counted.refusal(neighbour) is not None
        assert counted.refusal(stranger) is None
        counted.end(source)
        assert counted.refusal(neighbour) is None
    assert counted.count == 0
