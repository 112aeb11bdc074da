"""The gateway with its two weaknesses mended: see answer() and maxmsgsize."""

import sys

import zmq


def answer(notes, parts):
    """The frames to answer with."""
    match parts:
        case [b"put", name, text] if len(notes) < 1000:
            notes[name] = text
            return [b"ok"]
        case [b"get", name]:
            return [notes.get(name, b"")]
        case _:
            return [b"error"]


def serve(endpoint):
    """Serve for ever."""
    notes = {}
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.maxmsgsize = 64 << 10
        router.bind(endpoint)
        while True:
            peer, *parts = router.recv_multipart()
            router.send_multipart([peer, *answer(notes, parts)])


if __name__ == "__main__":
    serve(sys.argv[1])
