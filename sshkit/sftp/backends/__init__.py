"""Where an SFTP server's files are: local folders, memory, archives, any fsspec file system.

One interface (`interface`), one file a kind; nothing is loaded before it is wanted.
"""
