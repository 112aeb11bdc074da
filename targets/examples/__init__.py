"""Small ZeroMQ programs, each with one weakness and a hardened twin; every one runs as a script or with ``-m``."""
