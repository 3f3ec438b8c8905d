"""Virtual boards: byte-exact slaves on real pseudo terminals, made from the profiles' simulators."""

from firmware_bridge.virtual.board import CoilEvent, Fault, VirtualBoard
from firmware_bridge.virtual.line import VirtualLine
from firmware_bridge.virtual.rig import Rig
from firmware_bridge.virtual.stream import StreamLine, VirtualStream

__all__ = [
    "CoilEvent",
    "Fault",
    "Rig",
    "StreamLine",
    "VirtualBoard",
    "VirtualLine",
    "VirtualStream",
]
