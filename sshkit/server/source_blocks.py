"""Sources: the network that an address counts as (PerSourceNetBlockSize of sshd_config(5)).

Called by the limits and the penalties, once a connection.
"""


def plain_address(source: str) -> str:
    """Return an address without its zone, and an IPv4 address that came through IPv6 as what it is."""
    address = source.partition("%")[0]
    if address.startswith("::ffff:") and "." in address:
        return address[7:]
    return address


def block_of(source: str, blocks: tuple[int, int]) -> str:
    """Return the network of `source`, with `blocks` bits of IPv4 and of IPv6; whole addresses as they are."""
    address = plain_address(source)
    if blocks == (32, 128):
        return address
    bits = blocks[":" in address]
    from ipaddress import ip_network

    try:
        return str(ip_network(f"{address}/{bits}", strict=False))
    except ValueError:  # no address: a UNIX socket
        return source
