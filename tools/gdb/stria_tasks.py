# SPDX-License-Identifier: Apache-2.0
"""gdb: list the tasks of a loop and where each parked one stands. Works on cores too: nothing is called, registers stay as they are.

  (gdb) source tools/gdb/stria_tasks.py
  (gdb) stria-tasks LOOP          LOOP: an expression of type struct loop *

A parked task's registers lie where jump_fcontext (Boost.Context, System V x86-64 and AAPCS64) saved them; from there the chain of frame pointers is
followed, which the build keeps."""
import gdb

SAVED = {  # architecture: (offset of the saved frame pointer, offset of the return address)
    "i386:x86-64": (0x30, 0x38),
    "aarch64": (0x90, 0x98),
}


def u64(address):
    return int.from_bytes(gdb.selected_inferior().read_memory(address, 8).tobytes(), "little")


def where(pc):
    line = gdb.find_pc_line(pc)
    function = gdb.block_for_pc(pc)
    while function is not None and function.function is None:
        function = function.superblock
    name = function.function.name if function is not None else "?"
    return "%s at %s:%d" % (name, line.symtab.filename, line.line) if line.symtab else hex(pc)


class Tasks(gdb.Command):
    def __init__(self):
        super().__init__("stria-tasks", gdb.COMMAND_STACK, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        loop = gdb.parse_and_eval(argument).dereference()
        task_type = gdb.lookup_type("struct task")
        offset = next(f.bitpos // 8 for f in task_type.fields() if f.name == "all_link")
        head = loop["tasks"]["head"].address
        node = loop["tasks"]["head"]["next"]
        while node != head:
            task = gdb.Value(int(node) - offset).cast(task_type.pointer()).dereference()
            print("task %s %s/%s %s" % (task["name"].string(), task["op"].string(), task["step"].string(), task["state"]))
            context = int(task["fiber"]["context"])
            if context != 0:
                self.backtrace(context, int(task["stack"]), int(loop["stacks"]["stack_bytes"]))
            node = node["next"]

    def backtrace(self, context, stack, stack_bytes):
        at_frame, at_pc = SAVED[gdb.selected_inferior().architecture().name()]
        frame, pc = u64(context + at_frame), u64(context + at_pc)
        for _ in range(64):
            print("    " + where(pc))
            if not stack <= frame < stack + stack_bytes - 16:
                break
            frame, pc = u64(frame), u64(frame + 8)


Tasks()
