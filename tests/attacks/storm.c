/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storm FOLDER PORT: acts of every kind that the sensor tells, by every system call that there is
 * for them, done well and done wrong, in one order. Two daemons that sense in different ways must
 * tell the same of it. FOLDER is made ready by prepare() when it is empty, so that a second storm
 * meets the same inodes. Prints {"self":P,"child":P,"thread":T,"acts":N,"ia32":B}: the numbers that
 * differ from run to run.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attack.h"

#define UNUSED_FD  900
#define UNUSED_PID 0x3ffffff0
#define HANDLE_MAX 128

/* What a 32-bit call points at must lie below 4 GB: this program is static and not relocated. */
static char path[8192];
static struct sockaddr_storage addr;
static socklen_t addr_len;
static struct open_how how;
static uint32_t words[6];
static struct {
	struct file_handle head;
	unsigned char bytes[HANDLE_MAX];
} handle;
static unsigned short port;
static unsigned long acts;
static bool ia32;

static long act(long result)
{
	acts++;
	return result;
}

/* A call through the 32-bit table; the sixth argument is 0. */
static long call32(long nr, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e)
{
	long ret;

	/* Not into the red zone; the kernel does not keep r8 to r11. */
	asm volatile("lea -128(%%rsp), %%rsp\n\t"
		     "push %%rbp\n\t"
		     "xor %%ebp, %%ebp\n\t"
		     "int $0x80\n\t"
		     "pop %%rbp\n\t"
		     "lea 128(%%rsp), %%rsp"
		     : "=a"(ret)
		     : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
		     : "memory", "cc", "r8", "r9", "r10", "r11");
	return act((int)ret);
}

/* Kernels can be built or booted without the 32-bit calls. */
static bool has_ia32(void)
{
	const pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(call32(20, 0, 0, 0, 0, 0) == getpid() ? 0 : 1);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void done(long fd)
{
	if (fd >= 0)
		close((int)fd);
}

/* ---- opens ---- */

static const char *text(const char *name)
{
	memset(path, 0, sizeof(path));
	strcpy(path, name);
	return path;
}

static void open_all(int dirfd, const char *name, int flags, unsigned int mode)
{
	const char *p = name ? text(name) : (const char *)8;

	memset(&how, 0, sizeof(how));
	how.flags = (unsigned int)flags;
	how.mode = flags & O_CREAT ? mode : 0;
	if (dirfd == AT_FDCWD)
		done(act(syscall(SYS_open, p, flags, mode)));
	done(act(syscall(SYS_openat, dirfd, p, flags, mode)));
	done(act(syscall(SYS_openat2, dirfd, p, &how, sizeof(how))));
	if (!ia32)
		return;
	if (dirfd == AT_FDCWD)
		done(call32(5, (uintptr_t)p, (uintptr_t)flags, mode, 0, 0));
	done(call32(295, (uintptr_t)(unsigned int)dirfd, (uintptr_t)p, (uintptr_t)flags, mode, 0));
	done(call32(437, (uintptr_t)(unsigned int)dirfd, (uintptr_t)p, (uintptr_t)&how, sizeof(how),
		    0));
}

static void creat_all(const char *name)
{
	done(act(syscall(SYS_creat, text(name), 0640)));
	if (ia32)
		done(call32(8, (uintptr_t)path, 0640, 0, 0, 0));
}

static void open_resolve(int dirfd, const char *name, uint64_t flags, uint64_t resolve)
{
	memset(&how, 0, sizeof(how));
	how.flags = flags;
	how.resolve = resolve;
	done(act(syscall(SYS_openat2, dirfd, text(name), &how, sizeof(how))));
}

/* A path of `len` bytes that leads to "file". */
static const char *long_path(size_t len)
{
	static char name[8192];

	memset(name, 0, sizeof(name));
	while (strlen(name) + 6 < len)
		strcat(name, "./");
	strcat(name, strlen(name) % 2 == len % 2 ? "file" : "/file");
	return name;
}

static void opens(const char *folder)
{
	struct rlimit limit, few;
	const int dir = open(folder, O_PATH | O_DIRECTORY);
	char absolute[4096];
	int mount_id;

	snprintf(absolute, sizeof(absolute), "%s/sub/../file", folder);
	open_all(AT_FDCWD, absolute, O_RDWR, 0600);
	open_all(AT_FDCWD, "file", O_RDONLY | O_CLOEXEC, 0);
	open_all(AT_FDCWD, "./sub/..//file", O_WRONLY | O_TRUNC, 0);
	open_all(AT_FDCWD, "link", O_RDONLY, 0);
	open_all(AT_FDCWD, "link", O_RDONLY | O_NOFOLLOW, 0);
	open_all(AT_FDCWD, "loop", O_RDONLY, 0);
	open_all(AT_FDCWD, "missing", O_RDONLY, 0);
	open_all(AT_FDCWD, "file/below", O_RDONLY, 0);
	open_all(AT_FDCWD, "closed", O_RDONLY, 0600);
	open_all(AT_FDCWD, "file", O_CREAT | O_EXCL | O_RDWR, 0640);
	open_all(AT_FDCWD, "sub", O_RDONLY | O_DIRECTORY, 0);
	open_all(AT_FDCWD, "file", O_PATH, 0);
	open_all(AT_FDCWD, "", O_RDONLY, 0);
	open_all(AT_FDCWD, NULL, O_RDONLY, 0);
	open_all(AT_FDCWD, long_path(4001), O_RDONLY, 0);
	open_all(AT_FDCWD, long_path(4094), O_RDONLY, 0);
	open_all(AT_FDCWD, long_path(5000), O_RDONLY, 0);
	open_all(dir, "file", O_RDONLY, 0);
	open_all(dir, absolute, O_RDONLY, 0);
	open_all(dir, "sub/../missing", O_RDONLY, 0);
	open_all(UNUSED_FD, "file", O_RDONLY, 0);
	open_all(UNUSED_FD, absolute, O_RDONLY, 0);
	creat_all("file");
	creat_all(absolute);
	creat_all("closed");
	creat_all("sub");
	creat_all("missing/file");
	open_resolve(dir, "../file", O_RDONLY, RESOLVE_BENEATH);
	open_resolve(dir, "link", O_RDONLY, RESOLVE_NO_SYMLINKS);
	open_resolve(dir, "sub/../file", O_RDONLY, RESOLVE_IN_ROOT | RESOLVE_NO_XDEV);
	open_resolve(dir, "file", 1ull << 40, 0);
	open_resolve(dir, "file", O_RDONLY, 1ull << 40);

	/* No number is left. */
	getrlimit(RLIMIT_NOFILE, &limit);
	few = limit;
	few.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &few);
	open_all(AT_FDCWD, "file", O_RDONLY, 0);
	setrlimit(RLIMIT_NOFILE, &limit);

	handle.head.handle_bytes = HANDLE_MAX;
	if (name_to_handle_at(dir, "file", &handle.head, &mount_id, 0) == 0) {
		done(act(syscall(SYS_open_by_handle_at, dir, &handle, O_RDONLY)));
		done(act(syscall(SYS_open_by_handle_at, UNUSED_FD, &handle, O_RDONLY)));
		if (ia32)
			done(call32(342, (uintptr_t)dir, (uintptr_t)&handle, O_RDONLY, 0, 0));
	}
	act(syscall(SYS_open_by_handle_at, dir, 8, O_RDONLY));
	close(dir);
}

/* ---- sockets ---- */

static void inet4(const char *host, unsigned int p)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)p)};

	inet_pton(AF_INET, host, &a.sin_addr);
	memset(&addr, 0, sizeof(addr));
	memcpy(&addr, &a, sizeof(a));
	addr_len = sizeof(a);
}

static void inet6(const char *host, unsigned int p)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)p)};

	inet_pton(AF_INET6, host, &a.sin6_addr);
	memset(&addr, 0, sizeof(addr));
	memcpy(&addr, &a, sizeof(a));
	addr_len = sizeof(a);
}

/* '@': an abstract name. */
static void local(const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	strcpy(a.sun_path, name);
	if (a.sun_path[0] == '@')
		a.sun_path[0] = '\0';
	memset(&addr, 0, sizeof(addr));
	memcpy(&addr, &a, sizeof(a));
	addr_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) +
			       (name[0] != '@'));
}

/* How a call is made: each is tried. */
enum way { WAY_64, WAY_32, WAY_SOCKETCALL, WAYS };

static long sock_call(enum way way, int call, long a, long b, long c, long d)
{
	/* bind, connect, listen, accept, accept4: 64-bit, 32-bit, in socketcall() */
	static const int nr[][3] = {
		{49, 361, 2}, {42, 362, 3}, {50, 363, 4}, {43, 0, 5}, {288, 364, 18}};

	if (way == WAY_64)
		return act(syscall(nr[call][0], a, b, c, d));
	if (way == WAY_32)
		return call32(nr[call][1], (uintptr_t)a, (uintptr_t)b, (uintptr_t)c, (uintptr_t)d,
			      0);
	words[0] = (uint32_t)a;
	words[1] = (uint32_t)b;
	words[2] = (uint32_t)c;
	words[3] = (uint32_t)d;
	return call32(102, (uintptr_t)nr[call][2], (uintptr_t)words, 0, 0, 0);
}
#define BIND(way, fd)        sock_call(way, 0, fd, (long)&addr, addr_len, 0)
#define CONNECT(way, fd)     sock_call(way, 1, fd, (long)&addr, addr_len, 0)
#define LISTEN(way, fd, n)   sock_call(way, 2, fd, n, 0, 0)
#define ACCEPT(way, fd)      sock_call(way, 3, fd, 0, 0, 0)
#define ACCEPT4(way, fd, fl) sock_call(way, 4, fd, 0, 0, fl)

static int fresh(int family, int type)
{
	const int one = 1, fd = socket(family, type, 0);
	const struct linger reset = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* No TIME_WAIT is left for the next storm. */
	if (family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	return fd;
}

/* A whole life of a listener: the address is in `addr`. */
static void serve(enum way way, int family, bool nonblock)
{
	const int server = fresh(family, SOCK_STREAM),
		  client = fresh(family, SOCK_STREAM | (nonblock ? SOCK_NONBLOCK : 0));

	BIND(way, server);
	BIND(way, server); /* EINVAL: it has an address */
	LISTEN(way, server, 5);
	CONNECT(way, client);
	done(way == WAY_32 ? ACCEPT4(way, server, 0) : ACCEPT(way, server));
	CONNECT(way, client); /* EISCONN */
	close(client);
	fcntl(server, F_SETFL, O_NONBLOCK);
	done(ACCEPT4(way, server, SOCK_CLOEXEC)); /* EAGAIN */
	done(ACCEPT4(way, server, 1));            /* EINVAL: no such flag */
	close(server);
}

static void sockets_by(enum way way, const char *folder)
{
	const int file = open("file", O_RDONLY), udp = fresh(AF_INET, SOCK_DGRAM),
		  tcp = fresh(AF_INET, SOCK_STREAM), tcp6 = fresh(AF_INET6, SOCK_STREAM),
		  un = fresh(AF_UNIX, SOCK_STREAM), un2 = fresh(AF_UNIX, SOCK_DGRAM);
	char name[108];

	inet4("127.0.0.1", port);
	serve(way, AF_INET, false);
	serve(way, AF_INET, true);
	inet6("::1", port);
	serve(way, AF_INET6, false);
	inet6("::ffff:127.0.0.1", port);
	serve(way, AF_INET6, false);
	snprintf(name, sizeof(name), "%s/socket", folder);
	local(name);
	serve(way, AF_UNIX, false);
	local("@tipstaff-storm");
	serve(way, AF_UNIX, false);

	inet4("127.0.0.1", 1);
	CONNECT(way, tcp); /* ECONNREFUSED */
	BIND(way, udp);    /* EACCES, unless it is root */
	CONNECT(way, UNUSED_FD);
	CONNECT(way, file);
	CONNECT(way, -1);
	BIND(way, UNUSED_FD);
	BIND(way, file);
	LISTEN(way, UNUSED_FD, 1);
	LISTEN(way, file, 1);
	LISTEN(way, udp, 1); /* EOPNOTSUPP */
	ACCEPT4(way, UNUSED_FD, 0);
	ACCEPT4(way, file, 0);
	ACCEPT4(way, tcp, 0); /* EINVAL: it does not listen */
	inet6("::1", 1);
	CONNECT(way, tcp6);
	inet4("198.51.100.1", 9);
	BIND(way, tcp);    /* EADDRNOTAVAIL */
	CONNECT(way, udp); /* no packet is sent: fine, or ENETUNREACH */
	addr.ss_family = 250;
	CONNECT(way, tcp); /* EAFNOSUPPORT */
	addr.ss_family = AF_UNSPEC;
	CONNECT(way, udp); /* disconnects */
	addr_len = 1;
	CONNECT(way, tcp); /* EINVAL */
	addr_len = 4000;
	CONNECT(way, tcp);
	sock_call(way, 1, tcp, 8, 16, 0); /* EFAULT */
	sock_call(way, 0, tcp, 8, 16, 0);
	local("/nowhere/at/all");
	CONNECT(way, un); /* ENOENT */
	BIND(way, un2);
	local("@nobody-listens-here");
	CONNECT(way, un);
	snprintf(name, sizeof(name), "%s/file", folder);
	local(name);
	BIND(way, un2);   /* EADDRINUSE */
	CONNECT(way, un); /* ECONNREFUSED, or EACCES */
	close(file);
	close(udp);
	close(tcp);
	close(tcp6);
	close(un);
	close(un2);
	snprintf(name, sizeof(name), "%s/socket", folder);
	unlink(name);
}

static void sockets(const char *folder)
{
	for (enum way way = WAY_64; way < (ia32 ? WAYS : WAY_32); way++)
		sockets_by(way, folder);
}

/* ---- signals, tracing ---- */

static pid_t sleeper(void)
{
	const pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

static pid_t signals(void)
{
	const pid_t self = getpid(), child = sleeper();
	int status;

	act(syscall(SYS_kill, self, 0));
	act(syscall(SYS_kill, UNUSED_PID, SIGTERM));
	act(syscall(SYS_kill, self, 999));
	act(syscall(SYS_kill, 1, 0)); /* 0: nobody is hurt; EPERM, unless it is root */
	act(syscall(SYS_tkill, self, 0));
	act(syscall(SYS_tkill, UNUSED_PID, SIGUSR1));
	act(syscall(SYS_tgkill, self, self, 0));
	act(syscall(SYS_tgkill, self, UNUSED_PID, SIGHUP));
	act(syscall(SYS_tgkill, -1, self, SIGHUP));
	if (ia32) {
		call32(37, (uintptr_t)self, 0, 0, 0, 0);
		call32(37, UNUSED_PID, SIGTERM, 0, 0, 0);
		call32(238, (uintptr_t)self, 0, 0, 0, 0);
		call32(270, (uintptr_t)self, (uintptr_t)self, 0, 0, 0);
	}
	if (act(syscall(SYS_ptrace, PTRACE_SEIZE, child, 0, 0)))
		die("ptrace: %s", strerror(errno));
	act(syscall(SYS_ptrace, PTRACE_INTERRUPT, child, 0, 0));
	waitpid(child, &status, __WALL);
	act(syscall(SYS_ptrace, PTRACE_SETOPTIONS, child, 0, PTRACE_O_EXITKILL));
	act(syscall(SYS_ptrace, PTRACE_PEEKDATA, child, 8, &addr)); /* EIO */
	act(syscall(SYS_ptrace, PTRACE_DETACH, child, 0, 0));
	act(syscall(SYS_ptrace, PTRACE_ATTACH, UNUSED_PID, 0, 0));
	act(syscall(SYS_ptrace, PTRACE_ATTACH, self, 0, 0)); /* EPERM */
	act(syscall(SYS_ptrace, 0x7777, child, 0, 0));
	if (ia32) {
		call32(26, PTRACE_ATTACH, UNUSED_PID, 0, 0, 0);
		call32(26, PTRACE_SEIZE, (uintptr_t)child, 0, 0, 0);
	}
	act(syscall(SYS_kill, child, SIGKILL));
	waitpid(child, &status, __WALL);
	return child;
}

/* ---- mounts, modules ---- */

static void mounts_by(bool by32, const char *source, const char *target, const char *type,
		      unsigned long flags)
{
	static char s[64], t[64], y[64];

	snprintf(s, sizeof(s), "%s", source ? source : "");
	snprintf(t, sizeof(t), "%s", target ? target : "");
	snprintf(y, sizeof(y), "%s", type ? type : "");
	if (by32)
		call32(21, source ? (uintptr_t)s : 0, target ? (uintptr_t)t : 0,
		       type ? (uintptr_t)y : 0, flags, 0);
	else
		act(syscall(SYS_mount, source ? s : NULL, target ? t : NULL, type ? y : NULL, flags,
			    NULL));
}

static void mounts(void)
{
	static char name[64];

	if (geteuid() == 0 && unshare(CLONE_NEWNS))
		die("unshare: %s", strerror(errno));
	for (int by32 = 0; by32 <= (ia32 ? 1 : 0); by32++) {
		mounts_by(by32, NULL, "/", NULL, MS_REC | MS_PRIVATE);
		mounts_by(by32, "none", "sub", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC);
		mounts_by(by32, NULL, "sub", NULL, MS_REMOUNT | MS_RDONLY);
		mounts_by(by32, "file", "link", NULL, MS_BIND);
		mounts_by(by32, "none", "missing", "tmpfs", 0);
		mounts_by(by32, "none", "sub", "no-such-fs", 0);
		mounts_by(by32, "none", NULL, "tmpfs", 0);
		strcpy(name, "link");
		act(syscall(SYS_umount2, name, MNT_DETACH));
		strcpy(name, "sub");
		if (by32) {
			call32(22, (uintptr_t)name, 0, 0, 0, 0);
			call32(52, (uintptr_t)name, UMOUNT_NOFOLLOW, 0, 0, 0);
		} else {
			act(syscall(SYS_umount2, name, 0));
		}
	}
	act(syscall(SYS_mount, 8, 8, 8, 0, NULL)); /* EFAULT */
	strcpy(name, "missing");
	act(syscall(SYS_umount2, name, MNT_FORCE | MNT_EXPIRE));
	act(syscall(SYS_umount2, name, 0x1000));
	act(syscall(SYS_move_mount, AT_FDCWD, "missing", AT_FDCWD, "sub", 0));
	act(syscall(SYS_move_mount, UNUSED_FD, "", AT_FDCWD, "sub", 4));
	if (ia32)
		call32(429, (uintptr_t)(unsigned int)AT_FDCWD, (uintptr_t)name,
		       (uintptr_t)(unsigned int)AT_FDCWD, (uintptr_t)name, 0);
}

static void modules(void)
{
	static char image[4096] = "this is no module", parameters[] = "a=1 b=2";
	const int file = open("file", O_RDONLY);

	act(syscall(SYS_init_module, image, sizeof(image), parameters));
	act(syscall(SYS_init_module, image, 1, ""));
	act(syscall(SYS_finit_module, file, parameters, 2));
	act(syscall(SYS_finit_module, UNUSED_FD, "", 0));
	if (ia32) {
		call32(128, (uintptr_t)image, sizeof(image), (uintptr_t)parameters, 0, 0);
		call32(350, (uintptr_t)file, (uintptr_t)parameters, 1, 0, 0);
	}
	close(file);
}

/* ---- memory ---- */

#define PLACE 0x70000000ul

static void memory(void)
{
	const int file = open("file", O_RDONLY), fixed = MAP_PRIVATE | MAP_FIXED;

	act(syscall(SYS_mmap, PLACE, 8192, PROT_READ | PROT_EXEC, fixed | MAP_ANONYMOUS, -1, 0));
	act(syscall(SYS_mmap, PLACE, 4096, PROT_READ | PROT_EXEC, fixed, file, 0));
	act(syscall(SYS_mmap, PLACE, 4096, PROT_EXEC, MAP_PRIVATE, UNUSED_FD, 0));
	act(syscall(SYS_mmap, PLACE, 0, PROT_EXEC, fixed | MAP_ANONYMOUS, -1, 0));
	act(syscall(SYS_mmap, PLACE, 4096, PROT_READ | PROT_WRITE, fixed | MAP_ANONYMOUS, -1, 0));
	act(syscall(SYS_mprotect, PLACE, 4096, PROT_READ | PROT_EXEC));
	act(syscall(SYS_mprotect, PLACE + 1, 4096, PROT_EXEC));
	act(syscall(SYS_mprotect, 4096, 4096, PROT_EXEC));
	act(syscall(SYS_mprotect, PLACE, 4096, PROT_READ));
	act(syscall(SYS_pkey_mprotect, PLACE, 4096, PROT_WRITE | PROT_EXEC, -1));
	act(syscall(SYS_pkey_mprotect, PLACE, 4096, PROT_EXEC, 99));
	if (ia32) {
		call32(192, PLACE, 4096, PROT_READ | PROT_EXEC, (uintptr_t)fixed, (uintptr_t)file);
		words[0] = PLACE;
		words[1] = 4096;
		words[2] = PROT_EXEC;
		words[3] = (uint32_t)(fixed | MAP_ANONYMOUS);
		words[4] = (uint32_t)-1;
		words[5] = 0;
		call32(90, (uintptr_t)words, 0, 0, 0, 0);
		call32(125, PLACE, 4096, PROT_READ | PROT_EXEC, 0, 0);
		call32(380, PLACE, 4096, PROT_READ | PROT_EXEC, (uintptr_t)-1, 0);
	}
	close(file);
}

/* ---- calls that have no record of their own ---- */

/* By both tables; what they return is no descriptor. */
static void both(long nr, long nr32, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d,
		 uintptr_t e)
{
	act(syscall(nr, a, b, c, d, e));
	if (ia32)
		call32(nr32, a, b, c, d, e);
}

#define P(text) ((uintptr_t)(text))
#define HERE    ((uintptr_t)(unsigned int)AT_FDCWD)

/* What one of them makes the next takes away: the folder is afterwards what it was. */
static void paths(int dir)
{
	const uintptr_t d = (uintptr_t)dir, none = UNUSED_FD;

	both(SYS_link, 9, P("file"), P("sub/../hard"), 0, 0, 0);
	both(SYS_linkat, 303, d, P("hard"), HERE, P("hard2"), 0);
	both(SYS_linkat, 303, none, P("hard"), d, P("missing/hard"), 0);
	both(SYS_rename, 38, P("hard"), P("hard3"), 0, 0, 0);
	both(SYS_renameat, 302, d, P("hard3"), d, P("hard4"), 0);
	both(SYS_renameat2, 353, HERE, P("hard4"), d, P("hard2"), 1);
	both(SYS_unlink, 10, P("hard4"), 0, 0, 0, 0);
	both(SYS_unlinkat, 301, d, P("hard2"), 0, 0, 0);
	both(SYS_unlinkat, 301, none, P("hard2"), 0, 0, 0);
	both(SYS_unlink, 10, 8, 0, 0, 0, 0);
	both(SYS_symlink, 83, P("/etc/storm-target"), P("soft"), 0, 0, 0);
	both(SYS_symlinkat, 304, P("../x"), d, P("soft2"), 0, 0);
	both(SYS_unlink, 10, P("soft"), 0, 0, 0, 0);
	both(SYS_unlink, 10, P("soft2"), 0, 0, 0, 0);
	both(SYS_mkdir, 39, P("new"), 0750, 0, 0, 0);
	both(SYS_mkdirat, 296, d, P("new2"), 0700, 0, 0);
	both(SYS_rmdir, 40, P("new"), 0, 0, 0, 0);
	both(SYS_unlinkat, 301, d, P("new2"), AT_REMOVEDIR, 0, 0);
	both(SYS_chmod, 15, P("file"), 04755, 0, 0, 0);
	both(SYS_fchmodat, 306, d, P("file"), 0666, 0, 0);
	both(SYS_chown, 212, P("file"), (uintptr_t)-1, (uintptr_t)-1, 0, 0);
	both(SYS_lchown, 198, P("link"), (uintptr_t)-1, (uintptr_t)-1, 0, 0);
	both(SYS_fchownat, 298, d, P("file"), (uintptr_t)-1, (uintptr_t)-1, AT_SYMLINK_NOFOLLOW);
	both(SYS_chdir, 12, P("sub/.."), 0, 0, 0, 0);
	both(SYS_fchdir, 133, d, 0, 0, 0, 0);
}

static void files(int file)
{
	static char data[16] = "storm\xca\xfe";
	const uintptr_t f = (uintptr_t)file, none = UNUSED_FD;

	both(SYS_fchmod, 94, f, 0666, 0, 0, 0);
	both(SYS_fchown, 207, f, (uintptr_t)-1, (uintptr_t)-1, 0, 0);
	both(SYS_write, 4, f, P(data), 8, 0, 0);
	both(SYS_pwrite64, 181, f, P(data), 4, 0, 0);
	both(SYS_pread64, 180, f, P(data), 8, 0, 0);
	both(SYS_read, 3, f, P(data), 8, 0, 0);
	both(SYS_read, 3, none, P(data), 8, 0, 0);
	done(act(syscall(SYS_dup, file)));
	done(act(syscall(SYS_dup2, file, 200)));
	done(act(syscall(SYS_dup3, file, 201, O_CLOEXEC)));
	both(SYS_dup2, 63, none, 202, 0, 0, 0);
	both(SYS_dup3, 330, f, f, 0, 0, 0); /* EINVAL */
	both(SYS_sendto, 369, none, P(data), 5, 0, 0);
	both(SYS_sendto, 369, f, P(data), 5, 0, 0);
	both(SYS_sendmsg, 370, f, P(data), 0, 0, 0);
	both(SYS_recvfrom, 371, f, P(data), 5, 0, 0);
	both(SYS_recvmsg, 372, none, P(data), 0, 0, 0);
	both(SYS_socket, 359, 250, SOCK_STREAM, 0, 0, 0); /* EAFNOSUPPORT */
	both(SYS_setns, 346, f, 0, 0, 0, 0);              /* EINVAL */
	both(SYS_unshare, 310, 0, 0, 0, 0, 0);
	both(SYS_setsid, 66, 0, 0, 0, 0, 0);
	both(SYS_bpf, 357, 9999, 0, 0, 0, 0);
	both(SYS_userfaultfd, 374, 0x100, 0, 0, 0, 0); /* EINVAL */
	both(SYS_memfd_create, 356, P("storm-memory"), 0x8000, 0, 0, 0);
	both(SYS_prctl, 172, 38 /* PR_SET_NO_NEW_PRIVS */, 2, 0, 0, 0);
	both(SYS_pipe2, 331, P(data), 1, 0, 0, 0);
	both(SYS_getpriority, 96, 0, 0, 0, 0, 0);
}

static void calls(void)
{
	const int dir = open(".", O_RDONLY | O_DIRECTORY), file = open("file", O_RDWR);

	paths(dir);
	files(file);
	close(file);
	close(dir);
}

/* ---- the storm ---- */

static void prepare(const char *folder)
{
	if (chdir(folder))
		die("%s: %s", folder, strerror(errno));
	if (access("file", F_OK) == 0)
		return;
	mkdir("sub", 0755);
	close(open("file", O_CREAT | O_WRONLY, 0666));
	close(open("missing", O_CREAT | O_WRONLY, 0666));
	unlink("missing");
	close(open("closed", O_CREAT | O_WRONLY, 0600));
	chmod("closed", 0);
	chmod("file", 0666);
	if (symlink("file", "link") || symlink("loop", "loop"))
		die("symlink: %s", strerror(errno));
}

static void *in_thread(void *tid)
{
	*(long *)tid = syscall(SYS_gettid);
	done(act(syscall(SYS_openat, AT_FDCWD, text("sub/../file"), O_RDONLY, 0)));
	inet4("127.0.0.1", 2);
	CONNECT(WAY_64, fresh(AF_INET, SOCK_STREAM));
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	pid_t child;
	long tid = 0;

	if (argc < 3)
		die("usage: storm FOLDER PORT");
	port = (unsigned short)strtoul(argv[2], NULL, 10);
	signal(SIGPIPE, SIG_IGN);
	umask(0);
	prepare(argv[1]);
	ia32 = has_ia32();
	acts = 0;
	opens(argv[1]);
	sockets(argv[1]);
	child = signals();
	modules();
	memory();
	mounts();
	calls();
	if (pthread_create(&thread, NULL, in_thread, &tid))
		die("pthread_create failed");
	pthread_join(thread, NULL);
	printf("{\"self\":%d,\"child\":%d,\"thread\":%ld,\"acts\":%lu,\"ia32\":%s}\n", getpid(),
	       (int)child, tid, acts, ia32 ? "true" : "false");
	return 0;
}
