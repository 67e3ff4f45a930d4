/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_BENCH_MATCH_H
#define TIP_BENCH_MATCH_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "tipstaff/abi.h"

/* The made-up node of bench-match: who runs there, and what they do. */

/* `args`: the arguments with '|' between. `parent`: an index into this table, before its own. */
static const struct {
	int parent;
	const char *comm, *exe, *args, *cwd;
	bool contained;
	uint32_t uid, tty;
} programs[] = {
	{-1, "systemd", "/usr/lib/systemd/systemd", "/sbin/init", "/", false, 0, 0},
	{0, "systemd-journal", "/usr/lib/systemd/systemd-journald",
	 "/usr/lib/systemd/systemd-journald", "/", false, 0, 0},
	{0, "sshd", "/usr/sbin/sshd", "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
	 "/", false, 0, 0},
	{2, "sshd", "/usr/sbin/sshd", "sshd: ada [priv]", "/", false, 0, 0},
	{3, "sshd", "/usr/sbin/sshd", "sshd: ada@pts/0", "/", false, 1000, 0},
	{4, "bash", "/usr/bin/bash", "-bash", "/home/ada", false, 1000, 34816},
	{5, "ls", "/usr/bin/ls", "ls|--color=auto|-la|/usr/local/lib", "/home/ada", false, 1000,
	 34816},
	{5, "git", "/usr/bin/git", "git|status|--porcelain", "/home/ada/src/service", false, 1000,
	 34816},
	{5, "make", "/usr/bin/make", "make|-j8|all", "/home/ada/src/service", false, 1000, 34816},
	{8, "sh", "/usr/bin/dash", "/bin/sh|-c|gcc -O2 -g -Iinclude -c -o build/main.o main.c",
	 "/home/ada/src/service", false, 1000, 34816},
	{9, "cc1", "/usr/lib/gcc/x86_64-linux-gnu/12/cc1",
	 "/usr/lib/gcc/x86_64-linux-gnu/12/"
	 "cc1|-quiet|-I|include|-imultiarch|x86_64-linux-gnu|main.c|-O2|-g|-o|/tmp/ccXq1zTd.s",
	 "/home/ada/src/service", false, 1000, 34816},
	{0, "cron", "/usr/sbin/cron", "/usr/sbin/cron|-f", "/var/spool/cron", false, 0, 0},
	{11, "sh", "/usr/bin/dash",
	 "/bin/sh|-c|test -x /usr/sbin/logrotate && /usr/sbin/logrotate /etc/logrotate.conf",
	 "/root", false, 0, 0},
	{12, "logrotate", "/usr/sbin/logrotate", "/usr/sbin/logrotate|/etc/logrotate.conf", "/root",
	 false, 0, 0},
	{0, "kubelet", "/usr/bin/kubelet",
	 "/usr/bin/kubelet|--config=/var/lib/kubelet/config.yaml|--node-ip=10.0.0.7", "/", false, 0,
	 0},
	{0, "containerd", "/usr/bin/containerd", "/usr/bin/containerd", "/", false, 0, 0},
	{0, "containerd-shim", "/usr/bin/containerd-shim-runc-v2",
	 "/usr/bin/containerd-shim-runc-v2|-namespace|k8s.io|-id|4f6b1c0de2a7|-address|/run/"
	 "containerd/containerd.sock",
	 "/run/containerd", false, 0, 0},
	{16, "nginx", "/usr/sbin/nginx", "nginx: master process nginx -g daemon off;", "/", true, 0,
	 0},
	{17, "nginx", "/usr/sbin/nginx", "nginx: worker process", "/", true, 101, 0},
	{16, "tini", "/usr/bin/tini", "/usr/bin/tini|--|/app/start.sh", "/app", true, 0, 0},
	{19, "start.sh", "/usr/bin/bash", "/bin/bash|/app/start.sh", "/app", true, 1001, 0},
	{20, "python3", "/usr/local/bin/python3.11",
	 "/usr/local/bin/python3|-m|gunicorn|app:api|--workers|4", "/app", true, 1001, 0},
	{21, "python3", "/usr/local/bin/python3.11",
	 "/usr/local/bin/python3|-m|gunicorn|app:api|--workers|4", "/app", true, 1001, 0},
	{16, "java", "/opt/jdk/bin/java",
	 "java|-Xmx2g|-cp|/srv/lib/*|com.example.orders.Main|--port=8080", "/srv", true, 1002, 0},
	{16, "postgres", "/usr/lib/postgresql/15/bin/postgres", "postgres: checkpointer",
	 "/var/lib/postgresql/data", true, 999, 0},
	{16, "node", "/usr/local/bin/node", "node|/srv/web/server.js", "/srv/web", true, 1003, 0},
};
#define NPROGRAMS TIP_ARRAY_SIZE(programs)

enum {
	HOST_LS = 6,
	GIT,
	MAKE,
	SH,
	CC1,
	LOGROTATE = 13,
	KUBELET,
	CONTAINERD,
	SHIM,
	NGINX_MASTER,
	NGINX,
	GUNICORN = 21,
	WORKER,
	JAVA,
	POSTGRES,
	NODE,
	JOURNALD = 1,
	SSHD = 2,
	SSHD_ADA = 4,
	BASH = 5
};

/* What they do. `often`: of a thousand events. */
struct act {
	int often, who;
	uint16_t type;
	uint16_t call;    /* TIP_OPEN_*, TIP_CALL_* or AF_* */
	const char *text; /* path, or address */
	uint64_t arg;     /* open: flags; socket: port; call: the first argument */
	int64_t ret;
};

#define OPENAT(often, who, path, flags, ret)                                                       \
	{often, who, TIP_EV_OPEN, TIP_OPEN_OPENAT, path, flags, ret}
#define SOCK(often, who, what, addr, port, ret)                                                    \
	{often, who, TIP_EV_##what, AF_INET, addr, port, ret}
#define CALL(often, who, ev, what, text, arg)                                                      \
	{often, who, TIP_EV_##ev, TIP_CALL_##what, text, arg, 0}

static const struct act acts[] = {
	OPENAT(30, HOST_LS, "/etc/ld.so.cache", O_RDONLY | O_CLOEXEC, 3),
	OPENAT(30, HOST_LS, "/lib/x86_64-linux-gnu/libselinux.so.1", O_RDONLY | O_CLOEXEC, 3),
	OPENAT(30, HOST_LS, "/lib/x86_64-linux-gnu/libc.so.6", O_RDONLY | O_CLOEXEC, 3),
	OPENAT(10, HOST_LS, "/usr/local/lib", O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_DIRECTORY, 3),
	OPENAT(10, HOST_LS, "/usr/lib/locale/locale-archive", O_RDONLY | O_CLOEXEC, 3),
	OPENAT(20, GIT, ".git/HEAD", O_RDONLY, 3),
	OPENAT(10, GIT, ".git/refs/remotes/origin/main", O_RDONLY, -ENOENT),
	OPENAT(10, GIT, "/home/ada/.gitconfig", O_RDONLY, 4),
	OPENAT(10, GIT, ".git/index.lock", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 5),
	OPENAT(50, CC1, "include/service/queue.h", O_RDONLY | O_NOCTTY, 4),
	OPENAT(40, CC1, "/usr/include/x86_64-linux-gnu/bits/types.h", O_RDONLY | O_NOCTTY, 4),
	OPENAT(40, CC1, "/usr/lib/gcc/x86_64-linux-gnu/12/include/stdio.h", O_RDONLY | O_NOCTTY,
	       -ENOENT),
	OPENAT(10, CC1, "/tmp/ccXq1zTd.s", O_WRONLY | O_CREAT | O_TRUNC, 5),
	OPENAT(10, LOGROTATE, "/etc/logrotate.d/nginx", O_RDONLY, 3),
	OPENAT(5, LOGROTATE, "/var/lib/logrotate/status", O_RDWR | O_CREAT, 4),
	OPENAT(30, KUBELET, "/proc/1183/stat", O_RDONLY | O_CLOEXEC, 17),
	OPENAT(30, KUBELET, "/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/memory.stat",
	       O_RDONLY | O_CLOEXEC, 17),
	OPENAT(20, KUBELET, "/var/lib/kubelet/pods/0b7c3c4e/volumes/kubernetes.io~projected/token",
	       O_RDONLY | O_CLOEXEC, 18),
	OPENAT(20, CONTAINERD,
	       "/run/containerd/io.containerd.runtime.v2.task/k8s.io/4f6b1c0d/init.pid",
	       O_RDONLY | O_CLOEXEC, 11),
	OPENAT(20, JOURNALD, "/run/systemd/journal/streams/9:1234567", O_RDWR | O_CREAT | O_CLOEXEC,
	       30),
	OPENAT(15, JOURNALD, "/proc/2211/cmdline", O_RDONLY | O_CLOEXEC, 31),
	OPENAT(40, NGINX, "/usr/share/nginx/html/assets/app.4f3a9c.js", O_RDONLY | O_NONBLOCK, 12),
	OPENAT(10, NGINX, "/var/log/nginx/access.log", O_WRONLY | O_CREAT | O_APPEND, 5),
	OPENAT(30, WORKER,
	       "/usr/local/lib/python3.11/site-packages/sqlalchemy/orm/__pycache__/"
	       "query.cpython-311.pyc",
	       O_RDONLY | O_CLOEXEC, 9),
	OPENAT(10, WORKER, "/tmp/wgunicorn-q8wz1l", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 10),
	OPENAT(20, JAVA, "/srv/lib/jackson-databind-2.15.2.jar", O_RDONLY, 40),
	OPENAT(20, JAVA, "/proc/self/mountinfo", O_RDONLY, 41),
	OPENAT(20, POSTGRES, "base/16384/2619", O_RDWR | O_CLOEXEC, 6),
	OPENAT(10, POSTGRES, "pg_wal/000000010000000000000003", O_RDWR | O_CREAT, 7),
	OPENAT(20, NODE, "/srv/web/node_modules/express/lib/router/index.js", O_RDONLY | O_CLOEXEC,
	       20),
	OPENAT(3, SSHD_ADA, "/etc/passwd", O_RDONLY | O_CLOEXEC, 4),
	OPENAT(3, BASH, "/home/ada/.bash_history", O_WRONLY | O_CREAT | O_APPEND, 3),
	OPENAT(3, SSHD, "/etc/ssh/sshd_config", O_RDONLY, 3),
	{5, NODE, TIP_EV_OPEN, TIP_OPEN_OPENAT2, "/srv/web/public/index.html", O_RDONLY, 21},
	{5, JAVA, TIP_EV_OPEN, TIP_OPEN_OPEN, "/dev/urandom", O_RDONLY, 42},

	{10, HOST_LS, TIP_EV_EXEC, 0, "/usr/bin/ls", 0, 0},
	{10, GIT, TIP_EV_EXEC, 0, "/usr/bin/git", 0, 0},
	{15, SH, TIP_EV_EXEC, 0, "/bin/sh", 0, 0},
	{15, CC1, TIP_EV_EXEC, 0, "/usr/lib/gcc/x86_64-linux-gnu/12/cc1", 0, 0},
	{2, LOGROTATE, TIP_EV_EXEC, 0, "/usr/sbin/logrotate", 0, 0},
	{3, GUNICORN, TIP_EV_EXEC, 0, "/usr/local/bin/python3", 0, 0},
	{15, SH, TIP_EV_FORK, 0, NULL, 0, 0},
	{10, GUNICORN, TIP_EV_FORK, 0, NULL, 0, 0},
	{20, CC1, TIP_EV_EXIT, 0, NULL, 0, 0},
	{5, SSHD_ADA, TIP_EV_CRED, 0, NULL, 1000, 0},
	{2, NGINX, TIP_EV_CRED, 0, NULL, 101, 0},

	SOCK(20, WORKER, CONNECT, "10.96.0.10", 5432, 0),
	SOCK(10, JAVA, CONNECT, "10.96.14.3", 443, -EINPROGRESS),
	SOCK(10, NODE, CONNECT, "10.96.0.53", 53, 0),
	SOCK(5, KUBELET, CONNECT, "10.96.0.1", 6443, 0),
	SOCK(30, NGINX, ACCEPT, "10.1.4.9", 8080, 14),
	SOCK(5, SSHD, ACCEPT, "192.0.2.17", 22, 5),
	SOCK(1, NODE, BIND, "0.0.0.0", 3000, 0),
	SOCK(1, NODE, LISTEN, "0.0.0.0", 3000, 0),

	CALL(5, MAKE, SIGNAL, KILL, NULL, 2211),
	CALL(5, JAVA, SIGNAL, TGKILL, NULL, 2212),
	CALL(1, BASH, PTRACE, PTRACE, NULL, PTRACE_CONT),
	CALL(2, SHIM, MOUNT, MOUNT, "overlay", 0),
	CALL(2, SHIM, MOUNT, UMOUNT2, "/run/containerd/tmpmounts/containerd-mount12", 0),
	CALL(20, JAVA, MMAP, MMAP, NULL, 0),
	CALL(10, NODE, MMAP, MPROTECT, NULL, 0),
};

#endif
