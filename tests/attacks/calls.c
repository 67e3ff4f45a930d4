/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls FOLDER: system calls that have no record of their own, each with arguments that can be told
 * apart. FOLDER is empty. Prints {"call":NAME,"result":R} for each, R being -errno on failure, and
 * {"port":P}: where its datagrams go, {"pid":PID}.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "attack.h"

/* What a 32-bit call points at must lie below 4 GB: this program is static and not relocated. */
static char low[64];

static long told(const char *call, long result)
{
	if (result == -1)
		result = -errno;
	printf("{\"call\":\"%s\",\"result\":%ld}\n", call, result);
	return result;
}

#define CALL(name, ...) told(#name, syscall(SYS_##name, __VA_ARGS__))

/* A call of two arguments through the 32-bit table. */
static long call32(long nr, uintptr_t a, uintptr_t b)
{
	long ret;

	asm volatile("lea -128(%%rsp), %%rsp\n\t"
		     "int $0x80\n\t"
		     "lea 128(%%rsp), %%rsp"
		     : "=a"(ret)
		     : "a"(nr), "b"(a), "c"(b)
		     : "memory", "cc", "r8", "r9", "r10", "r11");
	return (int)ret;
}

static void paths(int dir)
{
	int fd = open("old", O_CREAT | O_RDWR, 0600);

	if (fd < 0)
		die("old: %m");
	CALL(link, "old", "sub/../hard");
	CALL(linkat, dir, "old", AT_FDCWD, "hard2", 0);
	CALL(symlink, "/etc/sensor-target", "soft");
	CALL(symlinkat, "../x", dir, "soft2");
	CALL(rename, "hard", "hard3");
	CALL(renameat, dir, "hard2", dir, "hard4");
	CALL(renameat2, AT_FDCWD, "hard3", dir, "hard4", 1);
	CALL(unlink, "hard3");
	CALL(unlinkat, dir, "missing", 0);
	CALL(mkdir, "new", 0750);
	CALL(mkdirat, dir, "new2", 0700);
	CALL(rmdir, "new");
	told("unlinkat", syscall(SYS_unlinkat, dir, "new2", AT_REMOVEDIR));
	CALL(chmod, "old", 04755);
	CALL(fchmod, fd, 02711);
	CALL(fchmodat, dir, "old", 0644);
	CALL(chown, "old", -1, -1);
	CALL(fchownat, dir, "old", -1, -1, AT_SYMLINK_NOFOLLOW);
	CALL(chdir, ".");
	CALL(fchdir, dir);
	strcpy(low, "new32");
	told("mkdir", call32(39, (uintptr_t)low, 0700));
	CALL(write, fd, "\xca\xfe\xba\xbe and text", 13);
	CALL(pread64, fd, low, 13, 0);
	CALL(close, fd);
}

static void sockets(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char text[8] = "message", buf[8];
	struct iovec iov = {text, 7}, in = {buf, sizeof(buf)};
	struct msghdr msg = {
		.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &iov, .msg_iovlen = 1};
	struct msghdr got = {.msg_iov = &in, .msg_iovlen = 1};
	socklen_t len = sizeof(to);
	struct sockaddr_in from;
	int server = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP), s;

	if (server < 0 || bind(server, (void *)&to, sizeof(to)) ||
	    getsockname(server, (void *)&to, &len))
		die("server: %m");
	printf("{\"port\":%u}\n", ntohs(to.sin_port));
	s = (int)CALL(socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CALL(sendto, s, "hello", 5, 0, &to, sizeof(to));
	CALL(sendmsg, s, &msg, 0);
	CALL(recvfrom, server, buf, sizeof(buf), 0, &from, &len);
	CALL(recvmsg, server, &got, 0);
	if (connect(s, (void *)&to, sizeof(to)))
		die("connect: %m");
	CALL(dup, s);
	CALL(dup2, s, 200);
	CALL(dup3, s, 201, O_CLOEXEC);
	told("dup2", syscall(SYS_dup2, 900, 201));
	told("socket", syscall(SYS_socket, AF_PACKET, SOCK_RAW, 0));
}

/* Those that have a record of their own. */
static void records(int dir)
{
	struct open_how how = {.resolve = RESOLVE_BENEATH};

	CALL(open, "sub/../old", O_RDWR | O_TRUNC);
	CALL(openat, dir, "missing", O_RDONLY);
	CALL(openat2, dir, "old", &how, sizeof(how));
	CALL(creat, "made", 0640);
	CALL(mknod, "fifo", S_IFIFO | 0600, 0);
	CALL(fcntl, dir, F_GETFD, 0);
	CALL(kill, getpid(), SIGURG);
	CALL(tgkill, getpid(), getpid(), SIGURG);
	CALL(ptrace, PTRACE_DETACH, 99999999, 0, 0);
	CALL(mount, "none", "nowhere", "tmpfs", MS_NOSUID | MS_NODEV, NULL);
	CALL(umount2, "nowhere", MNT_DETACH);
	CALL(mprotect, NULL, 4096, PROT_READ | PROT_EXEC);
}

static void streams(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);

	CALL(bind, s, &at, sizeof(at));
	if (getsockname(s, (void *)&at, &len))
		die("getsockname: %m");
	CALL(listen, s, 7);
	CALL(connect, c, &at, sizeof(at));
	CALL(accept, s, NULL, NULL);
}

static void others(void)
{
	int fds[2];

	CALL(setns, 900, CLONE_NEWNET);
	CALL(unshare, CLONE_FILES);
	told("setsid", syscall(SYS_setsid));
	CALL(bpf, BPF_PROG_LOAD, NULL, 0);
	CALL(userfaultfd, O_CLOEXEC | O_NONBLOCK);
	CALL(memfd_create, "sensor-memory", MFD_CLOEXEC);
	CALL(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	CALL(pipe2, fds, O_CLOEXEC);
}

/* Those that no code of their own tells of, but have arguments in the language. */
static void named(int dir)
{
	int fd = open("old", O_RDWR), word = 1, s = socket(AF_INET, SOCK_STREAM, 0);
	char message[] = "a message";
	struct iovec own = {message, 9}, same = {low, 9};
	struct rlimit files;
	struct stat st;

	CALL(lseek, fd, 2, SEEK_END);
	CALL(stat, "sub/../old", &st);
	CALL(newfstatat, dir, "missing", &st, AT_SYMLINK_NOFOLLOW);
	CALL(access, "old", R_OK | W_OK);
	CALL(flock, fd, LOCK_SH | LOCK_NB);
	CALL(getcwd, low, sizeof(low));
	CALL(eventfd2, 3, EFD_CLOEXEC);
	CALL(epoll_create1, EPOLL_CLOEXEC);
	CALL(pidfd_open, getpid(), 0);
	CALL(futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
	CALL(setsockopt, s, SOL_SOCKET, SO_REUSEADDR, &word, sizeof(word));
	CALL(munlock, low, sizeof(low));
	CALL(getrlimit, RLIMIT_NOFILE, &files);
	CALL(keyctl, 0, -3, 0, 0, 0);
	CALL(close_range, 5000, 5001, 0);
	CALL(getuid, 0);
	CALL(process_vm_writev, getpid(), &own, 1, &same, 1, 0);
}

/* Those that say most of it in memory. */
static void pointing(void)
{
	struct timespec moment = {0, 2000000};
	struct rlimit core = {0, 4096};
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct caps[2];
	int pair[2], size = 4096, s = socket(AF_INET, SOCK_STREAM, 0);
	struct pollfd polled[2] = {{.events = POLLIN}, {.fd = 700, .events = POLLIN}};
	uint64_t mask = 1 << (SIGUSR1 - 1);

	CALL(socketpair, AF_UNIX, SOCK_STREAM, 0, pair);
	polled[0].fd = pair[0];
	if (write(pair[1], "x", 1) != 1)
		die("write: %m");
	CALL(poll, polled, 2, 0);
	CALL(nanosleep, &moment, NULL);
	CALL(setrlimit, RLIMIT_CORE, &core);
	CALL(signalfd4, -1, &mask, sizeof(mask), SFD_CLOEXEC);
	CALL(setsockopt, s, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	CALL(prctl, PR_SET_NAME, "calls", 0, 0, 0);
	CALL(fsconfig, 900, 1, "source", "overlay", 0);
	if (syscall(SYS_capget, &header, caps))
		die("capget: %m");
	CALL(capset, &header, caps);
}

/* One descriptor of each kind, and each is duplicated. */
static void kinds(void)
{
	union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8};
	struct io_uring_params ring = {0};
	sigset_t none;
	int fds[2];

	sigemptyset(&none);
	map.max_entries = 1;
	if (pipe(fds))
		die("pipe: %m");
	CALL(dup, fds[0]);
	CALL(dup, eventfd(7, EFD_CLOEXEC));
	CALL(dup, epoll_create1(EPOLL_CLOEXEC));
	CALL(dup, signalfd(-1, &none, 0));
	CALL(dup, timerfd_create(CLOCK_MONOTONIC, 0));
	CALL(dup, inotify_init1(IN_CLOEXEC));
	CALL(dup, CALL(io_uring_setup, 1, &ring));
	CALL(dup, syscall(SYS_userfaultfd, O_CLOEXEC));
	CALL(dup, syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof(map)));
	CALL(dup, memfd_create("memory", 0));
	CALL(dup, syscall(SYS_pidfd_open, getpid(), 0));
	CALL(dup, fanotify_init(FAN_CLASS_NOTIF, O_RDONLY));
}

int main(int argc, char **argv)
{
	int dir;

	setvbuf(stdout, NULL, _IOFBF, 1 << 16); /* one write at the end: it is a call, too */
	if (argc != 2 || chdir(argv[1]) || mkdir("sub", 0700))
		die("usage: calls FOLDER");
	dir = open(".", O_RDONLY | O_DIRECTORY);
	if (dir < 0)
		die("%s: %m", argv[1]);
	printf("{\"pid\":%d}\n", getpid());
	paths(dir);
	sockets();
	streams();
	records(dir);
	others();
	named(dir);
	pointing();
	kinds();
	CALL(getpriority, 0, 0);
	return 0;
}
