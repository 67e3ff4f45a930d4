/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uring open PATH | polled PATH | direct PATH | quiet PATH | connect HOST PORT | sendto HOST PORT
 * | serve PORT | unlink PATH | mkdir PATH | rename OLD NEW | link OLD NEW | symlink TARGET PATH |
 * read PATH | readv PATH | write PATH TEXT | workload SOCKET: does it through io_uring, in a worker
 * thread that the kernel makes (IOSQE_ASYNC). Opens: "polled" by the thread that polls the ring
 * (IORING_SETUP_SQPOLL), "direct" into the ring's own table of descriptors, "quiet" without a
 * completion. No system call of the act's name happens; what is read or written is opened by
 * openat(). Prints
 * {"who":"uring","result":N}; with "workload" it then asks on the connection and prints that answer
 * too. With "wait" as last argument it prints {"who":"ready"} and reads a line before it acts.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "attack.h"

/* Newer than the headers of Debian 12. */
#define OP_BIND   56
#define OP_LISTEN 57

static int ring_fd;
static struct io_uring_params params;
static struct io_uring_sqe *sqes;
static uint8_t *sq, *cq;

static bool ring_open(void)
{
	const size_t size = 4096;

	ring_fd = (int)syscall(SYS_io_uring_setup, 4, &params);
	if (ring_fd < 0)
		return false;
	sq = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring_fd, IORING_OFF_SQ_RING);
	cq = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring_fd, IORING_OFF_CQ_RING);
	sqes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring_fd, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || (void *)sqes == MAP_FAILED)
		die("mmap of the ring: %s", strerror(errno));
	return true;
}

/* Submits the one request and waits for a result. */
static int ring_do(const struct io_uring_sqe *sqe)
{
	uint32_t *tail = (uint32_t *)(sq + params.sq_off.tail);
	const uint32_t mask = *(uint32_t *)(sq + params.sq_off.ring_mask);
	uint32_t *array = (uint32_t *)(sq + params.sq_off.array);
	uint32_t *cq_head = (uint32_t *)(cq + params.cq_off.head);
	const uint32_t cq_mask = *(uint32_t *)(cq + params.cq_off.ring_mask);
	const uint32_t at = *tail & mask;
	int result;

	sqes[at] = *sqe;
	sqes[at].flags |= params.flags & IORING_SETUP_SQPOLL ? 0 : IOSQE_ASYNC;
	array[at] = at;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring_fd, 1, sqe->flags & IOSQE_CQE_SKIP_SUCCESS ? 0 : 1,
		    IORING_ENTER_GETEVENTS |
			    (params.flags & IORING_SETUP_SQPOLL ? IORING_ENTER_SQ_WAKEUP : 0),
		    NULL, 0) < 0)
		die("io_uring_enter: %s", strerror(errno));
	if (sqe->flags & IOSQE_CQE_SKIP_SUCCESS)
		return 0;
	result = ((struct io_uring_cqe *)(cq + params.cq_off.cqes))[*cq_head & cq_mask].res;
	__atomic_store_n(cq_head, *cq_head + 1, __ATOMIC_RELEASE);
	return result;
}

static int ring_connect(int fd, const void *addr, size_t len)
{
	const struct io_uring_sqe sqe = {.opcode = IORING_OP_CONNECT,
					 .fd = fd,
					 .addr = (uint64_t)(uintptr_t)addr,
					 .off = len};

	return ring_do(&sqe);
}

/* A datagram, whose address comes with it. */
static int ring_sendto(int fd, const void *addr, uint16_t len)
{
	const struct io_uring_sqe sqe = {.opcode = IORING_OP_SEND,
					 .fd = fd,
					 .addr = (uint64_t)(uintptr_t)"by a ring",
					 .len = 9,
					 .addr2 = (uint64_t)(uintptr_t)addr,
					 .addr_len = len};

	return ring_do(&sqe);
}

/*
 * A listener whose every step but the client's connect() goes through the ring. Before Linux 6.11
 * the ring neither binds nor listens; then a system call does, and the report says so.
 */
static int ring_serve(const char *port)
{
	const struct sockaddr_in a = {.sin_family = AF_INET,
				      .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int server = socket(AF_INET, SOCK_STREAM, 0),
		  client = socket(AF_INET, SOCK_STREAM, 0);
	const struct io_uring_sqe bind_sqe = {.opcode = OP_BIND,
					      .fd = server,
					      .addr = (uint64_t)(uintptr_t)&a,
					      .off = sizeof(a)},
				  listen_sqe = {.opcode = OP_LISTEN, .fd = server, .len = 3},
				  accept_sqe = {.opcode = IORING_OP_ACCEPT, .fd = server};
	const int bound = ring_do(&bind_sqe);
	int listens = -EINVAL;

	if (bound == -EINVAL && bind(server, (const struct sockaddr *)&a, sizeof(a)))
		die("bind: %s", strerror(errno));
	if (bound != -EINVAL)
		listens = ring_do(&listen_sqe);
	else if (listen(server, 3))
		die("listen: %s", strerror(errno));
	if (connect(client, (const struct sockaddr *)&a, sizeof(a)))
		die("connect: %s", strerror(errno));
	printf("{\"who\":\"serve\",\"bind\":%d,\"listen\":%d}\n", bound, listens);
	return ring_do(&accept_sqe);
}

/* An open, in the way that `kind` names. */
static int ring_open_path(const char *kind, const char *path)
{
	const int none = -1;
	const bool direct = !strcmp(kind, "direct"), quiet = !strcmp(kind, "quiet");
	const struct io_uring_sqe nop = {.opcode = IORING_OP_NOP},
				  sqe = {.opcode = IORING_OP_OPENAT,
					 .flags =
						 quiet ? IOSQE_CQE_SKIP_SUCCESS | IOSQE_IO_LINK : 0,
					 .fd = AT_FDCWD,
					 .addr = (uint64_t)(uintptr_t)path,
					 .open_flags = O_RDONLY,
					 .file_index = direct ? 1 : 0};
	int result;

	if (direct && syscall(SYS_io_uring_register, ring_fd, IORING_REGISTER_FILES, &none, 1))
		die("io_uring_register: %s", strerror(errno));
	result = ring_do(&sqe);
	return quiet ? ring_do(&nop) : result;
}

/* Unlink, mkdir, rename, link, symlink; -EINVAL: it is none of them. */
static int ring_path(const char *kind, const char *path, const char *to)
{
	struct io_uring_sqe sqe = {.fd = AT_FDCWD, .addr = (uint64_t)(uintptr_t)path};

	if (!strcmp(kind, "unlink")) {
		sqe.opcode = IORING_OP_UNLINKAT;
	} else if (!strcmp(kind, "mkdir")) {
		sqe.opcode = IORING_OP_MKDIRAT;
		sqe.len = 0700;
	} else if (to && !strcmp(kind, "symlink")) {
		sqe.opcode = IORING_OP_SYMLINKAT;
		sqe.addr2 = (uint64_t)(uintptr_t)to;
	} else if (to && (!strcmp(kind, "rename") || !strcmp(kind, "link"))) {
		sqe.opcode = !strcmp(kind, "link") ? IORING_OP_LINKAT : IORING_OP_RENAMEAT;
		sqe.len = (uint32_t)AT_FDCWD;
		sqe.addr2 = (uint64_t)(uintptr_t)to;
	} else {
		return -EINVAL;
	}
	return ring_do(&sqe);
}

/* Reads from the file, also in pieces, or writes `text` to it. */
static int ring_data(const char *path, const char *text, bool pieces)
{
	static char buf[64];
	static const struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	const int fd = open(path, text ? O_WRONLY : O_RDONLY);
	struct io_uring_sqe sqe = {.opcode = text ? IORING_OP_WRITE : IORING_OP_READ,
				   .fd = fd,
				   .addr = (uint64_t)(uintptr_t)(text ? text : buf),
				   .len = text ? (uint32_t)strlen(text) : sizeof(buf)};

	if (pieces) {
		sqe.opcode = IORING_OP_READV;
		sqe.addr = (uint64_t)(uintptr_t)&iov;
		sqe.len = 1;
	}
	return fd < 0 ? -errno : ring_do(&sqe);
}

int main(int argc, char **argv)
{
	int result = -EINVAL, fd = -1;
	struct answer a;

	if (argc < 3)
		die("usage: uring KIND ARGUMENTS..., see the source");
	if (!strcmp(argv[1], "polled"))
		params.flags = IORING_SETUP_SQPOLL;
	if (!ring_open()) {
		printf("{\"who\":\"uring\",\"impossible\":\"%s\"}\n", strerror(errno));
		return 0;
	}
	if (!strcmp(argv[argc - 1], "wait")) {
		printf("{\"who\":\"ready\"}\n");
		fflush(stdout);
		getchar();
	}
	if (!strcmp(argv[1], "open") || !strcmp(argv[1], "polled") || !strcmp(argv[1], "direct") ||
	    !strcmp(argv[1], "quiet")) {
		result = ring_open_path(argv[1], argv[2]);
	} else if (!strcmp(argv[1], "read") || !strcmp(argv[1], "readv") ||
		   (!strcmp(argv[1], "write") && argc > 3)) {
		result = ring_data(argv[2], argv[3], !strcmp(argv[1], "readv"));
	} else if ((!strcmp(argv[1], "connect") || !strcmp(argv[1], "sendto")) && argc > 3) {
		const bool stream = !strcmp(argv[1], "connect");
		struct sockaddr_in to = {.sin_family = AF_INET,
					 .sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10))};

		if (inet_pton(AF_INET, argv[2], &to.sin_addr) != 1)
			die("%s: no address", argv[2]);
		fd = socket(AF_INET, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
		result = stream ? ring_connect(fd, &to, sizeof(to))
				: ring_sendto(fd, &to, sizeof(to));
	} else if (!strcmp(argv[1], "serve")) {
		result = ring_serve(argv[2]);
	} else if (!strcmp(argv[1], "workload")) {
		struct sockaddr_un to = {.sun_family = AF_UNIX};

		if (strlen(argv[2]) >= sizeof(to.sun_path))
			die("%s: too long for a socket's name", argv[2]);
		memcpy(to.sun_path, argv[2], strlen(argv[2]) + 1);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		result = ring_connect(fd, &to, sizeof(to));
	} else {
		result = ring_path(argv[1], argv[2], argc > 3 ? argv[3] : NULL);
	}
	printf("{\"who\":\"uring\",\"result\":%d}\n", result < 0 ? result : 0);
	fflush(stdout);
	if (!strcmp(argv[1], "workload") && result >= 0) {
		ask(fd);
		a = hear(fd, 5000);
		report("uring", &a);
	}
	return 0;
}
