/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reach KIND ARGUMENTS...: ways to a forbidden act that are not the plain one.
 *   opath PATH              a descriptor by O_PATH, opened again through /proc/self/fd
 *   ia32 PATH               openat by the 32-bit table
 *   truncate PATH           without a descriptor
 *   race PATH HARMLESS      one thread opens PATH, another puts HARMLESS at the number it gets
 *   thread-exec PATH        execve from a thread that is not the leader
 *   memfd PATH              its bytes, executed from memory
 *   unspec HOST PORT        a datagram to an address whose family says AF_UNSPEC
 *   fastopen HOST PORT      data with the SYN: no connect()
 *   bind HOST PORT          bind()
 *   unspec-bind PORT        bind() to 0.0.0.0 with the family AF_UNSPEC
 *   raw | packet | ping | vsock | unix    socket()
 *   inherited FD HOST PORT  connect() on a socket that was there already
 *   received FD HOST PORT   connect() on a socket that comes by SCM_RIGHTS over FD
 * Prints {"who":KIND,"result":N}: 0 or more, or -errno. With "wait" as last argument it prints
 * {"who":"ready"} and reads a line before it acts.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attack.h"

#ifndef AF_VSOCK
#define AF_VSOCK 40
#endif

static struct sockaddr_in address(const char *host, const char *port, sa_family_t family)
{
	struct sockaddr_in a = {.sin_family = family,
				.sin_port = htons((uint16_t)strtoul(port, NULL, 10))};

	if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
		die("%s: no address", host);
	return a;
}

static long result_of(long ret)
{
	return ret < 0 ? -(long)errno : ret;
}

static long by_opath(const char *path)
{
	const int fd = open(path, O_PATH | O_CLOEXEC);
	char again[64];

	if (fd < 0)
		die("%s: O_PATH itself: %s", path, strerror(errno));
	snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
	return result_of(open(again, O_RDONLY | O_CLOEXEC));
}

/* The name has to lie where 32 bits reach it. */
static long by_ia32(const char *path)
{
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long ret;

	if (low == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	snprintf(low, 4096, "%s", path);
	asm volatile("int $0x80"
		     : "=a"(ret)
		     : "a"(295), "b"(AT_FDCWD), "c"((uintptr_t)low), "d"(O_RDONLY), "S"(0)
		     : "memory", "cc", "r8", "r9", "r10", "r11");
	return (int)ret;
}

static const char *harmless;
static volatile int swapped = -1, stop;

/* Puts the harmless file at every number that could be the next one. */
static void *swap(void *number)
{
	const int fd = open(harmless, O_RDONLY | O_CLOEXEC), at = *(const int *)number;

	while (!stop) {
		if (fcntl(at, F_GETFD) >= 0)
			dup2(fd, at);
	}
	return NULL;
}

static long by_race(const char *path, const char *other)
{
	long got = -EPERM;
	pthread_t thread;
	int next;

	harmless = other;
	next = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(next);
	if (pthread_create(&thread, NULL, swap, &next))
		die("no thread");
	for (int i = 0; i < 2000 && got == -EPERM; i++) {
		const int fd = open(path, O_RDONLY | O_CLOEXEC);

		got = result_of(fd);
		if (fd >= 0)
			close(fd);
	}
	stop = 1;
	pthread_join(thread, NULL);
	return got;
}

static void *execute(void *path)
{
	char *const argv[] = {path, NULL};

	execv(path, argv);
	swapped = errno;
	return NULL;
}

static long by_thread_exec(char *path)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, execute, path))
		die("no thread");
	pthread_join(thread, NULL);
	return -swapped;
}

static long by_memfd(const char *path)
{
	char *const argv[] = {(char *)path, NULL}, *const env[] = {NULL};
	const int from = open(path, O_RDONLY | O_CLOEXEC), to = memfd_create("copy", MFD_CLOEXEC);
	char buf[65536];
	ssize_t n;

	if (from < 0)
		return result_of(-1);
	while ((n = read(from, buf, sizeof(buf))) > 0)
		if (write(to, buf, (size_t)n) != n)
			die("write: %s", strerror(errno));
	return result_of(fexecve(to, argv, env));
}

static long send_to(int type, int flags, const struct sockaddr_in *a)
{
	const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	return result_of(sendto(fd, "x", 1, flags, (const struct sockaddr *)a, sizeof(*a)));
}

static long connect_on(int fd, const struct sockaddr_in *a)
{
	return result_of(connect(fd, (const struct sockaddr *)a, sizeof(*a)));
}

static int receive(int from)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	int fd = -1;

	if (recvmsg(from, &msg, 0) < 0 || !(c = CMSG_FIRSTHDR(&msg)))
		die("no descriptor came: %s", strerror(errno));
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static long make(int family, int type, int protocol)
{
	return result_of(socket(family, type | SOCK_CLOEXEC, protocol));
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";
	struct sockaddr_in a;
	long result;

	if (argc > 1 && !strcmp(argv[argc - 1], "wait")) {
		printf("{\"who\":\"ready\"}\n");
		fflush(stdout);
		getchar();
	}
	if (!strcmp(kind, "opath") && argc > 2) {
		result = by_opath(argv[2]);
	} else if (!strcmp(kind, "ia32") && argc > 2) {
		result = by_ia32(argv[2]);
	} else if (!strcmp(kind, "truncate") && argc > 2) {
		result = result_of(truncate(argv[2], 0));
	} else if (!strcmp(kind, "race") && argc > 3) {
		result = by_race(argv[2], argv[3]);
	} else if (!strcmp(kind, "thread-exec") && argc > 2) {
		result = by_thread_exec(argv[2]);
	} else if (!strcmp(kind, "memfd") && argc > 2) {
		result = by_memfd(argv[2]);
	} else if (!strcmp(kind, "unspec") && argc > 3) {
		a = address(argv[2], argv[3], AF_UNSPEC);
		result = send_to(SOCK_DGRAM, 0, &a);
	} else if (!strcmp(kind, "fastopen") && argc > 3) {
		a = address(argv[2], argv[3], AF_INET);
		result = send_to(SOCK_STREAM, MSG_FASTOPEN, &a);
	} else if (!strcmp(kind, "bind") && argc > 3) {
		a = address(argv[2], argv[3], AF_INET);
		result = result_of(bind(socket(AF_INET, SOCK_STREAM, 0),
					(const struct sockaddr *)&a, sizeof(a)));
	} else if (!strcmp(kind, "unspec-bind") && argc > 2) {
		a = address("0.0.0.0", argv[2], AF_UNSPEC);
		result = result_of(bind(socket(AF_INET, SOCK_STREAM, 0),
					(const struct sockaddr *)&a, sizeof(a)));
	} else if (!strcmp(kind, "raw")) {
		result = make(AF_INET, SOCK_RAW, IPPROTO_UDP);
	} else if (!strcmp(kind, "packet")) {
		result = make(AF_PACKET, SOCK_RAW, 0);
	} else if (!strcmp(kind, "ping")) {
		result = make(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	} else if (!strcmp(kind, "vsock")) {
		result = make(AF_VSOCK, SOCK_STREAM, 0);
	} else if (!strcmp(kind, "unix")) {
		result = make(AF_UNIX, SOCK_STREAM, 0);
	} else if (!strcmp(kind, "inherited") && argc > 4) {
		a = address(argv[3], argv[4], AF_INET);
		result = connect_on((int)strtol(argv[2], NULL, 10), &a);
	} else if (!strcmp(kind, "received") && argc > 4) {
		a = address(argv[3], argv[4], AF_INET);
		result = connect_on(receive((int)strtol(argv[2], NULL, 10)), &a);
	} else {
		die("usage: reach KIND ARGUMENTS..., see the source");
	}
	printf("{\"who\":\"%s\",\"result\":%ld}\n", kind, result);
	return 0;
}
