"""sshkit: an SSH client, server and library on its own event-driven core."""
