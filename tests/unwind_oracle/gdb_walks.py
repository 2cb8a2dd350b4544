# SPDX-License-Identifier: Apache-2.0
"""Runs in gdb, not in a test: walks the stack wherever the oracle stops (oracle.h), and compares it with seep's walk.

GDB_WALKS names the file to write what was found to, as JSON; walker.py says how gdb is called. gdb has a walker of its
own: it reads debug information, too, and guesses by a function's first instructions where there is none. Must never
count a stop that it could not look at as one where nothing differs.
"""
import json
import os
import struct

import gdb

STOP_SIGNAL = "SIG64"
CUT_NAMES = ("whole", "depth limit", "no unwind information", "outside the stack", "bad unwind information")


def gdb_chain():
    """(pcs, why it ended): as seep's, an address inside the instruction that was executing in each frame. Frames of
    functions that were inlined, or have left by a tail call, are gdb's alone."""
    pcs = []
    is_exact = True
    frame = gdb.newest_frame()
    while True:
        if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            pcs.append(frame.pc() - (0 if is_exact else 1))
            is_exact = frame.type() == gdb.SIGTRAMP_FRAME
        older = frame.older()
        if older is None:
            return pcs, gdb.frame_stop_reason_string(frame.unwind_stop_reason())
        frame = older


def seep_chain():
    """(pcs, cut) as the oracle has them: a Chain, whose address is in r8."""
    memory = gdb.selected_inferior()
    address = int(gdb.newest_frame().read_register("r8"))
    pcs, count, cut = struct.unpack("<QIB", memory.read_memory(address, 13).tobytes())
    return list(struct.unpack(f"<{count}Q", memory.read_memory(pcs, 8 * count).tobytes())), CUT_NAMES[cut]


def without_oracle(pcs):
    """gdb starts deeper in the oracle than seep did."""
    at = 0
    while at < len(pcs) and "unwind_oracle.so" in (gdb.solib_name(pcs[at]) or ""):
        at += 1
    return pcs[at:]


def place(pc):
    text = gdb.execute(f"info symbol {pc:#x}", to_string=True).strip()
    return f"{pc:#x}" if text.startswith("No symbol") else text


def begins_fiber(pc):
    """Whether a frame's function was called by nobody, but put on a fiber's stack by makecontext: it returns to the
    first byte of __start_context, of which no table says anything. gdb goes on there, to what lies on the stack."""
    return gdb.execute(f"info symbol {pc + 1:#x}", to_string=True).startswith("__start_context in section")


def compare(found):
    theirs, reason = gdb_chain()
    ours, cut = seep_chain()
    theirs, ours = without_oracle(theirs), without_oracle(ours)
    found["stops"] += 1
    found["frames"] += len(theirs)
    if ours and len(theirs) > len(ours) and cut == "whole" and begins_fiber(ours[-1]):
        found["fibers"] += 1
        theirs, reason = theirs[:len(ours)], "outermost"
    if cut == "no unwind information":  # What follows is a guess of gdb's.
        found["guesses"] += 1
        theirs, reason = theirs[:len(ours)], "guessed"
    # A walk that gdb ends for want of a caller it calls unspecific ("no reason") or outermost; all else is trouble.
    gdb_is_whole = reason in ("no reason", "outermost")
    if theirs != ours or gdb_is_whole != (cut == "whole"):
        found["differences"].append({"seep": [*map(place, ours)], "seep ends": cut, "gdb": [*map(place, theirs)],
                                     "gdb ends": reason})


def main():
    found = {"stops": 0, "frames": 0, "fibers": 0, "guesses": 0, "differences": [], "error": None}
    stops = []
    gdb.events.stop.connect(lambda event: stops.append(getattr(event, "stop_signal", type(event).__name__)))
    try:
        gdb.execute("run")
        while gdb.selected_inferior().pid != 0:
            if stops[-1] == STOP_SIGNAL:
                compare(found)
                gdb.execute("continue")
            elif stops[-1] == "StopEvent":  # SIGTRAP of a single step, for which the oracle waits.
                gdb.execute("signal SIGTRAP")
            else:
                found["differences"].append({"gdb was stopped by": stops[-1]})
                break
    except gdb.error as error:  # As when the process ends while gdb sets its threads going.
        found["error"] = str(error)
    with open(os.environ["GDB_WALKS"], "w", encoding="utf-8") as file:
        json.dump(found, file, indent=1)


main()
