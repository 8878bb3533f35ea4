"""Side by side: sshkit, OpenSSH, asyncssh and Conch in one run."""
