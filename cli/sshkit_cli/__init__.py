"""The commands of sshkit: argument parsing and printing only."""
