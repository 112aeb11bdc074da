"""What to throw: the catalogue of attack families. One file adds one; nothing in the engine imports them by name.

For a test of your own with Hypothesis' ``@given``, the same grammar as Hypothesis strategies::

    from zmqfuzz import strategies as zst
"""

from zmqfuzz.strategies.public import attacks, frames, greetings, messages, scripts
from zmqfuzz.strategies.scheduled import faults

__all__ = ["attacks", "faults", "frames", "greetings", "messages", "scripts"]
