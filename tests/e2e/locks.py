#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Locks through two mounts: actors are processes that do one call after another; what waits is seen in `stria locks`, not guessed by time."""
import ctypes, errno, fcntl, json, os, pickle, signal, socket, struct, subprocess, sys, time

A, B, STRIA = sys.argv[1], sys.argv[2], sys.argv[3]
F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW = 36, 37, 38
READ, WRITE, FREE = fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK
PATIENCE_S = 120  # only so that a defect ends the test; nothing is judged by time
number = 0


def fail(text):
    print("FAILED: " + text, file=sys.stderr)
    for actor in Actor.all:
        actor.kill()
    sys.exit(1)


def check(what, got, expected):
    if got != expected:
        fail("%s: %r, expected %r" % (what, got, expected))


class Interrupted(Exception):
    pass


in_call = False


def on_alarm(signum, frame):
    if in_call:
        raise Interrupted()


class Actor:
    """A process of its own. do() sends a call and waits for its result; start() does not wait, end() does."""
    all = []

    def __init__(self):
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            for other in Actor.all:
                other.sock.close()
            signal.signal(signal.SIGALRM, on_alarm)
            try:
                Worker(theirs).serve()
            except ConnectionError:
                pass  # the test has failed
            os._exit(0)
        theirs.close()
        self.sock = ours
        self.sock.settimeout(PATIENCE_S)
        Actor.all.append(self)

    def start(self, name, *args):
        self.sock.send(pickle.dumps((name, args)))

    def end(self):
        try:
            return pickle.loads(self.sock.recv(65536))
        except socket.timeout:
            fail("a call did not return")

    def do(self, name, *args):
        self.start(name, *args)
        return self.end()

    def kill(self):
        if self in Actor.all:
            Actor.all.remove(self)
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.sock.close()


class Worker:
    def __init__(self, sock):
        self.sock = sock
        self.children = []

    def serve(self):
        while True:
            message = self.sock.recv(65536)
            if not message:
                return
            name, args = pickle.loads(message)
            global in_call
            try:
                in_call = True
                result = getattr(self, name)(*args)
                in_call = False
            except OSError as error:
                result = "EDEADLK" if error.errno == errno.EDEADLK else errno.errorcode[error.errno]
            except Interrupted:
                result = "EINTR"
            in_call = False
            self.sock.send(pickle.dumps(result))

    def open(self, path, flags=os.O_RDWR):
        return os.open(path, flags | os.O_CREAT, 0o644)

    def close(self, fd):
        os.close(fd)

    def dup(self, fd):
        return os.dup(fd)

    def flock(self, fd, how):
        fcntl.flock(fd, how)

    def lock(self, fd, kind, start=0, length=0, wait=False):
        fcntl.lockf(fd, {READ: fcntl.LOCK_SH, WRITE: fcntl.LOCK_EX, FREE: fcntl.LOCK_UN}[kind] | (0 if wait or kind == FREE else fcntl.LOCK_NB),
                    length, start)

    def ofd(self, fd, kind, start=0, length=0, wait=False):
        fcntl.fcntl(fd, F_OFD_SETLKW if wait else F_OFD_SETLK, struct.pack("hhqqi4x", kind, 0, start, length, 0))

    def test(self, fd, kind, start=0, length=0, command=fcntl.F_GETLK):
        kind, _, start, length, pid = struct.unpack("hhqqi4x", fcntl.fcntl(fd, command, struct.pack("hhqqi4x", kind, 0, start, length, 0)))
        return (kind, start, length, pid) if kind != FREE else None

    def write(self, fd, text):
        return os.pwrite(fd, text, 0)

    def fork(self):
        """A child that has inherited everything and does nothing until it is told to end."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        os.close(reader)
        self.children.append((pid, writer))

    def end_child(self):
        pid, writer = self.children.pop()
        os.close(writer)
        os.waitpid(pid, 0)


def actors(count=2):
    global number
    number += 1
    for actor in list(Actor.all):
        actor.kill()
    everybody = [Actor() for _ in range(count)]
    fds = [actor.do("open", (A, B)[i % 2] + "/lock%d" % number) for i, actor in enumerate(everybody)]
    return everybody, fds


def locks(mount=A):
    answer = subprocess.run([STRIA, "locks", "--json", mount + "/lock%d" % number], check=True, stdout=subprocess.PIPE).stdout
    return json.loads(answer)[0]["locks"]


def waiters(count, **kind):
    """Until so many wait."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = [lock for lock in locks() if lock["state"] == "waits" and all(lock[key] == value for key, value in kind.items())]
        if len(found) == count:
            return found
        if time.monotonic() > deadline:
            fail("%d wait, expected %d" % (len(found), count))


def becomes_free(actor, *call):
    """What ends with the last close of a file is not there any more a moment after it: the kernel tells it by the way."""
    deadline = time.monotonic() + PATIENCE_S
    while (result := actor.do(*call)) == "EAGAIN":
        if time.monotonic() > deadline:
            fail("it never becomes free")
    check("the lock at last", result, None)


EX, SH, UN, NB = fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_UN, fcntl.LOCK_NB


def locks_exclude_across_mounts_and_within_one():
    (a, b, c), (fa, fb, fc) = actors(3)
    check("flock", a.do("flock", fa, EX), None)
    for who, fd in ((b, fb), (c, fc)):
        check("flock of another", who.do("flock", fd, SH | NB), "EAGAIN")
        check("a POSIX lock beside flock", who.do("lock", fd, WRITE, 10 * fd, 5), None)
        check("unlock", who.do("lock", fd, FREE), None)
    check("flock UN", a.do("flock", fa, UN), None)
    check("flock SH", b.do("flock", fb, SH | NB), None)
    check("two share", c.do("flock", fc, SH | NB), None)
    check("EX among them", a.do("flock", fa, EX | NB), "EAGAIN")
    check("POSIX", a.do("lock", fa, WRITE, 0, 10), None)
    for who, fd in ((b, fb), (c, fc)):
        check("POSIX of another", who.do("lock", fd, READ, 9, 1), "EAGAIN")
        check("OFD against POSIX", who.do("ofd", fd, READ, 9, 1), "EAGAIN")
        check("POSIX beside it", who.do("lock", fd, READ, 10, 0), None)
        holder = who.do("test", fd, WRITE, 0, 5)
        check("F_GETLK", holder[:3], (WRITE, 0, 10))
        check("its pid", holder[3], a.pid if who is c else 0)
    check("F_GETLK beside it", b.do("test", fb, READ, 10, 5), None)


def a_waiter_is_woken_in_order_of_arrival():
    (a, b, c), (fa, fb, fc) = actors(3)
    for call, free in ((("flock", EX), ("flock", UN)), (("lock", WRITE, 5, 5, True), ("lock", FREE)), (("ofd", WRITE, 5, 5, True), ("ofd", FREE))):
        check("the first", a.do(call[0], fa, *call[1:]), None)
        b.start(call[0], fb, *call[1:])
        waiters(1)
        c.start(call[0], fc, *call[1:])
        waiters(2)
        check("unlock", a.do(free[0], fa, *free[1:]), None)
        check("who came first", b.end(), None)
        waiters(1)
        check("unlock", b.do(free[0], fb, *free[1:]), None)
        check("who came second", c.end(), None)
        check("unlock", c.do(free[0], fc, *free[1:]), None)
        check("locks left", locks(), [])


def a_signal_ends_a_wait():
    (a, b), (fa, fb) = actors()
    for call, free in ((("flock", EX), ("flock", UN)), (("lock", WRITE, 0, 0, True), ("lock", FREE)), (("ofd", WRITE, 0, 0, True), ("ofd", FREE))):
        check("held", a.do(call[0], fa, *call[1:]), None)
        b.start(call[0], fb, *call[1:])
        waiters(1)
        os.kill(b.pid, signal.SIGALRM)
        check("interrupted", b.end(), "EINTR")
        waiters(0)
        check("unlock", a.do(free[0], fa, *free[1:]), None)
        check("nobody has it", locks(), [])
    # the same while it is being granted: whatever comes of it, nothing is left behind
    for i in range(40):
        check("held", a.do("lock", fa, WRITE), None)
        b.start("lock", fb, WRITE, 0, 0, True)
        waiters(1)
        a.start("lock", fa, FREE)
        os.kill(b.pid, signal.SIGALRM)
        a.end()
        result = b.end()
        check("unlock", b.do("lock", fb, FREE), None)
        if result not in (None, "EINTR"):
            fail("a wait that was interrupted and granted: %r" % result)
        becomes_free(a, "lock", fa, WRITE)
        check("unlock", a.do("lock", fa, FREE), None)


def a_deadlock_is_told():
    (a, b, c), (fa, fb, fc) = actors(3)
    for i, (who, fd) in enumerate(((a, fa), (b, fb), (c, fc))):
        check("own", who.do("lock", fd, WRITE, i, 1), None)
    a.start("lock", fa, WRITE, 1, 1, True)
    waiters(1)
    b.start("lock", fb, WRITE, 2, 1, True)
    waiters(2)
    check("the third of a ring", c.do("lock", fc, WRITE, 0, 1, True), "EDEADLK")
    check("unlock", c.do("lock", fc, FREE), None)
    check("b goes on", b.end(), None)
    check("unlock", b.do("lock", fb, FREE), None)
    check("a goes on", a.end(), None)
    # open files: no ring is looked for, as in Linux
    (a, b), (fa, fb) = actors()
    check("own", a.do("ofd", fa, WRITE, 0, 1), None)
    check("own", b.do("ofd", fb, WRITE, 1, 1), None)
    a.start("ofd", fa, WRITE, 1, 1, True)
    waiters(1, kind="ofd")
    b.start("ofd", fb, WRITE, 0, 1, True)
    waiters(2, kind="ofd")
    os.kill(b.pid, signal.SIGALRM)
    check("interrupted", b.end(), "EINTR")


def kill_9_of_a_holder_releases():
    for call in (("flock", EX), ("lock", WRITE, 0, 0, True), ("ofd", WRITE, 0, 0, True)):
        (a, b), (fa, fb) = actors()
        check("held", a.do(call[0], fa, *call[1:]), None)
        b.start(call[0], fb, *call[1:])
        waiters(1)
        a.kill()
        check("the waiter has it", b.end(), None)
        (a, b, c), (fa, fb, fc) = actors(3)
        check("held", a.do(call[0], fa, *call[1:]), None)
        b.start(call[0], fb, *call[1:])
        waiters(1)
        b.kill() # one who waits
        waiters(0)
        check("unlock", a.do("flock", fa, UN) if call[0] == "flock" else a.do(call[0], fa, FREE), None)
        becomes_free(c, call[0], fc, *(call[1:] if call[0] != "flock" else (EX | NB,)))


def ranges_split_and_join_and_weaken():
    (a, b), (fa, fb) = actors()
    check("100 bytes", a.do("lock", fa, WRITE, 0, 100), None)
    check("a hole", a.do("lock", fa, FREE, 40, 20), None)
    check("in the hole", b.do("lock", fb, WRITE, 40, 20), None)
    check("before it", b.do("lock", fb, READ, 39, 1), "EAGAIN")
    check("behind it", b.do("lock", fb, READ, 60, 1), "EAGAIN")
    check("the table", [(lock["start"], lock["end"]) for lock in locks()], [(0, 39), (60, 99), (40, 59)])
    check("the hole is given back", b.do("lock", fb, FREE), None)
    check("and closed", a.do("lock", fa, WRITE, 40, 20), None)
    check("one range", [(lock["start"], lock["end"]) for lock in locks()], [(0, 99)])
    check("weaker", a.do("lock", fa, READ, 50, 0), None)
    check("readers come in", b.do("lock", fb, READ, 50, 10), None)
    check("writers do not", b.do("lock", fb, WRITE, 60, 1), "EAGAIN")
    check("stronger again is refused", a.do("lock", fa, WRITE, 50, 1), "EAGAIN")
    check("and nothing is lost by it", b.do("lock", fb, WRITE, 50, 1), "EAGAIN")
    check("unlock", b.do("lock", fb, FREE), None)
    check("stronger", a.do("lock", fa, WRITE, 50, 1), None)
    # flock gives the old lock up before it asks for the other
    check("flock SH", a.do("flock", fa, SH), None)
    check("flock SH", b.do("flock", fb, SH), None)
    check("conversion", a.do("flock", fa, EX | NB), "EAGAIN")
    check("a has lost it", b.do("flock", fb, EX | NB), None)


def close_and_fork_do_what_they_do():
    (a, b), (fa, fb) = actors()
    path = A + "/lock%d" % number
    for flags in (os.O_RDWR, os.O_RDONLY):
        check("POSIX", a.do("lock", fa, WRITE), None)
        other = a.do("open", path, flags)
        check("held", b.do("lock", fb, READ), "EAGAIN")
        check("close of another descriptor", a.do("close", other), None)
        check("has ended it", b.do("lock", fb, READ), None)
        check("unlock", b.do("lock", fb, FREE), None)
    check("POSIX", a.do("lock", fa, WRITE), None)
    check("fork", a.do("fork"), None)
    check("close", a.do("close", fa), None)
    check("a child has none of it", b.do("lock", fb, WRITE), None)
    check("the end of a child", a.do("end_child"), None)
    check("unlock", b.do("lock", fb, FREE), None)
    for name, take in (("flock", (EX,)), ("ofd", (WRITE,))):
        busy = ("flock", fb, EX | NB) if name == "flock" else ("ofd", fb, WRITE)
        free = ("flock", fb, UN) if name == "flock" else ("ofd", fb, FREE)
        fa = a.do("open", path)
        check(name, a.do(name, fa, *take), None)
        twin = a.do("dup", fa)
        check("close of one of two", a.do("close", fa), None)
        check("it is held", b.do(*busy), "EAGAIN")
        other = a.do("open", path)
        check("close of another open file", a.do("close", other), None)
        check("it is held", b.do(*busy), "EAGAIN")
        check("fork", a.do("fork"), None)
        check("close", a.do("close", twin), None)
        check("the child holds it", b.do(*busy), "EAGAIN")
        check("the end of the child", a.do("end_child"), None)
        becomes_free(b, *busy)
        check("unlock", b.do(*free), None)
        fa = a.do("open", path)
        twin = a.do("dup", fa)
        check(name, a.do(name, fa, *take), None)
        check("unlock by its twin", a.do(name, twin, UN if name == "flock" else FREE), None)
        check("it is free", b.do(*busy), None)
        check("unlock", b.do(*free), None)


def many_wait_at_once():
    everybody, fds = actors(24)
    check("held", everybody[0].do("lock", fds[0], WRITE), None)
    for who, fd in zip(everybody[1:], fds[1:]):
        who.start("lock", fd, WRITE, 0, 0, True)
    waiters(23)
    check("unlock", everybody[0].do("lock", fds[0], FREE), None)
    left = {who.sock: (who, fd) for who, fd in zip(everybody[1:], fds[1:])}
    while left:
        holders = [lock for lock in locks() if lock["state"] == "held"]
        if len(holders) > 1:
            fail("two hold it: %r" % holders)
        for who, fd in list(left.values()):
            if any(lock["pid"] == who.pid for lock in holders):
                check("its turn", who.end(), None)
                check("unlock", who.do("lock", fd, FREE), None)
                del left[who.sock]


def the_table_is_printed():
    (a, b), (fa, fb) = actors()
    check("held", a.do("lock", fa, WRITE, 7, 3), None)
    check("held", b.do("ofd", fb, READ, 100), None)
    b.start("lock", fb, READ, 0, 8, True)
    waiters(1)
    path = B + "/lock%d" % number
    text = subprocess.run([STRIA, "locks", path], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    check("titles", text[0].split(), ["STATE", "KIND", "TYPE", "BYTES", "CLIENT", "PID", "HOST:MOUNT"])
    check("rows", sorted(line.split()[:4] for line in text[1:]),
          [["held", "ofd", "read", "100-"], ["held", "posix", "write", "7-9"], ["waits", "posix", "read", "0-7"]])
    check("pids", {int(line.split()[5]) for line in text[1:]}, {a.pid, b.pid})
    check("mounts", {line.rsplit(":", 1)[1] for line in text[1:]}, {A, B})
    quiet = subprocess.run([STRIA, "locks", "-w", "-N", path], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    check("only who waits", [line.split()[0] for line in quiet], ["waits"])


def sqlite_counts(mounts, writers, rounds):
    import sqlite3
    name = "counter.db"
    db = sqlite3.connect(mounts[0] + "/" + name, isolation_level=None)
    db.execute("pragma journal_mode=delete")
    db.execute("create table t(id integer primary key, v integer)")
    db.execute("insert into t values(1, 0)")
    db.close()
    children = []
    for i in range(writers):
        pid = os.fork()
        if pid == 0:
            try:
                mine = sqlite3.connect(mounts[i % len(mounts)] + "/" + name, isolation_level=None, timeout=PATIENCE_S)
                for _ in range(rounds):
                    mine.execute("begin immediate")
                    value = mine.execute("select v from t where id=1").fetchone()[0]
                    mine.execute("update t set v=? where id=1", (value + 1,))
                    mine.execute("commit")
                os._exit(0)
            except sqlite3.Error as error:
                print("sqlite: %s" % error, file=sys.stderr)
                os._exit(1)
        children.append(pid)
    for pid in children:
        check("a writer of the data base", os.waitpid(pid, 0)[1], 0)
    for mount in mounts:
        db = sqlite3.connect(mount + "/" + name)
        check("the count", db.execute("select v from t").fetchone()[0], writers * rounds)
        check("integrity", db.execute("pragma integrity_check").fetchone()[0], "ok")
        db.close()


def sqlite_of_both_mounts_counts_right():
    sqlite_counts((A, B), 4, 25)


# ---- with the cluster's help: run_outside is a command that the shell gives us --------------------------------------


def outside(*words):
    subprocess.run([os.environ["LOCKS_OUTSIDE"], *words], check=True, stdout=subprocess.DEVNULL)


def a_restart_of_the_mdt_keeps_locks_and_queues():
    (a, b, c), (fa, fb, fc) = actors(3)
    check("flock", a.do("flock", fa, EX), None)
    check("POSIX", a.do("lock", fa, WRITE, 0, 10), None)
    check("POSIX", b.do("lock", fb, READ, 20, 10), None)
    b.start("lock", fb, WRITE, 5, 20, True)
    waiters(1)
    c.start("flock", fc, SH)
    waiters(2)
    outside("kill9", "mds0")
    outside("start", "mds0")
    waiters(2)
    other = Actor()
    fd = other.do("open", B + "/lock%d" % number)
    check("flock", other.do("flock", fd, SH | NB), "EAGAIN")
    check("POSIX", other.do("lock", fd, READ, 9, 1), "EAGAIN")
    check("POSIX", other.do("lock", fd, WRITE, 29, 1), "EAGAIN")
    check("beside", other.do("lock", fd, WRITE, 30, 1), None)
    check("unlock", a.do("lock", fa, FREE), None)
    check("the waiter", b.end(), None)
    check("unlock", a.do("flock", fa, UN), None)
    check("the other waiter", c.end(), None)


def an_interrupted_wait_ends_while_the_mdt_is_away():
    (a, b), (fa, fb) = actors()
    check("held", a.do("lock", fa, WRITE), None)
    b.start("lock", fb, WRITE, 0, 0, True)
    waiters(1)
    outside("kill9", "mds0")
    os.kill(b.pid, signal.SIGALRM)
    check("interrupted", b.end(), "EINTR")
    outside("start", "mds0")
    waiters(0)
    check("unlock", a.do("lock", fa, FREE), None)
    check("the next", b.do("lock", fb, WRITE), None)


def an_evicted_mount_has_lost_its_locks():
    (a, b), (fa, fb) = actors()
    check("held", b.do("lock", fb, WRITE), None)
    a.start("lock", fa, WRITE, 0, 0, True)
    victim = [lock["client"] for lock in locks() if lock["state"] == "held"][0]
    waiters(1)
    outside("evict", str(victim))
    check("the waiter has it", a.end(), None)
    deadline = time.monotonic() + PATIENCE_S
    while (result := b.do("lock", fb, READ, 1000, 1)) == "EAGAIN" and time.monotonic() < deadline:
        pass  # it has not heard of it yet, and asks as who it was
    check("a lock through a file that was open then", result, "EIO")
    check("unlock", a.do("lock", fa, FREE), None)
    fb = b.do("open", B + "/lock%d" % number)
    check("through a new one", b.do("lock", fb, WRITE), None)


tests = [locks_exclude_across_mounts_and_within_one, a_waiter_is_woken_in_order_of_arrival, a_signal_ends_a_wait, a_deadlock_is_told,
         kill_9_of_a_holder_releases, ranges_split_and_join_and_weaken, close_and_fork_do_what_they_do, many_wait_at_once,
         the_table_is_printed, sqlite_of_both_mounts_counts_right, a_restart_of_the_mdt_keeps_locks_and_queues,
         an_interrupted_wait_ends_while_the_mdt_is_away, an_evicted_mount_has_lost_its_locks]
wanted = sys.argv[4:]
for test in tests:
    if wanted and test.__name__ not in wanted:
        continue
    test()
    print("ok " + test.__name__, flush=True)
for actor in list(Actor.all):
    actor.kill()
