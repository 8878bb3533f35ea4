"""SFTP: files of another machine, over any byte stream (draft-ietf-secsh-filexfer-02).

The rooms of both sides; nothing is loaded before it is wanted.
"""
