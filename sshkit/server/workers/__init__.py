"""sshkit-server in several processes: with separated privileges, and on more than one core."""
