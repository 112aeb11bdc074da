"""zmqfuzz: fault injection and fuzzing for programs that bind or connect ZeroMQ sockets."""

__version__ = "0.1.0"
