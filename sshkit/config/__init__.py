"""ssh_config and sshd_config: each value knows the file and line it came from."""
