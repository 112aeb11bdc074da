"""Records the ZeroMQ sockets of the program that it runs in, and may set options of theirs. Standard library only.

Contract: armed by :func:`begin` where ``ZMQFUZZ_SHIM`` names a folder; ``zmq.Socket`` and ``zmq.Context`` are wrapped
when the program has imported zmq. Each process appends JSON lines to a file of its own, one write a line, and keeps no
descriptor open. Nothing that goes wrong here reaches the program; what the program's own signal handlers raise while
we are at work does. Secrets (CURVE_SECRETKEY, passwords) are not written. What is kept does not grow with the number
of sockets.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from zmqfuzz.shim import zmqfuzz_shim_once as once
    from zmqfuzz.shim import zmqfuzz_shim_record as record
else:  # in the program: its folder was on the path when this was imported
    import zmqfuzz_shim_once as once
    import zmqfuzz_shim_record as record

_NAMES = """
    MAXMSGSIZE SNDHWM RCVHWM LINGER HANDSHAKE_IVL HEARTBEAT_IVL HEARTBEAT_TIMEOUT HEARTBEAT_TTL TCP_KEEPALIVE
    TCP_KEEPALIVE_IDLE TCP_KEEPALIVE_CNT TCP_KEEPALIVE_INTVL TCP_MAXRT MECHANISM ZAP_DOMAIN CURVE_SERVER PLAIN_SERVER
    RCVTIMEO SNDTIMEO SNDBUF RCVBUF BACKLOG IPV6 IMMEDIATE CONFLATE RECONNECT_IVL RECONNECT_IVL_MAX CONNECT_TIMEOUT
"""

READ = _NAMES.split()
"""Read back at each bind and connect. EVENTS and FD are not: reading them acts on the socket."""

_SECRET = ("CURVE_SECRETKEY", "PLAIN_PASSWORD", "SOCKS_PASSWORD", "WSS_KEY_PEM")


def begin() -> None:
    """Arm it, once a process. May raise: whoever calls swallows it."""
    folder = os.environ.get("ZMQFUZZ_SHIM")
    if not folder or record.state is not None:
        return
    state = record.State(folder)
    order = os.environ.get("ZMQFUZZ_SHIM_SET")
    if order:
        state.inject = json.loads(order)
    record.state = state
    sys.meta_path.insert(0, _Finder())
    record.quiet(record.write, {"event": "process"})


def _number(socket: Any, new: bool = False) -> int:
    """The socket's number in this process, the same for its shadows."""
    state, key = record.state, int(socket.underlying)
    if new or key not in state.numbers:
        state.count += 1
        state.numbers[key] = state.count
    return int(state.numbers[key])


def _context(context: Any, new: bool = False) -> int:
    """The context's number in this process, the same for its shadows: addresses are used again."""
    state, key = record.state, int(context.underlying)
    if new or key not in state.contexts:
        state.made += 1
        state.contexts[key] = state.made
    return int(state.contexts[key])


def _kind(socket: Any) -> str:
    return str(record.state.zmq.SocketType(record.state.base.get(socket, record.state.zmq.TYPE)).name)


def _record(event: str, socket: Any, **more: Any) -> None:
    place = record.place()
    if not record.is_due(event, more.get("option"), *(place or ())):
        return
    whole = {"event": event, "socket": _number(socket), "type": _kind(socket), "place": place}
    context = getattr(socket, "context", None)
    whole["context"] = _context(context) if context is not None else 0
    whole.update(more)
    record.write(whole)


def _created(socket: Any) -> None:
    _number(socket, new=True)
    _record("create", socket)
    if type(socket).__module__ == "zmq.sugar.socket" and _kind(socket) == "REQ":  # others have timeouts around them
        _once(socket, "waits", "recv")
        _once(socket, "polled", "poll")


def _options(socket: Any) -> dict[str, Any]:
    found = {}
    for name in READ:
        option = getattr(record.state.zmq, name, None)
        try:
            if option is not None:
                found[name] = record.plain(record.state.base.get(socket, option))
        except Exception as error:  # this libzmq does not have it, or does not tell it
            if record.of_others(error):
                raise
    return found


def _opened(socket: Any, verb: str, address: Any, options: Any) -> None:
    endpoint = record.shown(record.state.base.get(socket, record.state.zmq.LAST_ENDPOINT))
    import resource

    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    _record(verb, socket, given=record.plain(address), endpoint=endpoint, options=options or {}, files=files)


def _inject(socket: Any, verb: str, address: Any) -> None:
    """Set what we were told to, on a socket that it is meant for, and write down whether libzmq took it."""
    order = record.state.inject
    text = address.decode("latin-1") if isinstance(address, bytes) else str(address)
    if not order or text.startswith("inproc:") or (order["verb"] and order["verb"] != verb):
        return
    if order["kind"] and order["kind"] != _kind(socket):
        return
    for name, value in order["set"]:
        failure = ""
        try:
            option = getattr(record.state.zmq, name)
            record.state.base.set(socket, option, value.encode("utf-8") if isinstance(value, str) else value)
        except Exception as error:
            if record.of_others(error):
                raise
            failure = f"{type(error).__name__}: {error}"
        _record("injected", socket, option=name, value=value, error=failure)


def _was_set(socket: Any, option: Any, value: Any) -> None:
    name = record.state.names.get(int(option), str(int(option)))
    if name not in ("SUBSCRIBE", "UNSUBSCRIBE"):
        _record("set", socket, option=name, value="(hidden)" if name in _SECRET else record.plain(value))
    if name == "CONFLATE" and value:
        _once(socket, "parts", "send_multipart", "recv_multipart")


def _was_refused(socket: Any, option: Any, value: Any, error: Exception) -> None:
    number = int(option) if isinstance(option, int) else None
    name = record.state.names.get(number, str(option)) if number is not None else str(option).upper()
    _record("refused", socket, option=name, value="", error=str(error), known=number in record.state.names)


def _polled(socket: Any) -> None:
    if _number(socket) in record.state.monitors or _kind(socket) == "REQ":
        _record("polled", socket, option="register")


def _watched(monitor: Any, of: Any) -> None:
    """A monitor's socket: its first reading is told, whichever way it is read."""
    if _number(monitor) in record.state.monitors:
        return
    record.state.monitors.add(_number(monitor))
    _record("monitor", monitor, of=_number(of))
    _once(monitor, "polled", "recv", "recv_multipart", "poll", "get", "getsockopt", "fileno")


def _once(socket: Any, event: str, *methods: str) -> None:
    once.watch(socket, methods, functools.partial(_first, event))


def _first(event: str, socket: Any, method: str, args: Any, kwargs: Any) -> None:
    more: dict[str, Any] = {"option": method}
    if event == "waits":
        flags = args[0] if args else kwargs.get("flags", 0)
        limit = record.state.base.get(socket, record.state.zmq.RCVTIMEO)
        more["value"] = int(limit == -1 and not int(flags) & int(record.state.zmq.NOBLOCK))
    _record(event, socket, **more)


def _closing(socket: Any, linger: Any) -> None:
    if socket.closed:
        return
    left = record.state.base.get(socket, record.state.zmq.LINGER) if linger is None else linger
    frame: Any = sys._getframe(3)
    collected = False
    while frame is not None and record.is_plumbing(frame.f_code.co_filename):
        collected = collected or frame.f_code.co_name == "__del__"
        frame = frame.f_back
    _record("close", socket, linger=record.plain(left), collected=collected)
    record.state.monitors.discard(record.state.numbers.pop(int(socket.underlying), None))


def _set_of_context(context: Any, option: Any, value: Any, default: bool = False) -> None:
    """``default``: pyzmq gives it to the sockets that the context makes afterwards."""
    names: Any = getattr(record.state.zmq, "SocketOption" if default else "ContextOption", ())
    name = next((str(each.name) for each in names if int(each) == int(option)), str(int(option)))
    place = record.place()
    if record.is_due("context", name, *(place or ())):
        shown = "(hidden)" if name in _SECRET else record.plain(value)
        whole = {"event": "context", "context": _context(context), "option": name, "value": shown}
        record.write(dict(whole, place=place, default=default))


def _wrap(zmq: Any) -> None:
    """Wrap the Python classes of pyzmq; their compiled bases cannot be changed."""
    state = record.state
    state.zmq, state.base = zmq, zmq.backend.Socket
    options: Any = getattr(zmq, "SocketOption", ())
    for name in dir(zmq):
        number: Any = getattr(zmq, name)
        if name.isupper() and isinstance(number, options):
            state.names.setdefault(int(number), number.name)
    versions = {"pyzmq": zmq.__version__, "libzmq": zmq.zmq_version()}
    record.write({"event": "zmq", "versions": versions, "file": zmq.__file__})
    owner = zmq.Socket
    made, binds, connects = owner.__init__, owner.bind, owner.connect
    sets, closes, unpickles, context_sets = owner.set, owner.close, owner.recv_pyobj, zmq.Context.set
    attributes, monitors, registers = owner.__setattr__, owner.get_monitor_socket, zmq.Poller.register
    gives, begins = zmq.Context.setsockopt, zmq.Context.__init__
    gives_attribute: Any = getattr(zmq.Context, "_set_attr_opt", None)

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        if not getattr(self, "_shadow", False):
            record.quiet(_created, self)

    def bind(self: Any, addr: Any) -> Any:
        record.quiet(_inject, self, "bind", addr)
        options = record.quiet(_options, self)
        result = binds(self, addr)
        record.quiet(_opened, self, "bind", addr, options)
        return result

    def connect(self: Any, addr: Any) -> Any:
        record.quiet(_inject, self, "connect", addr)
        options = record.quiet(_options, self)
        result = connects(self, addr)
        record.quiet(_opened, self, "connect", addr, options)
        return result

    def set_option(self: Any, option: Any, optval: Any) -> Any:
        try:
            result = sets(self, option, optval)
        except Exception as error:
            record.quiet(_was_refused, self, option, optval, error)
            raise
        record.quiet(_was_set, self, option, optval)
        return result

    def close(self: Any, linger: Any = None) -> Any:
        record.quiet(_closing, self, linger)
        return closes(self, linger)

    def recv_pyobj(self: Any, *args: Any, **kwargs: Any) -> Any:
        record.quiet(_record, "pyobj", self)
        return unpickles(self, *args, **kwargs)

    def set_of_context(self: Any, option: Any, optval: Any) -> Any:
        result = context_sets(self, option, optval)
        record.quiet(_set_of_context, self, option, optval)
        return result

    def set_attribute(self: Any, key: str, value: Any) -> None:
        try:
            attributes(self, key, value)
        except AttributeError as error:
            record.quiet(_was_refused, self, key, value, error)
            raise

    def get_monitor_socket(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = monitors(self, *args, **kwargs)
        record.quiet(_watched, result, self)
        return result

    def register(self: Any, socket: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(socket, owner):
            record.quiet(_polled, socket)
        return registers(self, socket, *args, **kwargs)

    def context_init(self: Any, *args: Any, **kwargs: Any) -> None:
        begins(self, *args, **kwargs)
        if not getattr(self, "_shadow", False):
            record.quiet(_context, self, True)

    def default_of_context(self: Any, opt: Any, value: Any) -> None:
        gives(self, opt, value)
        record.quiet(_set_of_context, self, opt, value, True)

    def attribute_of_context(self: Any, name: str, opt: Any, value: Any) -> None:
        gives_attribute(self, name, opt, value)
        if name in getattr(zmq.SocketOption, "__members__", ()):
            record.quiet(_set_of_context, self, opt, value, True)

    _dress(owner, "__init__", init)
    _dress(owner, "bind", bind)
    _dress(owner, "connect", connect)
    _dress(owner, "set", set_option)
    owner.setsockopt = owner.set
    _dress(owner, "close", close)
    _dress(owner, "recv_pyobj", recv_pyobj)
    _dress(owner, "__setattr__", set_attribute)
    _dress(owner, "get_monitor_socket", get_monitor_socket)
    _dress(zmq.Poller, "register", register)
    _dress(zmq.Context, "__init__", context_init)
    _dress(zmq.Context, "set", set_of_context)
    _dress(zmq.Context, "setsockopt", default_of_context)
    if gives_attribute is not None:
        _dress(zmq.Context, "_set_attr_opt", attribute_of_context)


def _dress(owner: Any, name: str, function: Any) -> None:
    """Put ``function`` in the place of a method, looking like it."""
    before = getattr(owner, name)
    for attribute in ("__name__", "__qualname__", "__doc__", "__module__"):
        try:
            setattr(function, attribute, getattr(before, attribute))
        except Exception:
            pass
    function.__wrapped__ = before
    setattr(owner, name, function)


class _Finder:
    """Stands first on ``sys.meta_path`` until zmq has been imported; finds nothing itself."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        """The others' spec of zmq, with a loader that wraps it at the end; None for all else."""
        return record.quiet(_prepared, name, path, target) if name == "zmq" else None


def _prepared(name: str, path: Any, target: Any) -> Any:
    finders = [each for each in sys.meta_path if not isinstance(each, _Finder) and hasattr(each, "find_spec")]
    spec: Any = next(filter(None, (each.find_spec(name, path, target) for each in finders)), None)
    if spec is None:
        return None
    loader, run = spec.loader, spec.loader.exec_module

    def exec_module(module: Any) -> None:
        run(module)
        loader.__dict__.pop("exec_module", None)
        sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, _Finder)]
        record.quiet(_wrap, module)

    loader.exec_module = exec_module
    return spec
