"""The tables of authentication methods, best first, one for each side."""

from sshkit.ssh.authentication.methods.gssapi import GSSAPIClient, serve_gssapi
from sshkit.ssh.authentication.methods.host_based import HostBasedClient, serve_host_based
from sshkit.ssh.authentication.methods.keyboard_interactive import InteractiveClient, serve_interactive
from sshkit.ssh.authentication.methods.none import NoneClient, serve_none
from sshkit.ssh.authentication.methods.password import PasswordClient, serve_password
from sshkit.ssh.authentication.methods.public_key import HOST_BOUND, PublicKeyClient, serve_public_key

SERVER_METHODS = {
    "none": serve_none,
    "publickey": serve_public_key,
    HOST_BOUND: serve_public_key,
    "password": serve_password,
    "keyboard-interactive": serve_interactive,
    "hostbased": serve_host_based,
    "gssapi-with-mic": serve_gssapi,
}
#: Names of requests that are another form of a method; a server offers the method only.
FORMS = {HOST_BOUND: "publickey"}
CLIENT_METHODS = (
    GSSAPIClient,
    HostBasedClient,
    PublicKeyClient,
    InteractiveClient,
    PasswordClient,
    NoneClient,
)
