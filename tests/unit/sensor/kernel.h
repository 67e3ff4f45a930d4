/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TESTS_SENSOR_KERNEL_H
#define TIP_TESTS_SENSOR_KERNEL_H

/*
 * The programs of bpf/ in the kernel that runs this: loaded and attached without pins, in a cgroup
 * and a network namespace that this process made for itself and lives in. So it is both: the
 * keeper, through the sensor, and the application, by its sockets. A helper process outside the
 * cgroup makes sockets that the hooks do not see.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "base/clock.h"
#include "sensor/intercept.h"
#include "sensor/internal.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define PORT     15049 /* the worker's */
#define IDENTITY 100   /* ours, once bound */

static struct kernel {
	struct tip_sensor *s;
	uint64_t cookie; /* of our network namespace */
	uint32_t netns;  /* its inode number */
	char home[600];  /* cgroup.procs of where we came from */
	char cgroup[512];
	uint64_t exec_id;
	struct tip_proc_key key;
	int helper; /* to the process outside */
	pid_t pid;
	int worker; /* the worker's listener, -1 */
	/* the last events of each kind */
	struct tip_ev_sock denied;
	struct tip_ev_netns asked;
	unsigned int ndenied, nasked, nlooked;
} kernel = {.helper = -1, .worker = -1};

static inline void on_event(void *ctx, const struct tip_event *ev)
{
	struct kernel *k = ctx;

	if (ev->hdr->proc.tgid != (uint32_t)getpid() && ev->hdr->proc.tgid != tip_own_tgid())
		return;
	k->key = ev->hdr->proc;
	k->exec_id = ev->hdr->exec_id;
	if (ev->hdr->type == TIP_EV_DENIED_CONNECT) {
		k->denied = *ev->sock.data;
		k->ndenied++;
	} else if (ev->hdr->type == TIP_EV_NETNS) {
		k->asked = *ev->netns;
		k->nasked++;
	} else if (ev->hdr->type == TIP_EV_LISTENER) {
		k->nlooked++;
	}
}

/* Waits for a condition, five seconds at most. */
#define until(condition)                                                                           \
	do {                                                                                       \
		const uint64_t end_ = tip_clock_monotonic() + 5 * TIP_NSEC_PER_SEC;                \
		while (!(condition) && tip_clock_monotonic() < end_)                               \
			poll(NULL, 0, 1);                                                          \
		assert_true(condition);                                                            \
	} while (0)

/* ---- addresses ---- */

static inline struct sockaddr_in at(const char *ip, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	assert_int_equal(inet_pton(AF_INET, ip, &a.sin_addr), 1);
	return a;
}

static inline struct sockaddr_in6 at6(const char *ip, uint16_t port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	assert_int_equal(inet_pton(AF_INET6, ip, &a.sin6_addr), 1);
	return a;
}

static inline uint32_t ip4(const char *ip)
{
	return at(ip, 0).sin_addr.s_addr;
}

/* ---- sockets ---- */

static inline int make_socket(int family, int type)
{
	const int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

/* Makes a socket in the helper, which is in our namespace but not in our cgroup. */
static inline int make_outside(int family, int type)
{
	const int ask[2] = {family, type | SOCK_NONBLOCK};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec io = {&byte, 1};
	struct msghdr msg = {.msg_iov = &io,
			     .msg_iovlen = 1,
			     .msg_control = control.space,
			     .msg_controllen = sizeof(control.space)};
	int fd;

	assert_int_equal(send(kernel.helper, ask, sizeof(ask), 0), sizeof(ask));
	assert_int_equal(recvmsg(kernel.helper, &msg, MSG_CMSG_CLOEXEC), 1);
	assert_int_equal(byte, 0);
	assert_non_null(CMSG_FIRSTHDR(&msg));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	/* From here on it is ours alone. */
	assert_int_equal(recv(kernel.helper, &byte, 1, 0), 1);
	return fd;
}

static inline void help(int fd)
{
	int ask[2];

	while (recv(fd, ask, sizeof(ask), 0) == sizeof(ask)) {
		union {
			struct cmsghdr align;
			char space[CMSG_SPACE(sizeof(int))];
		} control = {0};
		const int made = socket(ask[0], ask[1], 0);
		char byte = (char)(made < 0);
		struct iovec io = {&byte, 1};
		struct msghdr msg = {.msg_iov = &io, .msg_iovlen = 1};

		if (made >= 0) {
			msg.msg_control = control.space;
			msg.msg_controllen = sizeof(control.space);
			CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
			CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
			CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(sizeof(int));
			memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &made, sizeof(made));
		}
		if (sendmsg(fd, &msg, 0) != 1)
			break;
		if (made >= 0)
			close(made);
		if (send(fd, &byte, 1, 0) != 1)
			break;
	}
}

/* The errno of a connect() that has a second to end; EINPROGRESS: it has not. */
static inline int dial(int fd, const void *addr, socklen_t len)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t size = sizeof(int);
	int err;

	if (connect(fd, addr, len) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	if (poll(&p, 1, 1000) == 0)
		return EINPROGRESS;
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size), 0);
	return err;
}

static inline int dial4(int fd, const char *ip, uint16_t port)
{
	const struct sockaddr_in a = at(ip, port);

	return dial(fd, &a, sizeof(a));
}

static inline int dial6(int fd, const char *ip, uint16_t port)
{
	const struct sockaddr_in6 a = at6(ip, port);

	return dial(fd, &a, sizeof(a));
}

/* What a new TCP socket of the application gets. */
static inline int try4(const char *ip, uint16_t port)
{
	const int fd = make_socket(AF_INET, SOCK_STREAM);
	const int err = dial4(fd, ip, port);

	close(fd);
	return err;
}

static inline void bind4(int fd, const char *ip, uint16_t port)
{
	const struct sockaddr_in a = at(ip, port);
	const int one = 1;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
}

static inline int listen4(int fd, const char *ip, uint16_t port)
{
	bind4(fd, ip, port);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static inline int listen6(int fd, const char *ip, uint16_t port, int v6only)
{
	const struct sockaddr_in6 a = at6(ip, port);
	const int one = 1;

	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

/* A policy for the ports 8080 to 8083 of DEST. */

static inline int accept_one(int listener, struct sockaddr_in *from)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};
	socklen_t len = sizeof(*from);
	int fd;

	assert_int_equal(poll(&p, 1, 5000), 1);
	fd = accept4(listener, (struct sockaddr *)from, from ? &len : NULL,
		     SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static inline bool nobody_waits(int listener)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

static inline struct sockaddr_in name_of(int fd, bool peer)
{
	struct sockaddr_in a = {0};
	socklen_t len = sizeof(a);

	if (peer)
		assert_int_equal(getpeername(fd, (struct sockaddr *)&a, &len), 0);
	else
		assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	return a;
}

static inline void assert_addr(struct sockaddr_in a, const char *ip, uint16_t port)
{
	char text[INET_ADDRSTRLEN];

	assert_string_equal(inet_ntop(AF_INET, &a.sin_addr, text, sizeof(text)), ip);
	assert_int_equal(ntohs(a.sin_port), port);
}

/* ---- addresses of our own ---- */

/* linux/ipv6.h and netinet/in.h do not go together. */
struct in6_request {
	struct in6_addr addr;
	uint32_t prefixlen;
	unsigned int index;
};

static inline bool can_bind6(const struct sockaddr_in6 *a)
{
	const int fd = make_socket(AF_INET6, SOCK_DGRAM);
	const bool ok = bind(fd, (const struct sockaddr *)a, sizeof(*a)) == 0;

	close(fd);
	return ok;
}

static inline void add_address6(const char *ip)
{
	const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const struct sockaddr_in6 a = at6(ip, 0);
	struct in6_request ask = {.prefixlen = 128, .index = if_nametoindex("lo")};

	assert_int_equal(inet_pton(AF_INET6, ip, &ask.addr), 1);
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &ask), 0);
	/* It becomes one's own a moment later. */
	until(can_bind6(&a));
	close(fd);
}

static inline void add_address4(const char *label, const char *ip)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const struct sockaddr_in a = at(ip, 0);
	struct ifreq ask = {0};

	snprintf(ask.ifr_name, sizeof(ask.ifr_name), "%s", label);
	memcpy(&ask.ifr_addr, &a, sizeof(a));
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &ask), 0);
	close(fd);
}

/* ---- the sensor ---- */

static inline uint64_t counter(enum tip_counter which)
{
	uint64_t all[TIP_CTR_MAX];

	tip_sensor_counters(kernel.s, all);
	return all[which];
}

static inline void drain(void)
{
	while (tip_sensor_poll(kernel.s) > 0)
		;
}

/* Ourselves: pending, none, or a number. Whatever moved our epoch meanwhile is caught up with. */
static inline void become(uint32_t number)
{
	struct tip_binding b = {.current = number};
	struct tip_proc proc;

	assert_int_equal(tip_sensor_proc(kernel.s, &kernel.key, &proc), 0);
	b.epoch = proc.epoch;
	assert_int_equal(tip_sensor_bind(kernel.s, proc.exec_id, &b), 0);
}

/* The worker: its listener, in the map, and a sign of life. */
static inline void worker_up(void)
{
	const struct linger reset = {.l_onoff = 1};

	kernel.worker = make_socket(AF_INET, SOCK_STREAM);
	assert_int_equal(tip_sensor_ours(kernel.s, kernel.worker, TIP_OURS_LISTENER), 0);
	assert_int_equal(setsockopt(kernel.worker, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)),
			 0);
	listen4(kernel.worker, "127.0.0.1", PORT);
	assert_int_equal(tip_sensor_worker_set(kernel.s, kernel.cookie, kernel.worker), 0);
	assert_int_equal(tip_sensor_heartbeat(kernel.s, 0), 0);
}

static inline void worker_down(void)
{
	if (kernel.worker >= 0)
		close(kernel.worker);
	kernel.worker = -1;
}

static inline struct tip_flow_key flow(struct sockaddr_in from, struct sockaddr_in to)
{
	const struct tip_flow_key k = {
		.netns = kernel.cookie,
		.saddr = from.sin_addr.s_addr,
		.sport = ntohs(from.sin_port),
		.daddr = to.sin_addr.s_addr,
		.dport = ntohs(to.sin_port),
	};

	return k;
}

/* A policy image in the making: one prefix after the other, each with its ranges. */
struct image {
	struct tip_traffic_prefix prefixes[64];
	struct tip_traffic_ports ports[2048];
	struct tip_traffic_image image;
};

static inline void image_prefix(struct image *m, uint32_t table, const char *ip, uint32_t bits)
{
	struct tip_traffic_prefix *p = &m->prefixes[m->image.nprefixes++];

	*p = (struct tip_traffic_prefix){.table = table, .bits = bits};
	p->slice.first = (uint32_t)m->image.nports;
	if (inet_pton(AF_INET6, ip, p->addr) == 1)
		return;
	p->bits += 96;
	memset(p->addr + 10, 0xff, 2);
	assert_int_equal(inet_pton(AF_INET, ip, p->addr + 12), 1);
}

static inline void image_ports(struct image *m, uint16_t low, uint16_t high, uint32_t policy)
{
	m->ports[m->image.nports++] = (struct tip_traffic_ports){low, high, policy};
	m->prefixes[m->image.nprefixes - 1].slice.count++;
}

/* Listeners of these ports are of interest, whatever else is said of them. */
static inline void image_serve(struct image *m, uint16_t low, uint16_t high)
{
	image_prefix(m, TIP_TRAFFIC_SERVED, "::", 0);
	image_ports(m, low, high, 1);
}

static inline void image_install(struct image *m)
{
	m->image.prefixes = m->prefixes;
	m->image.ports = m->ports;
	assert_int_equal(tip_sensor_traffic_install(kernel.s, &m->image), 0);
}

/* One strict policy, number 1: this address and port. */
static inline void strict(const char *ip, uint16_t port)
{
	struct image m = {0};

	image_prefix(&m, TIP_TRAFFIC_DIALLED, ip, strchr(ip, ':') ? 128 : 32);
	image_ports(&m, port, port, 1);
	image_serve(&m, port, port);
	image_install(&m);
}

static inline void no_policy(void)
{
	struct image m = {0};

	image_install(&m);
}

/* ---- set up and take down ---- */

static inline int write_pid(const char *path)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return -1;
	fprintf(f, "%d", getpid());
	return fclose(f);
}

static inline int find_home(void)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char mount[256], line[256];

	if (!f || tip_cgroup2_mount(mount, sizeof(mount)))
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "0::", 3) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(kernel.home, sizeof(kernel.home), "%s%s/cgroup.procs", mount, line + 3);
		snprintf(kernel.cgroup, sizeof(kernel.cgroup), "%s/tipstaff-unit-%d", mount,
			 getpid());
	}
	fclose(f);
	return *kernel.home ? 0 : -1;
}

static inline int lo_up(void)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	const int ret = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &lo);

	close(fd);
	return ret;
}

static inline int kernel_down(void **state)
{
	worker_down();
	tip_sensor_close(kernel.s);
	kernel.s = NULL;
	if (kernel.helper >= 0)
		close(kernel.helper);
	if (kernel.pid > 0)
		waitpid(kernel.pid, NULL, 0);
	if (*kernel.home && write_pid(kernel.home) == 0)
		rmdir(kernel.cgroup);
	return 0;
}

static inline int sensor_up(const char *instance, bool pin, bool traffic)
{
	char mount[256];
	const char *scope[] = {kernel.cgroup};
	const struct tip_sensor_config config = {
		.instance = instance,
		.cgroup2 = mount,
		.scope = scope,
		.nscope = 1,
		.max_processes = 4096,
		.lifecycle_ring = 1 << 20,
		.activity_ring = 1 << 20,
		.max_flows = 512,
		.traffic = traffic,
		.pin = pin,
	};
	const struct tip_sensor_ops ops = {on_event, &kernel};
	struct tip_error err = {0};

	if (tip_cgroup2_mount(mount, sizeof(mount)))
		return -1;
	kernel.s = tip_sensor_open(&config, &ops, &err);
	if (kernel.s && tip_sensor_commit(kernel.s, &err) == 0 &&
	    tip_sensor_snapshot(kernel.s, &err) == 0 && kernel.exec_id)
		return traffic ? tip_sensor_set_worker_port(kernel.s, PORT) : 0;
	print_error("no sensor: %s\n", err.text);
	return -1;
}

/* A network namespace and a cgroup of our own, and the helper outside. */
static inline int place_up(void)
{
	socklen_t len = sizeof(kernel.cookie);
	struct stat st;
	char procs[600];
	int pair[2], fd;

	if (find_home() || unshare(CLONE_NEWNET) || lo_up() ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -1;
	kernel.pid = fork();
	if (kernel.pid == 0) {
		close(pair[0]);
		help(pair[1]);
		_exit(0);
	}
	close(pair[1]);
	kernel.helper = pair[0];
	if (mkdir(kernel.cgroup, 0755))
		return -1;
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", kernel.cgroup);
	if (kernel.pid < 0 || write_pid(procs))
		return -1;
	fd = make_socket(AF_INET, SOCK_STREAM);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &kernel.cookie, &len), 0);
	close(fd);
	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	kernel.netns = (uint32_t)st.st_ino;
	return 0;
}

static inline int kernel_up(void **state)
{
	if (geteuid() != 0)
		return 0;
	return place_up() ? -1 : sensor_up("unit", false, true);
}

/* Each test begins with an identity, without a policy and without a worker. */
static inline int clean(void **state)
{
	if (!kernel.s)
		return 0;
	worker_down();
	no_policy();
	become(IDENTITY);
	drain();
	return 0;
}

#define needs_root()                                                                               \
	do {                                                                                       \
		if (!kernel.s) {                                                                   \
			print_message("skipped: it loads BPF programs, which takes root\n");       \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

/* What runs without root too: every map and program has a name to be found by. */
static inline void tables_are_complete(void **state)
{
	for (int i = 0; i < TIP_MAP_END; i++)
		assert_non_null(tip_map_names[i]);
	for (int i = 0; i < TIP_PROG_END; i++)
		assert_non_null(tip_prog_names[i]);
}

#endif
