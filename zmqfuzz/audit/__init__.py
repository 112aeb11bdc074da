"""What a program's own sources say about its ZeroMQ sockets, against rules; nothing of the program is run.

Floors, from the top: reports, the auditor, the rules, lines and exposure, the inventory of sockets, the flow of values,
scopes, sources. A rule is a function in ``zmqfuzz/audit/rules/`` with the decorator ``rule``.
"""
