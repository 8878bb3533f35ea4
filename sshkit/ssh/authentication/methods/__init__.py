"""The tables of authentication methods, best first, one for each side."""

from sshkit.ssh.authentication.methods.keyboard_interactive import InteractiveClient, serve_interactive
from sshkit.ssh.authentication.methods.none import NoneClient, serve_none
from sshkit.ssh.authentication.methods.password import PasswordClient, serve_password
from sshkit.ssh.authentication.methods.public_key import PublicKeyClient, serve_public_key

SERVER_METHODS = {
    "none": serve_none,
    "publickey": serve_public_key,
    "password": serve_password,
    "keyboard-interactive": serve_interactive,
}
CLIENT_METHODS = (PublicKeyClient, InteractiveClient, PasswordClient, NoneClient)
