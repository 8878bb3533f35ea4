"""OpenSSH's own regression scripts for SFTP and SCP, run with our programs in place of its own."""
