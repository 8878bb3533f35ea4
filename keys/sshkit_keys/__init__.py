"""Keys, signatures and trust files of SSH.  Needs no reactor."""
