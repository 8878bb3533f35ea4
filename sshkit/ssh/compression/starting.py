"""When a negotiated compression begins: with the keys, or with the login (OpenSSH's PROTOCOL section 1.2).

Called by `Exchange` for each new sealer and opener where a compression was agreed on.
"""

from typing import TYPE_CHECKING

from sshkit.ssh.ciphers.packet import Opener, Sealer
from sshkit.ssh.compression.packets import DeflatingSealer, InflatingOpener, WatchingOpener, WatchingSealer
from sshkit.ssh.messages.authentication import USERAUTH_SUCCESS
from sshkit.ssh.transport.packet_writer import PADDING

if TYPE_CHECKING:
    from sshkit.ssh.transport.layer import TransportLayer
    from sshkit.ssh.transport.negotiation import Negotiated


def logged_in(layer: "TransportLayer") -> bool:
    """Return whether SUCCESS has left a server, or reached a client."""
    return layer.is_logged_in and not layer.writer.holds(USERAUTH_SUCCESS)


def wrapped_sealer(sealer: Sealer, layer: "TransportLayer", negotiated: "Negotiated") -> Sealer:
    """Return what seals with new keys."""
    begins = negotiated.compression_out.begins
    if begins == "keys" or (begins == "login" and logged_in(layer)):
        return DeflatingSealer(sealer, layer.random_bytes(PADDING))
    if layer.is_client or logged_in(layer):
        return sealer
    return WatchingSealer(sealer, lambda: begin(layer, negotiated))


def wrapped_opener(opener: Opener, layer: "TransportLayer", negotiated: "Negotiated") -> Opener:
    """Return what opens with new keys."""
    begins = negotiated.compression_in.begins
    if begins == "keys" or (begins == "login" and logged_in(layer)):
        return InflatingOpener(opener, layer)
    if not layer.is_client or logged_in(layer):
        return opener
    return WatchingOpener(opener, lambda: begin(layer, negotiated))


def begin(layer: "TransportLayer", negotiated: "Negotiated") -> None:
    """The login: compress what was to wait for it.  Whoever watched for it is in nobody's way any more."""
    writer = layer.writer
    sealer, opener = writer.sealer, layer.opener
    if isinstance(sealer, WatchingSealer):
        sealer = writer.sealer = sealer.inner
    if isinstance(opener, WatchingOpener):
        opener = layer.opener = opener.inner
    if negotiated.compression_out.begins == "login":
        writer.sealer = DeflatingSealer(sealer, layer.random_bytes(PADDING))
    if negotiated.compression_in.begins == "login":
        layer.opener = InflatingOpener(opener, layer)
