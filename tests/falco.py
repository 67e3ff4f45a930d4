# SPDX-License-Identifier: Apache-2.0
"""A second opinion on the rule language: what a condition means for an act, written from the language's description and not
from the daemon's code. Conditions are trees:

    ("and", a, b, ...)   ("or", a, b, ...)   ("not", a)   ("check", field, operator, [value, ...])

`text()` writes one as the language has it, `holds()` evaluates it. A field that the event does not have is None, and makes
every check of it false."""

import errno
import fnmatch
import ipaddress
import os
import re

ACCESS = {os.O_RDONLY: "O_RDONLY", os.O_WRONLY: "O_WRONLY", os.O_RDWR: "O_RDWR", 3: "O_RDWR"}
# Before the access, and behind it.
FLAGS = [(os.O_DIRECTORY, "O_DIRECTORY"), (os.O_DIRECT, "O_DIRECT"), (os.O_TRUNC, "O_TRUNC"), (os.O_SYNC, "O_SYNC"),
         (os.O_NONBLOCK, "O_NONBLOCK"), (os.O_EXCL, "O_EXCL"), (os.O_DSYNC, "O_DSYNC"), (os.O_APPEND, "O_APPEND"), (os.O_CREAT, "O_CREAT")]
FLAGS_BEHIND = [(os.O_CLOEXEC, "O_CLOEXEC"), (os.O_TMPFILE, "O_TMPFILE"), (os.O_NOFOLLOW, "O_NOFOLLOW"), (os.O_PATH, "O_PATH")]
LISTS = ("in", "intersects", "pmatch")
NUMBERS = ("fd.num", "evt.rawres", "fd.sport", "fd.rport", "user.uid", "proc.tty")
NETS = ("fd.snet", "fd.rnet")
MODES = (("S_IXOTH", 0o1), ("S_IWOTH", 0o2), ("S_IROTH", 0o4), ("S_IXGRP", 0o10), ("S_IWGRP", 0o20), ("S_IRGRP", 0o40), ("S_IXUSR", 0o100),
         ("S_IWUSR", 0o200), ("S_IRUSR", 0o400), ("S_ISVTX", 0o1000), ("S_ISGID", 0o2000), ("S_ISUID", 0o4000))


def normal(base, name):
    """`name`, started from `base`, without ".", ".." and doubled slashes."""
    parts = []
    for part in (name if name.startswith("/") else f"{base}/{name}").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def absolute(base, name):
    """The path that an argument shows: one that is absolute stays as it was given."""
    return normal(base, name) if name and not name.startswith("/") else name


def names(flags, table):
    return [text for bits, text in table if flags & bits == bits]


def fields(act):
    """What the language sees of an open: {call, base, name, flags, result, made, process, uid}."""
    name, flags, result = normal(act["base"], act["name"]), act["flags"], act["result"]
    access = flags & os.O_ACCMODE
    return {
        "evt.type": act["call"],
        "evt.res": "SUCCESS" if result >= 0 else errno.errorcode[-result],
        "evt.rawres": result,
        "evt.failed": result < 0,
        "evt.is_open_read": access in (os.O_RDONLY, os.O_RDWR),
        "evt.is_open_write": access in (os.O_WRONLY, os.O_RDWR),
        "evt.arg.flags": "|".join([*names(flags, FLAGS), ACCESS[access], *names(flags, FLAGS_BEHIND), *["O_F_CREATED"] * act["made"]]),
        "evt.arg.name": absolute(act["base"], act["name"]),
        "evt.rawarg.name": act["name"],
        "fd.num": max(result, -1),
        "fd.name": name,
        "fd.nameraw": act["name"],
        "fd.directory": name.rpartition("/")[0] or "/",
        "fd.filename": name.rpartition("/")[2],
        "proc.name": act["process"],
        "user.uid": act["uid"],
        "fd.sport": None,
    }


# Of calls with paths: the arguments, and whether each is made absolute.
PATHS = {
    "unlink": [("path", True)], "rmdir": [("path", True)], "mkdir": [("path", True)], "mkdirat": [("path", True)],
    "unlinkat": [("name", True)], "chmod": [("filename", True)], "fchmodat": [("filename", True)],
    "rename": [("oldpath", True), ("newpath", True)], "renameat2": [("oldpath", True), ("newpath", True)],
    "link": [("oldpath", True), ("newpath", True)], "linkat": [("oldpath", True), ("newpath", True)],
    "symlink": [("target", False), ("linkpath", True)], "symlinkat": [("target", False), ("linkpath", True)],
}
PATH_ARGS = sorted({arg for args in PATHS.values() for arg, _ in args})
SOCKETS = ("connect", "sendto", "dup2")


def call_fields(act):
    """What the language sees of another call: {call, result, process, uid, paths: [(base, name), ...], mode, end: {...}}."""
    result = act["result"]
    seen = dict.fromkeys([f"evt.{kind}.{arg}" for kind in ("arg", "rawarg") for arg in PATH_ARGS])
    seen.update(dict.fromkeys(("fd.sip", "fd.sport", "fd.rip", "fd.rport", "fd.snet", "fd.rnet", "fd.l4proto", "fd.typechar", "fd.type", "fd.connected",
                               "evt.arg.mode")))
    seen.update({"evt.type": act["call"], "evt.res": "SUCCESS" if result >= 0 else errno.errorcode[-result], "evt.rawres": result,
                 "evt.failed": result < 0, "proc.name": act["process"], "user.uid": act["uid"]})
    for (arg, from_base), (base, name) in zip(PATHS.get(act["call"], []), act.get("paths", [])):
        seen[f"evt.rawarg.{arg}"] = name
        seen[f"evt.arg.{arg}"] = absolute(base, name) if from_base else name
    if "mode" in act:
        seen["evt.arg.mode"] = "|".join(text for text, bit in MODES if act["mode"] & bit) or "0"
    seen.update(act.get("end", {}))
    return seen


# Of calls that are told by their arguments: what a number is called, or the bits that it is the sum of.
SIGNALS = {9: "SIGKILL", 10: "SIGUSR1", 15: "SIGTERM", 17: "SIGCHLD", 18: "SIGCONT", 23: "SIGURG", 28: "SIGWINCH"}
REQUESTS = {1: "PTRACE_PEEKTEXT", 4: "PTRACE_POKETEXT", 5: "PTRACE_POKEDATA", 7: "PTRACE_CONT", 13: "PTRACE_SETREGS", 16: "PTRACE_ATTACH",
            17: "PTRACE_DETACH", 0x4200: "PTRACE_SETOPTIONS", 0x4204: "PTRACE_GETREGSET", 0x4206: "PTRACE_SEIZE", 0x420b: "PTRACE_SETSIGMASK"}
PROT = {1: "PROT_READ", 2: "PROT_WRITE", 4: "PROT_EXEC", 8: "PROT_SEM", 1 << 24: "PROT_GROWSDOWN", 1 << 25: "PROT_GROWSUP"}
MAP = {1: "MAP_SHARED", 2: "MAP_PRIVATE", 0x10: "MAP_FIXED", 0x20: "MAP_ANONYMOUS", 0x40: "MAP_32BIT", 0x4000: "MAP_NORESERVE", 0x8000: "MAP_POPULATE"}
MOUNT = {1: "RDONLY", 2: "NOSUID", 32: "REMOUNT", 4096: "BIND", 16384: "REC", 1 << 18: "PRIVATE", 1 << 19: "SLAVE", 1 << 20: "SHARED", 1 << 25: "LAZYTIME"}
UMOUNT = {1: "FORCE", 2: "DETACH", 4: "EXPIRE", 8: "NOFOLLOW"}
MODULE = {1: "MODULE_INIT_IGNORE_MODVERSIONS", 2: "MODULE_INIT_IGNORE_VERMAGIC", 4: "MODULE_INIT_COMPRESSED_FILE"}
NUMBERS_OF = {
    "kill": {"sig": SIGNALS}, "tkill": {"sig": SIGNALS}, "tgkill": {"sig": SIGNALS}, "ptrace": {"request": REQUESTS},
    "mmap": {"prot": PROT, "flags": MAP}, "mprotect": {"prot": PROT}, "pkey_mprotect": {"prot": PROT},
    "mount": {"flags": MOUNT}, "umount2": {"flags": UMOUNT}, "finit_module": {"flags": MODULE}, "init_module": {}, "move_mount": {},
}
CALLED_NUMBERS = ("sig", "request", "prot", "flags")
CALLED_TEXTS = ("dev", "dir", "type", "name", "oldpath", "newpath", "uargs")


def called_fields(act):
    """What the language sees of a call that is told by its arguments: {call, result, process, uid, numbers: {name: value}, texts: {name: text},
    end: {...}}."""
    result = act["result"]
    seen = dict.fromkeys([f"evt.{kind}.{arg}" for kind in ("arg", "rawarg") for arg in CALLED_NUMBERS + CALLED_TEXTS])
    seen.update(dict.fromkeys(("fd.type", "fd.typechar", "fd.sport", "fd.name")))
    seen.update({"evt.type": act["call"], "evt.res": "SUCCESS" if result >= 0 else errno.errorcode[-result], "evt.rawres": result,
                 "evt.failed": result < 0, "proc.name": act["process"], "user.uid": act["uid"]})
    for arg, value in act.get("numbers", {}).items():
        table, named = NUMBERS_OF[act["call"]][arg], value
        if table is MOUNT and named >> 16 == 0xc0ed:
            named &= 0xffff
        words = table.get(value) if table is SIGNALS or table is REQUESTS else "|".join(word for bit, word in table.items() if named & bit)
        seen[f"evt.rawarg.{arg}"] = str(value)
        seen[f"evt.arg.{arg}"] = words or str(value)
    for arg, text_ in act.get("texts", {}).items():
        seen[f"evt.arg.{arg}"] = seen[f"evt.rawarg.{arg}"] = text_
    seen.update(act.get("end", {}))
    return seen


COMM = 15


def exec_fields(act):
    """What the language sees of an exec that succeeded: {call, name, path, args, uid, parent}."""
    return {
        "evt.type": act["call"], "evt.res": "SUCCESS", "evt.rawres": 0, "evt.failed": False,
        "proc.name": act["name"][:COMM], "proc.exepath": act["path"], "proc.args": act["args"], "proc.pname": act["parent"],
        "proc.tty": 0, "proc.is_exe_from_memfd": False, "user.uid": act["uid"], "fd.name": None, "fd.sport": None,
    }


def below(path, tree):
    tree = re.sub("/+", "/", tree)
    return path.startswith("/") if tree == "/" else path == tree.rstrip("/") or path.startswith(tree.rstrip("/") + "/")


TEXTS = {
    "=": str.__eq__,
    "!=": str.__ne__,
    "in": str.__eq__,
    "intersects": str.__eq__,
    "contains": lambda v, c: c in v,
    "icontains": lambda v, c: c.lower() in v.lower(),
    "startswith": str.startswith,
    "endswith": str.endswith,
    "glob": fnmatch.fnmatchcase,
    "iglob": lambda v, c: fnmatch.fnmatchcase(v.lower(), c.lower()),
    "regex": lambda v, c: re.fullmatch(c, v, re.DOTALL) is not None,
    "pmatch": below,
}
ORDERS = {"=": int.__eq__, "in": int.__eq__, "!=": int.__ne__, "<": int.__lt__, "<=": int.__le__, ">": int.__gt__, ">=": int.__ge__}


def check(seen, field, operator, values):
    value = seen[field]
    if value is None:
        return False
    if operator == "exists":
        return True
    if isinstance(value, bool):
        wanted = values[0] == "true"
        return value != wanted if operator == "!=" else value == wanted
    if field in NETS:
        return any(ipaddress.ip_address(value) in ipaddress.ip_network(v) for v in values)
    if isinstance(value, int):
        return any(ORDERS[operator](value, int(v)) for v in values)
    return any(TEXTS[operator](value, v) for v in values)


def holds(tree, seen):
    kind, *rest = tree
    if kind == "and":
        return all(holds(t, seen) for t in rest)
    if kind == "or":
        return any(holds(t, seen) for t in rest)
    if kind == "not":
        return not holds(rest[0], seen)
    return check(seen, *rest)


def text(tree):
    kind, *rest = tree
    if kind in ("and", "or"):
        return "(" + f" {kind} ".join(text(t) for t in rest) + ")"
    if kind == "not":
        return f"not {text(rest[0])}"
    field, operator, values = rest
    if operator == "exists":
        return f"{field} exists"
    if operator in LISTS:
        return f"{field} {operator} ({', '.join(quoted(v) for v in values)})"
    return f"{field} {operator} {values[0] if field in NUMBERS else quoted(values[0])}"


def quoted(value):
    return f"'{value}'"


class Maker:
    """Conditions at random, about names that the acts have and others that are nearly the same."""

    def __init__(self, random, words, uids=(0, 1000)):
        self.random, self.words, self.uids = random, words, [str(u) for u in uids]

    def user(self):
        r = self.random
        operator = r.choice(("=", "!=", "<", "<=", ">", ">=", "in"))
        return ("check", "user.uid", operator, r.sample(self.uids, 2) if operator == "in" else [r.choice(self.uids)])

    def check(self):
        r = self.random
        kind = r.randrange(10)
        if kind < 5:
            field = r.choice(("fd.name", "fd.name", "fd.nameraw", "fd.directory", "fd.filename", "evt.arg.name", "evt.rawarg.name"))
            operator = r.choice(("=", "!=", "contains", "icontains", "startswith", "endswith", "endswith", "glob", "iglob", "regex",
                                 "in", "in", "intersects", "pmatch", "exists"))
            if operator == "pmatch" and field.endswith("arg.name"):
                operator = "in"
            return ("check", field, operator, [self.value(operator) for _ in range(r.randint(1, 6) if operator in LISTS else 1)])
        if kind < 7:
            return r.choice((
                ("check", "evt.is_open_read", r.choice(("=", "!=")), [r.choice(("true", "false"))]),
                ("check", "evt.is_open_write", "=", [r.choice(("true", "false"))]),
                ("check", "evt.failed", "=", [r.choice(("true", "false"))]),
                ("check", "fd.num", r.choice((">=", "=", "<", "!=", "<=", ">")), [r.choice(("0", "-1", "3"))]),
                ("check", "evt.rawres", r.choice((">=", "=", "<", "!=")), [r.choice(("0", "-2", "-13"))])))
        if kind < 8:
            return ("check", "evt.arg.flags", "contains", [r.choice(("O_TRUNC", "O_CREAT", "O_RDONLY", "O_DIRECT", "O_CREAT|O_RDWR", "O_CLOEXEC"))])
        if kind < 9:
            operator = r.choice(("=", "!=", "startswith", "in"))
            return ("check", "evt.res", operator, [r.choice(("SUCCESS", "ENOENT", "E", "EISDIR"))])
        return r.choice((
            ("check", "evt.type", "in", r.sample(("open", "openat", "openat2", "creat"), r.randint(1, 3))),
            ("check", "proc.name", "=", [r.choice(("python3", "nobody"))]),
            self.user(),
            ("check", "fd.sport", "=", ["80"])))

    def value(self, operator):
        r = self.random
        word = r.choice(self.words)
        if operator in ("startswith", "contains", "icontains", "endswith"):
            cut = r.randint(0, max(len(word) - 1, 0))
            word = word[cut:] if operator == "endswith" else word[:len(word) - cut]
            return (word.upper() if operator == "icontains" and r.randrange(2) else word) or "/"
        if operator in ("glob", "iglob"):
            at = r.randint(0, len(word))
            return r.choice((word[:at] + "*", "*" + word[at:], word[:at] + "*" + word[at + 2:], word[:at] + "?" + word[at + 1:]))
        if operator == "regex":
            at = r.randint(0, len(word))
            return re.sub(r"[.]", "[.]", word[:at]) + ".*"
        return word

    def tree(self, depth=3):
        r = self.random
        if not depth or r.randrange(4) == 0:
            made = self.check()
        else:
            made = (r.choice(("and", "and", "and", "or")), *(self.tree(depth - 1) for _ in range(r.randint(2, 3))))
        return ("not", made) if r.randrange(5) == 0 else made

    def condition(self):
        return ("and", ("check", "evt.type", "in", ["open", "openat", "openat2", "creat"]), self.tree())


class CallMaker(Maker):
    """The same about calls other than opens."""

    def __init__(self, random, words, addresses, nets, ports, uids):
        super().__init__(random, words, uids)
        self.addresses, self.nets, self.ports = addresses, nets, [str(p) for p in ports]
        self.types = [*PATHS, *SOCKETS]

    def end_check(self):
        r = self.random
        end = r.choice("sr")
        return r.choice((
            ("check", f"fd.{end}port", r.choice(("=", "!=", "<", "<=", ">", ">=")), [r.choice(self.ports)]),
            ("check", f"fd.{end}port", "in", r.sample(self.ports, r.randint(1, 3))),
            ("check", f"fd.{end}ip", r.choice(("=", "!=")), [r.choice(self.addresses)]),
            ("check", f"fd.{end}ip", "in", r.sample(self.addresses, r.randint(1, 2))),
            ("check", f"fd.{end}net", "in", r.sample(self.nets, r.randint(1, 3))),
            ("check", "fd.l4proto", r.choice(("=", "!=")), [r.choice(("tcp", "udp"))]),
            ("check", "fd.typechar", "in", r.sample(("4", "6", "f", "d", "p", "e", "m", "P"), 2)),
            ("check", "fd.type", r.choice(("=", "!=")), [r.choice(("ipv4", "file", "directory", "event", "memfd", "pidfd"))]),
            ("check", "fd.connected", r.choice(("=", "!=")), [r.choice(("true", "false"))])))

    def check(self):
        r = self.random
        kind = r.randrange(10)
        if kind < 4:
            operator = r.choice(("=", "!=", "contains", "icontains", "startswith", "startswith", "endswith", "endswith", "glob", "iglob", "regex",
                                 "in", "in", "intersects", "exists"))
            field = f"evt.{r.choice(('arg', 'arg', 'rawarg'))}.{r.choice(PATH_ARGS)}"
            return ("check", field, operator, [self.value(operator) for _ in range(r.randint(1, 6) if operator in LISTS else 1)])
        if kind < 7:
            return self.end_check()
        if kind < 8:
            return r.choice((
                ("check", "evt.failed", "=", [r.choice(("true", "false"))]),
                ("check", "evt.rawres", r.choice((">=", "=", "<", "!=")), [r.choice(("0", "-2", "-115", "3", "200"))]),
                ("check", "evt.res", r.choice(("=", "!=", "in")), [r.choice(("SUCCESS", "ENOENT", "EINPROGRESS", "EEXIST"))])))
        if kind < 9:
            return ("check", "evt.type", r.choice(("in", "in", "!=")), r.sample(self.types, 1))
        return r.choice((
            ("check", "evt.arg.mode", "contains", [r.choice(("S_ISUID", "S_IXUSR", "S_IW", "S_IXOTH|S_IWOTH"))]),
            self.user(),
            ("check", "proc.name", "=", [r.choice(("python3", "nobody"))])))

    def condition(self):
        return ("and", ("check", "evt.type", "in", self.types), self.tree())


class CalledMaker(Maker):
    """The same about calls that are told by their arguments."""

    def check(self):
        r = self.random
        kind = r.randrange(10)
        operator = r.choice(("=", "!=", "contains", "contains", "icontains", "startswith", "endswith", "glob", "regex", "in", "in", "intersects", "exists"))
        count = r.randint(1, 4) if operator in LISTS else 1
        if kind < 5:
            tables = [t for tables in NUMBERS_OF.values() for t in tables.values()]
            words = Maker(r, [*r.choice(tables).values(), "PROT_READ|PROT_EXEC", "PROT_READ|PROT_WRITE|PROT_EXEC", "BIND|REC", "0", "9", "32", "64", "SIG"])
            field = f"evt.{r.choice(('arg', 'arg', 'arg', 'rawarg'))}.{r.choice(CALLED_NUMBERS)}"
            return ("check", field, operator, [words.value(operator) for _ in range(count)])
        if kind < 6:
            return ("check", f"evt.{r.choice(('arg', 'rawarg'))}.{r.choice(CALLED_TEXTS)}", operator, [self.value(operator) for _ in range(count)])
        if kind < 8:
            return r.choice((
                ("check", "evt.type", r.choice(("in", "!=")), r.sample(sorted(NUMBERS_OF), 1)),
                ("check", "evt.failed", "=", [r.choice(("true", "false"))]),
                ("check", "evt.rawres", r.choice((">=", "=", "<", "!=")), [r.choice(("0", "-1", "-3", "60"))]),
                ("check", "evt.res", r.choice(("=", "!=", "in")), [r.choice(("SUCCESS", "ESRCH", "EPERM", "EINVAL"))])))
        return r.choice((
            ("check", "fd.type", r.choice(("=", "!=")), [r.choice(("file", "directory", "pipe"))]),
            ("check", "fd.typechar", "in", r.sample(("f", "d", "p", "4"), 2)),
            ("check", "fd.sport", "=", ["80"]),
            self.user(),
            ("check", "proc.name", "=", [r.choice(("python3", "nobody"))])))

    def condition(self):
        return ("and", ("check", "evt.type", "in", sorted(NUMBERS_OF)), self.tree())


class ExecMaker(Maker):
    """The same about execs: `words` are paths, `names` what they are called."""

    def __init__(self, random, words, names, uids):
        super().__init__(random, words, uids)
        self.names = names

    def check(self):
        r = self.random
        kind = r.randrange(10)
        operator = r.choice(("=", "!=", "contains", "icontains", "startswith", "startswith", "endswith", "glob", "iglob", "regex", "in", "in", "intersects",
                             "pmatch", "exists"))
        count = r.randint(1, 6) if operator in LISTS else 1
        if kind < 3:
            return ("check", "proc.exepath", operator, [self.value(operator) for _ in range(count)])
        if kind < 6:
            names = Maker(r, self.names)
            operator = "in" if operator == "pmatch" else operator
            return ("check", "proc.name", operator, [names.value(operator) for _ in range(count)])
        if kind < 8:
            return r.choice((
                self.user(),
                ("check", "evt.type", r.choice(("=", "!=")), [r.choice(("execve", "execveat"))])))
        if kind < 9:
            return r.choice((
                ("check", "evt.failed", "=", [r.choice(("true", "false"))]),
                ("check", "evt.rawres", r.choice((">=", "=", "<", "!=")), [r.choice(("0", "-2"))]),
                ("check", "evt.res", r.choice(("=", "!=")), [r.choice(("SUCCESS", "ENOENT"))]),
                ("check", "proc.is_exe_from_memfd", r.choice(("=", "!=")), [r.choice(("true", "false"))]),
                ("check", "proc.tty", r.choice(("=", "!=", ">")), ["0"])))
        return r.choice((
            ("check", "proc.pname", "=", [r.choice(("python3", "nobody"))]),
            ("check", "proc.args", "contains", [r.choice(("one", "nothing"))]),
            ("check", "fd.sport", "=", ["80"])))

    def condition(self):
        return ("and", ("check", "evt.type", "in", ["execve", "execveat"]), self.tree())


def differences(conditions, got, want):
    """What was told too often or not often enough, with the condition: of rules that are called r0, r1 ..."""
    return [f"{'missing' if want[k] > got[k] else 'too many'}: {k}\n    {text(conditions[int(k[0][1:])])}"
            for k in (got - want) + (want - got)]
