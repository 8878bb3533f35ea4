"""The server's own files in its user's directory: ~/.config/sshkit, or where XDG_CONFIG_HOME says.

Called by `sshkit-server` and by manholes.  The directory is made with mode 0700 and the host key with 0600,
from the start.
"""

import os

from sshkit_keys.errors import KeyPermissionsError

CONFIG_NAME = "sshd_config"
KEY_NAME = "ssh_host_ed25519_key"


def own_folder() -> str:
    """Return the directory's path."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):  # the specification has relative paths ignored
        base = os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(base, "sshkit")


def config_path() -> str | None:
    """Return the path of the user's own configuration, if there is one."""
    path = os.path.join(own_folder(), CONFIG_NAME)
    return path if os.path.exists(path) else None


def make_own_key(folder: str) -> str:
    """Return the path of the server's own host key; made on first use.  Raises OSError or KeyFileError."""
    path = os.path.join(folder, KEY_NAME)
    if os.path.exists(path):
        return path
    from sshkit_keys import generate_private_key, write_private_key, write_public_key

    os.makedirs(folder, mode=0o700, exist_ok=True)
    status = os.stat(folder)
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise KeyPermissionsError("others may write here, so no host key is made", folder)
    key = generate_private_key("ed25519", comment=f"sshkit-server@{os.uname().nodename}")
    try:
        write_private_key(path, key.to_openssh(random_bytes=os.urandom))
    except FileExistsError:  # another server was quicker
        return path
    write_public_key(f"{path}.pub", key.public, overwrite=True)
    return path
