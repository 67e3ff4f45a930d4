# SPDX-License-Identifier: Apache-2.0
"""System calls that one program tells of, where a rule names them: their arguments as the field's language shows them."""

import os
import re

import pytest

from world import until

pytestmark = pytest.mark.kernel(each=True)

CALLS = """link linkat symlink symlinkat rename renameat renameat2 unlink unlinkat mkdir mkdirat rmdir chmod fchmod fchmodat chown
    fchownat chdir fchdir write pread close socket sendto sendmsg recvfrom recvmsg dup dup2 dup3 setns unshare setsid bpf
    userfaultfd memfd_create prctl pipe2 open openat openat2 creat mknod fcntl kill tgkill ptrace mount umount2 mprotect bind listen connect accept
    lseek stat newfstatat access flock getcwd eventfd2 epoll_create1 pidfd_open futex setsockopt munlock getrlimit keyctl close_range getuid
    process_vm_writev socketpair poll nanosleep setrlimit signalfd4 capset fsconfig io_uring_setup getpriority""".split()
# Told although no rule names them.
ALWAYS = "open openat openat2 creat kill tgkill ptrace mount umount2 mprotect bind listen connect accept".split()
NAMED = set(CALLS) - set(ALWAYS)
FIELDS = """evt.type evt.res evt.rawres evt.args evt.buffer evt.is_io fd.num fd.name fd.type fd.typechar fdlist.nums fdlist.names fd.l4proto fd.sip fd.sport fd.cip
    fd.is_server fd.name_changed evt.category fs.path.name fs.path.nameraw fs.path.source fs.path.sourceraw fs.path.target
    fs.path.targetraw evt.abspath evt.abspath.src evt.abspath.dst evt.arg[1] evt.rawarg[1] proc.pid""".split()
RULES = f"""
- rule: Calls
  desc: whatever the program does
  condition: evt.type in ({", ".join(CALLS)}) and proc.name = calls
  output: call {" ".join("%" + f for f in FIELDS)}
  priority: Notice
- rule: Process
  desc: how the program began and ended
  condition: evt.type in (execve, procexit) and proc.name = calls
  output: process {" ".join("%" + f for f in FIELDS)}
  priority: Notice
- rule: Setuid bit
  desc: as the rules of the field have it
  condition: evt.type in (chmod, fchmod, fchmodat) and proc.name = calls and evt.arg.mode contains S_ISUID
  output: setuid %evt.arg.filename %evt.arg.mode
  priority: Notice
- rule: Class file
  desc: bytes in what was written
  condition: evt.type = write and proc.name = calls and evt.buffer bcontains cafebabe
  output: class %fd.name
  priority: Notice
- rule: Unnamed
  desc: a rule that names no event is not tried on every system call
  condition: proc.name = calls
  output: unnamed %evt.type
  priority: Debug
  warn_evttypes: false
"""


@pytest.fixture(scope="module")
def daemon(world):
    d = world.daemon(entries=[], rules=RULES)
    d.settings["rules"]["matching"] = "all"
    d.start()
    return d


@pytest.fixture(scope="module")
def done(daemon, world, run):
    """What the program says of itself, and the alerts by rule."""
    folder = world.dir / "calls-folder"
    folder.mkdir()
    mark = daemon.alerts_mark()
    status, lines = run("calls", str(folder), cgroup="x", timeout=60.0)
    assert status == 0, lines

    def whole():
        alerts = daemon.alerts(mark)
        return alerts if {"getpriority", "procexit"} <= {a["output_fields"].get("evt.type") for a in alerts} else None
    alerts = until("the last call", whole, 30.0)
    return {
        "folder": str(folder),
        "port": next(line["port"] for line in lines if "port" in line),
        "pid": next(line["pid"] for line in lines if "pid" in line),
        "said": [(line["call"], line["result"]) for line in lines if "call" in line],
        "alerts": lambda rule: [a["output_fields"] for a in alerts if a["rule"] == rule],
    }


def test_every_call_is_told_with_its_result(done):
    told = [(a["evt.type"], a["evt.rawres"]) for a in done["alerts"]("Calls")]
    said = [(name.removesuffix("64"), result) for name, result in done["said"]]
    # What the program does to make itself ready are such calls, too: mkdir, chdir, socket, ...
    at = 0
    for one in said:
        assert one in told[at:], (one, told[at:])
        at = told.index(one, at) + 1
    assert {name for name, _ in said} == set(CALLS)


def args(done, name, nth=0):
    return [a for a in done["alerts"]("Calls") if a["evt.type"] == name][nth]["evt.args"]


def test_paths(done):
    f = done["folder"]
    own = [a for a in done["alerts"]("Calls") if a["evt.type"] == "linkat"][0]["evt.args"].split("olddir=")[1].split("(")[0]
    assert args(done, "link") == f"res=0 oldpath=old({f}/old) newpath=sub/../hard({f}/hard)"
    assert args(done, "linkat") == (f"res=0 olddir={own}(<d>{f}) oldpath=old({f}/old) newdir=-100(AT_FDCWD) "
                                    f"newpath=hard2({f}/hard2) flags=0")
    assert args(done, "symlink") == f"res=0 target=/etc/sensor-target linkpath=soft({f}/soft)"
    assert args(done, "symlinkat") == f"res=0 target=../x linkdirfd={own}(<d>{f}) linkpath=soft2({f}/soft2)"
    assert args(done, "rename") == f"res=0 oldpath=hard({f}/hard) newpath=hard3({f}/hard3)"
    assert args(done, "renameat2") == (f"res=-17(EEXIST) olddirfd=-100(AT_FDCWD) oldpath=hard3({f}/hard3) newdirfd={own}(<d>{f}) "
                                       f"newpath=hard4({f}/hard4) flags=1(RENAME_NOREPLACE)")
    assert args(done, "unlink") == f"res=0 path=hard3({f}/hard3)"
    assert args(done, "unlinkat") == f"res=-2(ENOENT) dirfd={own}(<d>{f}) name=missing({f}/missing) flags=0"
    assert args(done, "unlinkat", 1) == f"res=0 dirfd={own}(<d>{f}) name=new2({f}/new2) flags=512(AT_REMOVEDIR)"
    assert args(done, "mkdir", 1) == f"res=0 path=new({f}/new) mode=1E8"
    assert args(done, "chmod") == (f"res=0 filename=old({f}/old) "
                                   "mode=04755(S_IXOTH|S_IROTH|S_IXGRP|S_IRGRP|S_IXUSR|S_IWUSR|S_IRUSR|S_ISUID)")
    assert args(done, "fchmod").endswith("mode=02711(S_IXOTH|S_IXGRP|S_IXUSR|S_IWUSR|S_IRUSR|S_ISGID)")
    assert f"(<f>{f}/old) " in args(done, "fchmod")
    assert args(done, "chown") == f"res=0 path=old({f}/old) uid=-1 gid=-1"
    assert args(done, "fchdir") == f"res=0 fd={own}(<d>{f})"


def paths(done, name, nth=0):
    alert = [a for a in done["alerts"]("Calls") if a["evt.type"] == name][nth]
    return {key: alert[key] for key in alert if key.startswith(("fs.path.", "evt.abspath")) and alert[key] is not None}


def one_path(path, raw):
    return {"fs.path.name": path, "fs.path.nameraw": raw, "evt.abspath": path, "evt.abspath.src": path, "evt.abspath.dst": path}


def two_paths(source, raw, target, targetraw):
    return {"fs.path.source": source, "fs.path.sourceraw": raw, "fs.path.target": target, "fs.path.targetraw": targetraw,
            "evt.abspath": source, "evt.abspath.src": source, "evt.abspath.dst": target}


def test_path_fields(done):
    f = done["folder"]
    hard = two_paths(f"{f}/hard", "sub/../hard", f"{f}/old", "old")
    assert paths(done, "link") == hard | {"evt.abspath": f"{f}/old", "evt.abspath.src": f"{f}/old", "evt.abspath.dst": f"{f}/hard"}
    soft = {"evt.abspath.dst": f"{f}/soft2"}
    parent = f.rsplit("/", 1)[0]
    assert paths(done, "symlinkat") == two_paths(f"{f}/soft2", "soft2", f"{parent}/x", "../x") | soft
    assert paths(done, "rename") == two_paths(f"{f}/hard", "hard", f"{f}/hard3", "hard3")
    assert paths(done, "renameat") == two_paths(f"{f}/hard2", "hard2", f"{f}/hard4", "hard4")
    # Nothing was done to a file by a call that failed.
    failed = {"evt.abspath": f"{f}/hard3", "evt.abspath.src": f"{f}/hard3", "evt.abspath.dst": f"{f}/hard4"}
    assert paths(done, "renameat2") == failed
    assert paths(done, "unlink") == one_path(f"{f}/hard3", "hard3")
    assert "fs.path.name" not in paths(done, "unlinkat") and paths(done, "unlinkat")["evt.abspath"] == f"{f}/missing"
    for name, path in ("mkdirat", "new2"), ("rmdir", "new"), ("chmod", "old"), ("fchmodat", "old"), ("chown", "old"), ("fchownat", "old"):
        assert paths(done, name) == one_path(f"{f}/{path}", path)
    assert paths(done, "fchmod") == one_path(f"{f}/old", f"{f}/old")


def test_categories(done):
    seen = {a["evt.type"]: a["evt.category"] for a in reversed(done["alerts"]("Calls"))}
    for category, names in {"file": "link rename unlinkat chmod fchdir userfaultfd pread", "net": "socket sendto recvmsg dup",
                            "IPC": "pipe2", "memory": "memfd_create", "process": "setns prctl setsid", "other": "bpf getpriority"}.items():
        assert {seen[name] for name in names.split()} == {category}, (category, seen)


def test_call_through_the_32_bit_table(done):
    assert args(done, "mkdir", 2) == f"res=0 path=new32({done['folder']}/new32) mode=1C0"


def test_sockets(done):
    port = done["port"]
    one = {name: [a for a in done["alerts"]("Calls") if a["evt.type"] == name] for name in CALLS}
    assert one["socket"][1]["evt.args"].endswith("domain=2(AF_INET) type=2 proto=0 flags=524288(O_CLOEXEC)")
    assert "domain=17(AF_PACKET) type=3" in one["socket"][2]["evt.args"]
    for name in "sendto", "sendmsg":
        sent = one[name][0]
        assert sent["fd.sip"] == "127.0.0.1" and sent["fd.sport"] == port and sent["fd.l4proto"] == "udp"
        assert sent["fd.typechar"] == "4" and sent["fd.name_changed"] is True and sent["fd.is_server"] is False
        assert sent["fd.name"].endswith(f"->127.0.0.1:{port}")
        assert sent["evt.is_io"] is True
    assert "data=hello " in one["sendto"][0]["evt.args"] and "data=message " in one["sendmsg"][0]["evt.args"]
    got = one["recvfrom"][0]
    assert got["fd.is_server"] is True and got["fd.sport"] == port and got["fd.cip"] == "127.0.0.1" and got["evt.rawres"] == 5
    assert got["evt.buffer"] == "hello" and "data=message " in one["recvmsg"][0]["evt.args"]
    for name in "dup", "dup2", "dup3":
        again = one[name][0]
        assert again["fd.num"] == again["evt.rawres"] and again["fd.sport"] == port and again["fd.typechar"] == "4"
    assert one["dup2"][0]["evt.args"].startswith(f"res=200(<4u>127.0.0.1:")
    assert one["dup2"][1]["evt.args"] == "res=-9(EBADF) oldfd=900 newfd=201"


def test_calls_without_a_code_of_their_own(done):
    f, pid = done["folder"], done["pid"]
    own = args(done, "flock").split("fd=")[1].split("(")[0]
    assert args(done, "lseek", -1) == f"res=2 fd={own}(<f>{f}/old) offset=2 whence=2(SEEK_END)"
    assert args(done, "stat", -1) == f"res=0 path=sub/../old({f}/old)"
    folder = args(done, "newfstatat", -1).split("dirfd=")[1].split("(")[0]
    assert args(done, "newfstatat", -1) == (f"res=-2(ENOENT) dirfd={folder}(<d>{f}) path=missing({f}/missing) flags=256(AT_SYMLINK_NOFOLLOW)")
    assert args(done, "access", -1) == f"res=0 name=old({f}/old) mode=6(R_OK|W_OK)"
    assert args(done, "flock") == f"res=0 fd={own}(<f>{f}/old) operation=5(LOCK_SH|LOCK_NB)"
    assert args(done, "getcwd", -1) == f"res={len(f) + 1} path={f}"
    assert re.fullmatch(r"res=\d+\(<e>.*\) flags=524288\(O_CLOEXEC\) initval=3", args(done, "eventfd2"))
    assert re.fullmatch(r"res=\d+ flags=524288\(EPOLL_CLOEXEC\)", args(done, "epoll_create1"))
    assert re.fullmatch(rf"fd=\d+\(<P>.*\) pid={pid}\(calls\) flags=0", args(done, "pidfd_open"))
    assert re.fullmatch(r"res=0 addr=[0-9A-F]+ op=129\(FUTEX_PRIVATE_FLAG\|FUTEX_WAKE\) val=1", args(done, "futex", -1))
    assert args(done, "setsockopt", -2).endswith("level=1(SOL_SOCKET) optname=2(SO_REUSEADDR) val=1 optlen=4")
    assert re.fullmatch(r"res=0 addr=[0-9A-F]+ len=64", args(done, "munlock"))
    assert re.fullmatch(r"res=0 cur=\d+ max=\d+ resource=7\(RLIMIT_NOFILE\)", args(done, "getrlimit", -1))
    assert args(done, "keyctl").endswith("operation=0(KEYCTL_GET_KEYRING_ID) arg2=-3 arg3=0 arg4=0 arg5=0")
    assert args(done, "close_range", -1) == "res=0 first=5000 last=5001 flags=0"
    assert args(done, "getuid", -1) == "uid=0(root)"
    assert args(done, "process_vm_writev") == f"res=9 pid={pid}(calls) data=a message"


def test_what_calls_point_at(done):
    pair = re.fullmatch(r"res=0 fd1=(\d+)\(<u>\) fd2=\d+\(<u>\) domain=1\(AF_UNIX\) type=1 proto=0", args(done, "socketpair"))
    assert pair, args(done, "socketpair")
    assert args(done, "poll", -1) == f"res=2 fds={pair[1]}:?1 700:?20 timeout=0"
    polled = [a for a in done["alerts"]("Calls") if a["evt.type"] == "poll"][-1]
    assert polled["fdlist.nums"] == f"{pair[1]},700"
    # The process may have ended by the time that the rule asks.
    assert polled["fdlist.names"] is None or re.fullmatch(r"socket:\[\d+\],<NA>|<NA>,<NA>", polled["fdlist.names"])
    assert args(done, "nanosleep", -1) == "res=0 interval=2000000(0.002s)"
    assert args(done, "setrlimit") == "res=0 cur=0 max=4096 resource=4(RLIMIT_CORE)"
    assert re.fullmatch(r"res=\d+\(<s>.*\) flags=524288\(O_CLOEXEC\) fd=-1 mask=200", args(done, "signalfd4"))
    assert args(done, "setsockopt", -1).endswith("optname=8(SO_RCVBUF) val=4096 optlen=4")
    assert args(done, "fsconfig") == "res=-9(EBADF) fd=900 cmd=1(FSCONFIG_SET_STRING) key=source value_charbuf=overlay aux=0"
    assert re.fullmatch(r"res=0 cap_inheritable=[0-9A-F]+ cap_permitted=([0-9A-F]+) cap_effective=\1", args(done, "capset"))
    assert re.match(r"res=\d+ entries=1 sq_entries=1 cq_entries=2 flags=0 sq_thread_cpu=0 sq_thread_idle=0 features=\d+\(IORING_FEAT_SINGLE_MMAP\|",
                    args(done, "io_uring_setup"))


def test_kinds_of_descriptors(done):
    kinds = [(a["fd.typechar"], a["fd.type"]) for a in done["alerts"]("Calls") if a["evt.type"] == "dup"][1:]
    assert kinds == [("p", "pipe"), ("e", "event"), ("l", "eventpoll"), ("s", "signalfd"), ("t", "timerfd"), ("i", "inotify"), ("r", "io_uring"),
                     ("u", "userfaultfd"), ("b", "bpf"), ("m", "memfd"), ("P", "pidfd"), ("o", "unknown")]


def test_others(done):
    assert args(done, "setns") == "res=-9(EBADF) fd=900 nstype=1073741824(CLONE_NEWNET)"
    assert args(done, "unshare") == "res=0 flags=1024(CLONE_FILES)"
    assert args(done, "bpf").endswith("cmd=5(BPF_PROG_LOAD)")
    assert args(done, "userfaultfd").endswith("flags=526336(O_NONBLOCK|O_CLOEXEC)")
    assert args(done, "memfd_create").endswith("name=sensor-memory flags=1(MFD_CLOEXEC)")
    assert args(done, "prctl", -1) == "res=0 option=15(PR_SET_NAME) arg2_str=calls arg2_int=" + args(done, "prctl", -1).rsplit("=", 1)[1]
    assert "res=0 option=38(PR_SET_NO_NEW_PRIVS) arg2_int=1" in [a["evt.args"] for a in done["alerts"]("Calls") if a["evt.type"] == "prctl"]
    assert re.fullmatch(r"res=0 fd1=\d+\(<p>\) fd2=\d+\(<p>\) ino=\d+ flags=524288\(O_CLOEXEC\)", args(done, "pipe2"))
    assert args(done, "getpriority") == "ID=140(getpriority) nativeID=140"


def named(text):
    """The arguments of an event by name, in order."""
    return dict(re.findall(r"(\w+)=(.*?)(?= \w+=|$)", text))


def test_events_with_a_record_of_their_own(done):
    f, pid = done["folder"], done["pid"]
    opened = named(args(done, "open", -1))
    assert list(opened) == "fd name flags mode dev ino".split()
    assert opened["fd"].endswith(f"(<f>{f}/old)") and opened["name"] == f"sub/../old({f}/old)" and opened["flags"] == "514(O_TRUNC|O_RDWR)"
    assert opened["mode"] == "0" and opened["ino"] == str(os.stat(f"{f}/old").st_ino)
    missing = [a for a in done["alerts"]("Calls") if a["evt.type"] == "openat" and "missing" in a["evt.args"]][0]["evt.args"]
    assert re.fullmatch(rf"fd=-2\(ENOENT\) dirfd=\d+\(<d>{f}\) name=missing\({f}/missing\) flags=0\(O_RDONLY\) mode=0 dev=\w+ ino=\d+", missing), missing
    how = named(args(done, "openat2"))
    assert list(how) == "fd dirfd name flags mode resolve dev ino".split() and how["resolve"] == "8(RESOLVE_BENEATH)"
    made = named(args(done, "creat"))
    assert list(made)[:5] == "fd name mode dev ino".split() and made["mode"] == "0640" and list(made)[5:] == ["creat_flags", "flags"]
    assert made["flags"] == "577(O_TRUNC|O_CREAT|O_WRONLY|O_F_CREATED)"
    assert args(done, "kill") == f"res=0 pid={pid}(calls) sig=23(SIGURG)"
    assert args(done, "tgkill") == f"res=0 pid={pid}(calls) tid={pid}(calls) sig=23(SIGURG)"
    assert args(done, "ptrace") == "res=-3(ESRCH) addr=0 data=0 request=17(PTRACE_DETACH) pid=99999999"
    assert args(done, "mount") == "res=-2(ENOENT) dev=none dir=nowhere type=tmpfs flags=6(NOSUID|NODEV)"
    assert args(done, "umount2") == "res=-2(ENOENT) name=nowhere flags=2(DETACH)"
    assert args(done, "mprotect") == "res=-12(ENOMEM) addr=0 length=4096 prot=5(PROT_READ|PROT_EXEC)"
    assert args(done, "mknod") == f"res=0 path=fifo({f}/fifo) mode=010600(S_IWUSR|S_IRUSR|S_IFIFO) dev=0"
    assert args(done, "fcntl", -1).endswith("cmd=1(F_GETFD) arg=0")


def test_sockets_with_a_record_of_their_own(done):
    bound, = [a for a in done["alerts"]("Calls") if a["evt.type"] == "listen"]
    port = bound["fd.sport"]
    assert named(args(done, "bind", -1)) | {"fd": ""} == {"res": "0", "addr": "127.0.0.1:0", "fd": ""} or \
        named(args(done, "bind", -1))["addr"] == f"127.0.0.1:{port}"
    assert re.fullmatch(rf"res=0 fd=\d+\(<4t>127.0.0.1:{port}\) backlog=7", bound["evt.args"]), bound["evt.args"]
    way = rf"127.0.0.1:\d+->127.0.0.1:{port}"
    connected = args(done, "connect", -1)
    assert re.fullmatch(rf"res=0 tuple={way} fd=\d+\(<4t>{way}\) addr=127.0.0.1:{port}", connected), connected
    accepted = args(done, "accept")
    assert re.fullmatch(rf"fd=\d+\(<4t>{way}\) tuple={way}", accepted), accepted


def test_begin_and_end(done):
    begun, = [a for a in done["alerts"]("Process") if a["evt.type"] == "execve"]
    ended, = [a for a in done["alerts"]("Process") if a["evt.type"] == "procexit"]
    said, pid = named(begun["evt.args"]), done["pid"]
    assert list(said) == """res exe args tid pid ptid cwd fdlimit pgft_maj pgft_min vm_size comm env tty vpgid loginuid flags cap_inheritable
        cap_permitted cap_effective exe_ino exe_ino_ctime exe_ino_mtime uid trusted_exepath pgid gid filename""".split()
    assert said["tid"] == said["pid"] == f"{pid}(calls)" and said["comm"] == "calls" and said["args"] == f"{done['folder']}."
    assert said["uid"] == "0(root)" and said["gid"] == "0(root)" and re.fullmatch(r"[0-9A-F]+", said["cap_effective"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9} [+-]\d{4}", said["exe_ino_mtime"]), said["exe_ino_mtime"]
    assert begun["evt.arg[1]"] == said["exe"] and said["trusted_exepath"].endswith("/calls")
    assert ended["evt.args"] == "status=0 ret=0 sig=0 core=0"


def test_conditions(done):
    bit, = done["alerts"]("Setuid bit")
    assert bit["evt.arg.filename"] == f"{done['folder']}/old"
    assert [a["fd.name"] for a in done["alerts"]("Class file")] == [f"{done['folder']}/old"]
    # It is tried on what is told anyway: the program opens files.
    assert {a["evt.type"] for a in done["alerts"]("Unnamed")}.isdisjoint(NAMED)
    assert "openat" in {a["evt.type"] for a in done["alerts"]("Unnamed")}
