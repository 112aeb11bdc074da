"""Weak sources and their hardened twins: the code, what it is told of, and what it is not."""

from __future__ import annotations

KEY = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
"""The secret key of an example in libzmq's manual (zmq_curve(7)): it protects nothing."""

TWO = (
    "s = context.socket(zmq.REP); o = context.socket(zmq.REQ); {}; "
    's.bind("tcp://127.0.0.1:5"); o.connect("tcp://localhost:5")'
)

TWINS: list[tuple[str, str, str]] = [
    (
        "ZF601",
        's = context.socket(zmq.ROUTER); s.bind("tcp://*:5555")',
        's = context.socket(zmq.ROUTER); s.bind("tcp://127.0.0.1:5555")',
    ),
    (
        "ZF601",
        's = context.socket(zmq.ROUTER); s.bind("tcp://[::]:5555")',
        's = context.socket(zmq.ROUTER); s.curve_server = True; s.bind("tcp://[::]:5555")',
    ),
    (
        "ZF602",
        's = context.socket(zmq.PULL); s.bind("tcp://*:1"); print(s.recv_pyobj())',
        's = context.socket(zmq.PULL); s.bind("tcp://*:1"); print(s.recv_json())',
    ),
    (
        "ZF602",
        's = context.socket(zmq.PULL); s.bind("tcp://*:1"); parts = s.recv_multipart(); pickle.loads(parts[0])',
        's = context.socket(zmq.PULL); s.bind("inproc://a"); parts = s.recv_multipart(); pickle.loads(parts[0])',
    ),
    (
        "ZF603",
        's = context.socket(zmq.PULL); s.bind("tcp://10.0.0.5:1")',
        's = context.socket(zmq.PULL); s.setsockopt(zmq.MAXMSGSIZE, 1 << 20); s.bind("tcp://10.0.0.5:1")',
    ),
    (
        "ZF603",
        's = context.socket(zmq.PULL); s.maxmsgsize = -1; s.bind("tcp://*:1")',
        's = context.socket(zmq.PULL); s.maxmsgsize = 65536; s.bind("tcp://*:1")',
    ),
    (
        "ZF605",
        's = context.socket(zmq.PUB); s.set_hwm(0); s.bind("tcp://127.0.0.1:1")',
        's = context.socket(zmq.PUB); s.set_hwm(100); s.bind("tcp://127.0.0.1:1")',
    ),
    ("ZF606", "s = context.socket(zmq.PUSH); s.linger = -1", "s = context.socket(zmq.PUSH); s.linger = 100"),
    (
        "ZF606",
        's = context.socket(zmq.PUSH); s.connect("tcp://127.0.0.1:1"); s.send(b""); s.close(); context.term()',
        's = context.socket(zmq.PUSH); s.connect("tcp://127.0.0.1:1"); s.send(b""); s.close(linger=5); context.term()',
    ),
    (
        "ZF607",
        's = context.socket(zmq.REP); s.handshake_ivl = 0; s.bind("tcp://127.0.0.1:1")',
        's = context.socket(zmq.REP); s.handshake_ivl = 5000; s.bind("tcp://127.0.0.1:1")',
    ),
    (
        "ZF609",
        's = context.socket(zmq.ROUTER); s.bind("tcp://10.0.0.5:1")',
        's = context.socket(zmq.ROUTER); s.setsockopt(zmq.HEARTBEAT_IVL, 1000); s.bind("tcp://10.0.0.5:1")',
    ),
    (
        "ZF610",
        's = context.socket(zmq.ROUTER); s.router_handover = 1; s.bind("tcp://127.0.0.1:1")',
        's = context.socket(zmq.ROUTER); s.router_handover = 0; s.bind("tcp://127.0.0.1:1")',
    ),
    (
        "ZF612",
        """
        import json
        s = context.socket(zmq.PULL); s.bind("tcp://127.0.0.1:1")
        while True:
            print(json.loads(s.recv()))
        """,
        """
        import json
        s = context.socket(zmq.PULL); s.bind("tcp://127.0.0.1:1")
        while True:
            try:
                print(json.loads(s.recv()))
            except ValueError:
                continue
        """,
    ),
    (
        "ZF612",
        """
        s = context.socket(zmq.SUB); s.connect("tcp://127.0.0.1:1")
        try:
            while True:
                print(s.recv_string())
        except Exception:
            pass
        """,
        """
        s = context.socket(zmq.SUB); s.connect("tcp://127.0.0.1:1")
        while True:
            print(s.recv().decode("utf-8", "replace"))
        """,
    ),
    (
        "ZF612",
        """
        s = context.socket(zmq.SUB); s.connect("tcp://127.0.0.1:1")
        def run(stop):
            while not stop.is_set():
                print(s.recv_json())
        """,
        """
        s = context.socket(zmq.SUB); s.connect("tcp://127.0.0.1:1")
        def run(stop):
            while not stop.is_set():
                try:
                    while s.poll(5):
                        print(s.recv_json())
                except ValueError:
                    continue
        """,
    ),
    (
        "ZF612",
        """
        s = context.socket(zmq.PULL); s.bind("tcp://127.0.0.1:1")
        while True:
            print(s.recv_json())
        """,
        """
        s = context.socket(zmq.PULL); s.bind("tcp://127.0.0.1:1")
        found = 0
        while found < 5:
            found += s.recv_json()
        while True:
            try:
                first = s.recv_json()
                break
            except zmq.Again:
                pass
        """,
    ),
    (
        "ZF606",
        's = context.socket(zmq.PUSH); s.connect("tcp://127.0.0.1:1"); s.send(b""); s.close(); context.term()',
        's = context.socket(zmq.PUSH); s.bind("tcp://127.0.0.1:1"); s.send(b""); s.close(); context.term()',
    ),
    (
        "ZF614",
        's = context.socket(zmq.ROUTER); s.bind("tcp://127.0.0.1:1"); who, empty, what = s.recv_multipart()',
        's = context.socket(zmq.ROUTER); s.bind("tcp://127.0.0.1:1"); who, *parts = s.recv_multipart()',
    ),
    (
        "ZF614",
        's = context.socket(zmq.PULL); s.bind("tcp://127.0.0.1:1"); parts = s.recv_multipart(); print(parts[1])',
        """
        s = context.socket(zmq.PULL); s.bind("tcp://127.0.0.1:1"); parts = s.recv_multipart()
        if len(parts) == 2:
            print(parts[1])
        """,
    ),
    (
        "ZF620",
        's = context.socket(zmq.SUB); s.connect("tcp://feed.example:1")',
        's = context.socket(zmq.SUB); s.curve_serverkey = os.environ["KEY"]; s.connect("tcp://feed.example:1")',
    ),
    (
        "ZF622",
        's = context.socket(zmq.PULL)\ns.bind("tcp://127.0.0.1:1")\ns.maxmsgsize = 1024',
        's = context.socket(zmq.PULL)\ns.maxmsgsize = 1024\ns.bind("tcp://127.0.0.1:1")\ns.linger = 0',
    ),
    (
        "ZF625",
        's = context.socket(zmq.SUB); s.conflate = 1; s.connect("tcp://127.0.0.1:1"); s.recv_multipart()',
        's = context.socket(zmq.SUB); s.conflate = 1; s.connect("tcp://127.0.0.1:1"); s.recv()',
    ),
    (
        "ZF630",
        's = context.socket(zmq.REP); s.curve_server = True; s.bind("tcp://*:1")',
        """
        from zmq.auth.thread import ThreadAuthenticator
        auth = ThreadAuthenticator(context); auth.configure_curve(domain="*", location="allowed")
        s = context.socket(zmq.REP); s.curve_server = True; s.bind("tcp://*:1")
        """,
    ),
    (
        "ZF632",
        "secret, public = zmq.curve_keypair()\ns = context.socket(zmq.REQ); s.curve_secretkey = secret",
        "public, secret = zmq.curve_keypair()\ns = context.socket(zmq.REQ); s.curve_secretkey = secret",
    ),
    (
        "ZF632",
        's = context.socket(zmq.REQ); s.curve_serverkey = os.environ["K"]; s.curve_server = True',
        """
        def lock(s, serves):
            if serves:
                s.curve_server = True
            else:
                s.curve_serverkey = os.environ["K"]
        lock(context.socket(zmq.REQ), False)
        """,
    ),
    (
        "ZF633",
        f's = context.socket(zmq.REP); s.curve_secretkey = b"{KEY}"',
        's = context.socket(zmq.REP); s.curve_secretkey = os.environb[b"KEY"]',
    ),
    ("ZF633", f'SERVER_SECRET = "{KEY}"', f'SERVER_PUBLIC = "{KEY}"'),
    (
        "ZF633",
        's = context.socket(zmq.REQ); s.plain_password = b"hunter2"',
        's = context.socket(zmq.REQ); s.plain_password = open("password").read()',
    ),
    (
        "ZF640",
        's = context.socket(zmq.REQ); s.connect("tcp://127.0.0.1:1"); s.send(b""); s.recv()',
        's = context.socket(zmq.REQ); s.rcvtimeo = 500; s.connect("tcp://127.0.0.1:1"); s.send(b""); s.recv()',
    ),
    (
        "ZF640",
        's = context.socket(zmq.REQ); s.connect("tcp://127.0.0.1:1"); s.send(b""); s.recv()',
        's = context.socket(zmq.REQ); s.connect("tcp://127.0.0.1:1"); s.send(b"")\nif s.poll(500): s.recv()',
    ),
    (
        "ZF641",
        "s = context.socket(zmq.ROUTER); m = s.get_monitor_socket()",
        "s = context.socket(zmq.ROUTER); m = s.get_monitor_socket(); m.recv_multipart()",
    ),
    ("ZF642", "s = context.socket(zmq.PUB); s.setsockopt(zmq.DROP, 1)", "s = context.socket(zmq.PUB); s.sndhwm = 5"),
    (
        "ZF605",
        's = context.socket(zmq.PUB); s.sndhwm = 10 * 1024 * 1024; s.bind("tcp://127.0.0.1:1")',
        's = context.socket(zmq.PUB); s.sndhwm = 10 * 1024; s.bind("tcp://127.0.0.1:1")',
    ),
    (
        "ZF644",
        "s = context.socket(zmq.REP); s.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 60)",
        "s = context.socket(zmq.REP); s.setsockopt(zmq.TCP_KEEPALIVE, 1); s.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 60)",
    ),
    (
        "ZF644",
        "s = context.socket(zmq.REP); s.heartbeat_timeout = 900",
        "s = context.socket(zmq.REP); s.heartbeat_ivl = 300; s.heartbeat_timeout = 900",
    ),
    ("ZF644", "context.set(zmq.MAX_MSGSZ, 4096)", "context.set(zmq.MAX_SOCKETS, 4096)"),
    ("ZF644", "s = context.socket(zmq.REP); s.conflate = True", "s = context.socket(zmq.SUB); s.conflate = True"),
    ("ZF644", "s = context.socket(zmq.PULL); s.sndhwm = 5", "s = context.socket(zmq.PULL); s.rcvhwm = 5"),
    (
        "ZF644",
        "s = context.socket(zmq.PULL)\ncontext.linger = 0",
        "context.linger = 0\ns = context.socket(zmq.PULL)",
    ),
    (
        "ZF644",
        "s = context.socket(zmq.PULL)\ncontext.set(zmq.IO_THREADS, 4)\nt = context.socket(zmq.PULL)",
        "context.set(zmq.IO_THREADS, 4)\ns = context.socket(zmq.PULL)",
    ),
    (
        "ZF645",
        TWO.format("o.maxmsgsize = 99"),
        TWO.format("o.maxmsgsize = s.maxmsgsize = 99"),
    ),
    ("ZF645", TWO.format("s.curve_server = True"), TWO.format("s.curve_server = True; o.curve_serverkey = KEY")),
    ("ZF645", TWO.format("s.heartbeat_ivl = 900"), TWO.format("s.heartbeat_ivl = o.heartbeat_ivl = 900")),
    ("ZF649", 'OPTIONS = {"ZMQ_DROP": 1}', 'OPTIONS = {"ZMQ_SNDHWM": 1}'),
    ("ZF649", 'TRANSPORT = "zmq:curve"', 'TRANSPORT = "tcp"'),
    (
        "ZF643",
        's = context.socket(zmq.SUB); s.connect("curve://feed.example:1")',
        's = context.socket(zmq.SUB); s.connect("tcp://feed.example:1")',
    ),
]
