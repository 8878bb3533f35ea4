"""Tests of `sshkit.client.sharing`."""
