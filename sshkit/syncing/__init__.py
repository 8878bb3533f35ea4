"""One directory tree made equal to another: `sync`, here or over SFTP (level 5).

`sshkit.sync` is the function; `sshkit.blocking.sync` its blocking twin, `sshkit-sync` the command.
"""
