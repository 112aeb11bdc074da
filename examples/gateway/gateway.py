"""A gateway that keeps notes: b"put", a name and a text; b"get" and a name. It answers with the text or an error."""

import sys

import zmq


def answer(notes, parts):
    """The frames to answer with."""
    verb, name, *rest = parts
    if verb == b"put":
        notes[name] = b"".join(rest)
        return [b"ok"]
    if verb == b"get":
        return [notes.get(name, b"")]
    return [b"error"]


def serve(endpoint):
    """Serve for ever."""
    notes = {}
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.bind(endpoint)
        while True:
            peer, *parts = router.recv_multipart()
            router.send_multipart([peer, *answer(notes, parts)])


if __name__ == "__main__":
    serve(sys.argv[1])
