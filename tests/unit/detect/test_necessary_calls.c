/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <asm/unistd_64.h>

#include "detect/necessary.h"
#include "filtered.h"
#include "random.h"

/*
 * What the kernel can decide of sockets and of the other system calls: test_necessary.c has the
 * same for opens. What it sees of an event is written down here once more, from the event.
 */

/* ---- the kernel's decision ---- */

static uint32_t result_of(int64_t ret)
{
	if (ret == -EINPROGRESS)
		return TIP_FILTER_PENDING;
	return ret < 0 ? TIP_FILTER_FAILED : ret > 60 ? TIP_FILTER_MORE : (uint32_t)ret;
}

static bool is_ip(const struct tip_ev_sock *s)
{
	return s->family == AF_INET || s->family == AF_INET6;
}

static uint32_t kind_of(const struct tip_ev_sock *s)
{
	const uint32_t l4 = s->protocol == IPPROTO_TCP      ? TIP_FILTER_L4_TCP
			    : s->protocol == IPPROTO_UDP    ? TIP_FILTER_L4_UDP
			    : s->protocol == IPPROTO_ICMP   ? TIP_FILTER_L4_ICMP
			    : s->protocol == IPPROTO_ICMPV6 ? TIP_FILTER_L4_ICMP
			    : s->sock_type == SOCK_STREAM   ? TIP_FILTER_L4_TCP
			    : s->sock_type == SOCK_DGRAM    ? TIP_FILTER_L4_UDP
							    : TIP_FILTER_L4_OTHER;

	switch (s->family) {
	case AF_UNIX: return TIP_FILTER_IS_UNIX;
	case AF_INET: return TIP_FILTER_IS_INET | l4 << TIP_FILTER_L4;
	case AF_INET6: return TIP_FILTER_IS_INET6 | l4 << TIP_FILTER_L4;
	case AF_NETLINK: return TIP_FILTER_IS_NETLINK;
	default: return TIP_FILTER_IS_NOTHING;
	}
}

/* An act as the kernel compares it. */
struct seen {
	uint32_t digits[TIP_FILTER_DIGITS], looked_at;
	char name[TIP_FILTER_TEXT];
};

static void see_end(struct seen *s, const uint8_t *addr, bool v6, uint32_t port)
{
	size_t n = (size_t)snprintf(s->name, sizeof(s->name), "/%c", v6 ? '6' : '4');

	for (int i = 0; i < (v6 ? 16 : 4); i++)
		n += (size_t)snprintf(s->name + n, sizeof(s->name) - n, "%02x", addr[i]);
	s->digits[TIP_FILTER_PORT] = port & 15;
	s->digits[TIP_FILTER_PORT + 1] = port >> 4 & 63;
	s->digits[TIP_FILTER_PORT + 2] = port >> 10;
	s->looked_at |= 7u << TIP_FILTER_PORT;
}

static void see_sock(struct seen *s, const struct world *w)
{
	static const uint32_t types[] = {[TIP_EV_CONNECT] = TIP_FILTER_CONNECT,
					 [TIP_EV_ACCEPT] = TIP_FILTER_ACCEPT,
					 [TIP_EV_BIND] = TIP_FILTER_BIND,
					 [TIP_EV_LISTEN] = TIP_FILTER_LISTEN};
	const struct tip_ev_sock *sock = &w->sock;
	const bool remote = w->hdr.type == TIP_EV_CONNECT || w->hdr.type == TIP_EV_ACCEPT;
	const bool connected = w->hdr.type == TIP_EV_CONNECT
				       ? !w->hdr.ret || w->hdr.ret == -EINPROGRESS
				       : w->hdr.type == TIP_EV_ACCEPT && w->hdr.ret >= 0;

	s->digits[TIP_FILTER_NR] = types[w->hdr.type];
	s->digits[TIP_FILTER_KIND] = kind_of(sock);
	if (connected)
		s->digits[TIP_FILTER_KIND] |= TIP_FILTER_CONNECTED;
	if (is_ip(sock))
		see_end(s, remote ? sock->raddr : sock->laddr, sock->family == AF_INET6,
			remote ? sock->rport : sock->lport);
}

static bool receives(uint32_t nr)
{
	return nr == __NR_read || nr == __NR_recvfrom;
}

static void see_call(struct seen *s, const struct world *w)
{
	const struct tip_ev_call *c = &w->call;
	const struct tip_ev_sock *sock = &c->sock;
	const uint32_t first = (uint32_t)c->args[0];
	const bool moded = c->nr == __NR_chmod || c->nr == __NR_fchmod || c->nr == __NR_fchmodat;
	const bool stream = sock->sock_type == SOCK_STREAM;
	const bool server = !sock->rport || (stream ? sock->lport < sock->rport : receives(c->nr));
	uint32_t mode;

	s->digits[TIP_FILTER_NR] = c->nr % 64;
	s->digits[TIP_FILTER_NR_HIGH] = c->nr / 64;
	s->digits[TIP_FILTER_FIRST] = first < 63 ? first : 63;
	if (sock->sock_ino)
		s->digits[TIP_FILTER_KIND] =
			kind_of(sock) | (sock->rport ? TIP_FILTER_CONNECTED : 0);
	else if (c->ino)
		s->digits[TIP_FILTER_KIND] = S_ISDIR(c->file_mode)
						     ? TIP_FILTER_IS_FOLDER
						     : TIP_FILTER_OF_KIND(c->file_kind);
	snprintf(s->name, sizeof(s->name), "%s", w->ev.call.text[TIP_TEXT_PATH]);
	if (sock->sock_ino && is_ip(sock))
		see_end(s, server ? sock->laddr : sock->raddr, sock->family == AF_INET6,
			server ? sock->lport : sock->rport);
	if (moded) {
		mode = (uint32_t)c->args[c->nr == __NR_fchmodat ? 2 : 1];
		s->looked_at &= ~(1u << TIP_FILTER_PORT);
		s->looked_at |= 3u << TIP_FILTER_MODE;
		s->digits[TIP_FILTER_MODE] = mode & 63;
		s->digits[TIP_FILTER_MODE + 1] = mode >> 6 & 63;
	}
}

static bool passes(const struct tip_prefilter *f, const struct world *w)
{
	const bool call = w->hdr.type == TIP_EV_CALL;
	struct seen s = {.looked_at = 0x71f};

	if (call)
		see_call(&s, w);
	else
		see_sock(&s, w);
	s.digits[TIP_FILTER_RESULT] = result_of(w->hdr.ret);
	see_uid(s.digits, w->hdr.uid);
	return clauses_pass(f, call ? TIP_FILTER_CALL : TIP_FILTER_SOCK, s.digits, s.looked_at,
			    s.name, call ? w->ev.call.text[TIP_TEXT_PATH2] : "");
}

/* ---- acts ---- */

static void act_path(struct world *w, uint16_t nr, const char *base, const char *path,
		     uint64_t mode, int64_t ret)
{
	const bool at = nr == __NR_unlinkat || nr == __NR_fchmodat;
	const uint64_t args[6] = {at ? (uint64_t)AT_FDCWD : 4096, at ? 4096 : mode, at ? mode : 0};

	world_init(w);
	world_syscall(w, nr, args, ret);
	w->ev.call.text[TIP_TEXT_PATH] = path;
	w->ev.call.text[TIP_TEXT_BASE] = nr == __NR_symlink ? "" : base;
	w->ev.call.text[TIP_TEXT_PATH2] = "/srv/new";
}

static void act_desc(struct world *w, uint16_t nr, uint64_t arg, uint32_t mode, int64_t ret)
{
	const uint64_t args[6] = {arg, 0755, 0};

	world_init(w);
	world_syscall(w, nr, args, ret);
	w->call.fd = 4;
	w->call.ino = mode ? 42 : 0;
	w->call.file_mode = (uint16_t)mode;
	w->ev.call.text[TIP_TEXT_FILE] = mode ? "/srv/file" : "";
}

static void give_sock(struct world *w, int family, const char *local, uint16_t lport,
		      const char *remote, uint16_t rport)
{
	world_sock(w, TIP_EV_CALL, family, local, lport, remote, rport, w->hdr.ret);
	w->sock.sock_ino = 77;
	w->call.sock = w->sock;
	w->call.ino = 77;
	w->call.file_mode = S_IFSOCK | 0777;
	w->ev.call.data = &w->call;
	w->ev.call.text[TIP_TEXT_FILE] = "";
}

/* ---- by hand ---- */

static bool told(const char *condition, const struct world *w)
{
	return condition_told(condition, w, passes);
}

struct row {
	const char *condition;
	bool told;
};

static void run(const struct row *rows, size_t count, const struct world *w)
{
	for (size_t i = 0; i < count; i++)
		if (told(rows[i].condition, w) != rows[i].told)
			fail_msg("%s: %s", rows[i].told ? "not told" : "told", rows[i].condition);
}

static void connects(void **state)
{
	static const struct row rows[] = {
		{"evt.type = connect", true},
		{"evt.type = accept", false},
		{"evt.type in (bind, listen)", false},
		{"evt.type != connect", false},
		{"evt.type = connect and fd.sport = 443", true},
		{"evt.type = connect and fd.rport = 80", false},
		{"evt.type = connect and fd.sport in (22, 80, 8443)", false},
		{"evt.type = connect and fd.sport != 443", false},
		{"evt.type = connect and not fd.sport in (80, 443)", false},
		{"evt.type = connect and fd.sport >= 1024", false},
		{"evt.type = connect and fd.sport < 1024", true},
		{"evt.type = connect and fd.lport = 80", true},
		{"evt.type = connect and fd.sip = 10.1.2.3", true},
		{"evt.type = connect and fd.rip = 10.1.2.4", false},
		{"evt.type = connect and fd.sip != 10.1.2.3", false},
		{"evt.type = connect and fd.snet = 10.0.0.0/8", true},
		{"evt.type = connect and not fd.snet in (10.0.0.0/8, 172.16.0.0/12)", false},
		{"evt.type = connect and not fd.snet in (10.1.0.0/17, 172.16.0.0/12)", true},
		{"evt.type = connect and fd.snet in (192.168.0.0/16, 172.16.0.0/12)", false},
		{"evt.type = connect and fd.sip = ::1", false},
		{"evt.type = connect and user.uid = 1000", true},
		{"evt.type = connect and user.uid = 0", false},
		{"evt.type = connect and user.uid != 1000", false},
		{"evt.type = connect and not user.uid in (0, 1000)", false},
		{"evt.type = connect and user.uid >= 100000", false},
		{"evt.type = connect and fd.l4proto = udp", false},
		{"evt.type = connect and fd.l4proto != tcp", false},
		{"evt.type = connect and fd.typechar in (4, 6)", true},
		{"evt.type = connect and fd.type = unix", false},
		{"evt.type = connect and fd.sockfamily = ip", true},
		{"evt.type = connect and fd.connected = false", false},
		{"evt.type = connect and evt.failed = true", false},
		{"evt.type = connect and evt.res = EINPROGRESS", false},
		{"evt.type = connect and (evt.rawres >= 0 or evt.res = EINPROGRESS)", true},
		{"evt.type = connect and evt.num = 0", false},
		{"evt.type = connect and proc.name = dog", true},
		{"evt.type = unlink", false},
	};
	struct world w;

	world_init(&w);
	world_sock(&w, TIP_EV_CONNECT, AF_INET, "10.0.0.9", 40000, "10.1.2.3", 443, 0);
	w.hdr.uid = 1000;
	run(rows, TIP_ARRAY_SIZE(rows), &w);
}

static void results_of_connects(void **state)
{
	static const struct row refused[] = {
		{"evt.type = connect and (evt.rawres >= 0 or evt.res = EINPROGRESS)", false},
		{"evt.type = connect and evt.res in (EINPROGRESS, ECONNREFUSED)", true},
		{"evt.type = connect and evt.res != EINPROGRESS", true},
	};
	static const struct row pending[] = {
		{"evt.type = connect and (evt.rawres >= 0 or evt.res = EINPROGRESS)", true},
		{"evt.type = connect and evt.res = ECONNREFUSED", false},
		{"evt.type = connect and evt.res != EINPROGRESS", false},
	};
	struct world w;

	world_init(&w);
	world_sock(&w, TIP_EV_CONNECT, AF_INET, "10.0.0.9", 40000, "10.1.2.3", 443, -ECONNREFUSED);
	run(refused, TIP_ARRAY_SIZE(refused), &w);
	world_init(&w);
	world_sock(&w, TIP_EV_CONNECT, AF_INET, "10.0.0.9", 40000, "10.1.2.3", 443, -EINPROGRESS);
	run(pending, TIP_ARRAY_SIZE(pending), &w);
}

static void paths(void **state)
{
	static const struct row rows[] = {
		{"evt.type = unlink", true},
		{"evt.type in (unlink, unlinkat, rename)", true},
		{"evt.type in (rename, renameat)", false},
		{"evt.type in (unlink, unlinkat) and evt.failed = true", false},
		{"evt.type = unlink and evt.arg.path = /etc/passwd", false},
		{"evt.type = unlink and evt.arg.path = /etc/shadow", true},
		{"evt.type = unlink and evt.arg.path startswith /bin/", false},
		{"evt.type = unlink and evt.arg.path endswith .pem", false},
		{"evt.type = unlink and not evt.arg.path startswith /etc/", false},
		{"evt.type = unlink and evt.arg.name = /etc/shadow", false},
		{"evt.type = unlink and evt.arg.path contains x", true},
		{"evt.type in (unlink, unlinkat) and (evt.arg.path startswith /srv or evt.arg.name "
		 "startswith /etc)",
		 false},
		{"evt.type in (unlink, rename) and evt.arg.oldpath = /etc/shadow", false},
		{"evt.type in (unlink, rename) and not evt.arg.oldpath = /etc/shadow", true},
		{"evt.type = unlink and fd.sport = 80", false},
		{"evt.type = unlink and fd.type = file", false},
		{"evt.type = chmod and evt.arg.mode contains S_ISUID", false},
	};
	static const struct row second[] = {
		{"evt.type = rename and evt.arg.newpath = /srv/new", true},
		{"evt.type = rename and evt.arg.newpath startswith /etc/", false},
		{"evt.type = rename and not evt.arg.newpath startswith /srv/", false},
		{"evt.type = rename and evt.rawarg.newpath endswith .pem", false},
		{"evt.type = rename and evt.arg.oldpath endswith x and evt.arg.newpath in (/a, /b)",
		 false},
		{"evt.type = rename and (evt.arg.oldpath endswith .y or evt.arg.newpath = "
		 "/srv/new)",
		 true},
		{"evt.type = rename and (evt.arg.oldpath endswith .y or evt.arg.newpath = /srv/y)",
		 false},
		{"evt.type = rename and evt.arg.oldpath startswith /x and evt.arg.newpath = /y",
		 false},
	};
	struct world w;

	act_path(&w, __NR_unlink, "/srv/app", "/etc/shadow", 0, 0);
	run(rows, TIP_ARRAY_SIZE(rows), &w);
	act_path(&w, __NR_unlink, "/etc", "shadow", 0, 0);
	assert_true(told("evt.type = unlink and evt.arg.path = /etc/shadow", &w));
	assert_false(told("evt.type = unlink and evt.arg.path = /etc/passwd", &w));
	/* as it was given */
	assert_true(told("evt.type = unlink and evt.rawarg.path = shadow", &w));
	assert_true(told("evt.type = unlink and not evt.rawarg.path startswith /etc", &w));
	act_path(&w, __NR_symlink, "", "/etc/shadow", 0, 0);
	assert_true(told("evt.type = symlink and evt.arg.target in (/etc/shadow, /etc/x)", &w));
	assert_false(told("evt.type = symlink and evt.arg.target in (/etc/passwd)", &w));
	assert_false(told("evt.type = symlink and evt.arg.linkpath = /x", &w));
	assert_true(told("evt.type = symlink and evt.arg.linkpath = /srv/new", &w));
	act_path(&w, __NR_rename, "/srv", "x", 0, 0);
	run(second, TIP_ARRAY_SIZE(second), &w);
	w.ev.call.text[TIP_TEXT_PATH2] = "../new";
	assert_true(told("evt.type = rename and evt.arg.newpath startswith /etc/", &w));
	w.ev.call.text[TIP_TEXT_PATH2] = "new";
	assert_true(told("evt.type = rename and evt.arg.newpath startswith /etc/", &w));
	assert_false(told("evt.type = rename and evt.arg.newpath endswith .pem", &w));
	act_path(&w, __NR_fchmodat, "/srv", "x", 04755, 0);
	assert_true(told("evt.type in (chmod, fchmodat) and evt.arg.mode contains S_ISUID", &w));
	assert_false(told("evt.type in (chmod, fchmodat) and evt.arg.mode contains S_ISGID", &w));
	assert_false(told("evt.type = fchmodat and not evt.arg.mode contains S_IXUSR", &w));
}

static void descriptors(void **state)
{
	struct world w;

	act_desc(&w, __NR_dup2, 7, S_IFREG, 1);
	assert_true(told("evt.type in (dup, dup2, dup3) and evt.rawres in (0, 1, 2)", &w));
	assert_false(told("evt.type = dup2 and fd.type in (ipv4, ipv6)", &w));
	assert_false(told("evt.type = dup2 and evt.rawres > 2", &w));
	assert_false(told("evt.type = dup2 and fd.sport = 80", &w));
	act_desc(&w, __NR_socket, AF_INET, 0, 3);
	assert_false(told("evt.type = socket and evt.arg.domain contains AF_PACKET", &w));
	assert_true(told("evt.type = socket and evt.arg.domain = AF_INET", &w));
	assert_false(told("evt.type = socket and not evt.arg.domain = AF_INET", &w));
	act_desc(&w, __NR_sendto, 4, 0, 10);
	give_sock(&w, AF_INET, "10.0.0.9", 40000, "10.1.2.3", 53);
	w.call.sock.protocol = IPPROTO_UDP;
	w.call.sock.sock_type = SOCK_DGRAM;
	assert_true(told("evt.type = sendto and fd.sport = 53 and fd.l4proto = udp", &w));
	assert_false(told("evt.type = sendto and fd.sport = 123", &w));
	assert_false(told("evt.type in (sendto, connect) and not fd.snet = 10.0.0.0/8", &w));
	assert_false(told("evt.type = sendto and fd.connected = false", &w));
	assert_true(told("evt.type = sendto and user.uid = 0", &w));
	assert_false(told("evt.type = sendto and user.uid > 0", &w));
	act_desc(&w, __NR_read, 4, S_IFREG, 8);
	w.call.file_kind = TIP_KIND_EVENTFD;
	assert_true(told("evt.type = read and fd.type = event", &w));
	assert_true(told("evt.type = read and not fd.typechar = f", &w));
	assert_false(told("evt.type = read and fd.typechar in (f, d, p, b)", &w));
	w.call.file_kind = TIP_KIND_BPF;
	assert_true(told("evt.type = read and fd.typechar in (f, d, p, b)", &w));
	assert_false(told("evt.type = read and fd.type in (event, pipe)", &w));
	/* calls without a code of their own */
	act_desc(&w, __NR_lseek, 4, S_IFREG, 0);
	assert_true(told("evt.type = lseek", &w));
	assert_false(told("evt.type = flock", &w));
	assert_true(told("evt.type = lseek and fd.name startswith /srv", &w));
}

/* ---- at random ---- */

static const char *const addrs4[] = {"10.1.2.3",   "10.1.2.4",  "10.129.0.1",
				     "172.31.0.1", "127.0.0.1", "0.0.0.0"};
static const char *const addrs6[] = {"::1", "fd00::1", "::ffff:10.1.2.3", "::"};
static const uint16_t ports[] = {0, 22, 53, 80, 443, 1023, 1024, 8080, 40000, 65535};
static const char *const texts[] = {"/etc/shadow", "/etc/", "/etc",  "shadow", "etc/shadow", ".pem",
				    "/srv",        "x.pem", "..",    "/",      "a..b",       "/40a",
				    "4",           "/4",    "/6fd0", "01bb"};
static const char *const names[] = {
	"/etc/shadow", "/etc", "shadow",       "./shadow",   "x.pem",      "/",         "../x.pem",
	"a..b",        "",     "/etc//shadow", "/40a010203", "etc/shadow", "/srv/x.pem"};

static void random_check(struct tip_buf *b)
{
	static const char *const path_args[] = {"path",   "name",     "oldpath",  "newpath",
						"target", "linkpath", "filename", "pathname"};
	static const char *const ends[] = {"c", "s", "l", "r", ""};
	static const char *const nets[] = {"10.0.0.0/8", "10.1.0.0/17",   "10.1.2.3/32",
					   "0.0.0.0/0",  "172.16.0.0/12", "fd00::/8",
					   "::/0",       "10.128.0.0/9"};
	static const char *const orders[] = {"=", "!=", "<", "<=", ">", ">="};
	static const char *const ops[] = {"=",        "!=",   "startswith", "endswith",
					  "contains", "glob", "icontains"};
	static const char *const others[] = {
		"evt.failed = true",
		"evt.failed != true",
		"evt.res = SUCCESS",
		"evt.res = EINPROGRESS",
		"evt.res in (ENOENT, EPERM)",
		"evt.res != ENOENT",
		"evt.rawres < 0",
		"evt.rawres >= 3",
		"evt.rawres in (0, 1, 2)",
		"evt.rawres != 3",
		"evt.rawres > 60",
		"evt.rawres = -115",
		"fd.type = file",
		"fd.type in (ipv4, ipv6)",
		"fd.type != ipv4",
		"fd.typechar = 4",
		"fd.typechar in (4, 6)",
		"fd.type = directory",
		"fd.type = pipe",
		"fd.type in (event, bpf, io_uring)",
		"fd.type != timerfd",
		"fd.typechar in (m, P, o)",
		"fd.typechar = u",
		"fd.sockfamily = ip",
		"fd.l4proto = tcp",
		"fd.l4proto != tcp",
		"fd.l4proto in (udp, raw)",
		"fd.connected = true",
		"fd.connected = false",
		"fd.connected != true",
		"fd.sip exists",
		"fd.sport exists",
		"evt.arg.mode contains S_ISUID",
		"evt.arg.mode contains S_IX",
		"evt.arg.mode contains S_IWUSR",
		"evt.arg.mode contains 0",
		"evt.arg.domain = AF_INET",
		"evt.arg.domain contains AF_",
		"evt.arg.flags contains CLONE_NEWUSER",
		"evt.arg.flags = 0",
		"evt.arg.flags contains AT_REMOVEDIR",
		"evt.type in (connect, accept, unlink)",
		"evt.type in (unlinkat, renameat, sendto, lseek)",
		"evt.type != unlink",
		"evt.type != sendto",
		"evt.type = bind",
		"evt.type in (chmod, fchmod, fchmodat, dup2)",
		"evt.num = 0",
		"proc.name = cat",
		"proc.name = dog",
		"fd.name = /srv/file",
		"fd.name startswith 10.",
		"user.uid = 0",
		"user.uid != 1000",
		"user.uid in (0, 33, 300000)",
		"user.uid >= 1000",
		"user.uid < 40",
	};
	const uint32_t what = pick(8);

	if (what < 2) {
		tip_buf_adds(b, PICK(others));
	} else if (what == 2) {
		tip_buf_addf(b, "fd.%sport %s %u", PICK(ends), PICK(orders), PICK(ports));
	} else if (what == 3) {
		tip_buf_addf(b, "fd.%sport in (%u, %u, %u)", PICK(ends), PICK(ports), PICK(ports),
			     PICK(ports));
	} else if (what == 4) {
		tip_buf_addf(b, "fd.%sip %s %s", PICK(ends),
			     pick(2) ? "=" : "!=", pick(3) ? PICK(addrs4) : PICK(addrs6));
	} else if (what == 5) {
		tip_buf_addf(b, "fd.%snet in (%s, %s)", PICK(ends), PICK(nets), PICK(nets));
	} else if (what == 6) {
		tip_buf_addf(b, "evt.%sarg.%s %s '%s%s'", pick(4) ? "" : "raw", PICK(path_args),
			     PICK(ops), PICK(texts), pick(8) ? "" : "*");
	} else {
		tip_buf_addf(b, "evt.arg.%s in ('%s', '%s', '%s')", PICK(path_args), PICK(texts),
			     PICK(names), PICK(texts));
	}
}

static void random_end(struct tip_ev_sock *s)
{
	static const uint16_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, 0, IPPROTO_ICMP};
	static const uint16_t types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW};

	s->protocol = PICK(protocols);
	s->sock_type = PICK(types);
}

static void random_act(struct world *w)
{
	static const uint16_t with_path[] = {__NR_unlink, __NR_unlinkat, __NR_rename, __NR_symlink,
					     __NR_chmod,  __NR_fchmodat, __NR_mkdir};
	static const uint16_t with_fd[] = {__NR_dup2,  __NR_sendto,   __NR_read,   __NR_fchmod,
					   __NR_lseek, __NR_recvfrom, __NR_socket, __NR_unshare};
	static const uint16_t socks[] = {TIP_EV_CONNECT, TIP_EV_ACCEPT, TIP_EV_BIND, TIP_EV_LISTEN};
	static const uint32_t modes[] = {0, S_IFREG, S_IFDIR, S_IFIFO};
	static const int64_t rets[] = {0, 1, 3, 61, 5000, -ENOENT, -EINPROGRESS};
	static const uint64_t args[] = {0, 1, 2, 17, 64, 0x10000000, (uint64_t)-1};
	const char *const second = PICK(names);
	const int family = pick(3) ? AF_INET : pick(2) ? AF_INET6 : AF_UNIX;
	const char *local = family == AF_INET6 ? PICK(addrs6) : PICK(addrs4);
	const char *remote = family == AF_INET6 ? PICK(addrs6) : PICK(addrs4);

	switch (pick(4)) {
	case 0:
		world_init(w);
		world_sock(w, PICK(socks), family, local, PICK(ports), remote, PICK(ports),
			   PICK(rets));
		random_end(&w->sock);
		return;
	case 1:
		act_path(w, PICK(with_path), pick(2) ? "/etc" : "", PICK(names), pick(010000),
			 PICK(rets));
		w->ev.call.text[TIP_TEXT_PATH2] = second;
		w->ev.call.text[TIP_TEXT_BASE2] = pick(2) ? "/srv" : "";
		return;
	default:
		act_desc(w, PICK(with_fd), PICK(args), PICK(modes), PICK(rets));
		w->call.file_kind = pick(TIP_KIND_MAX);
		if (pick(2)) {
			give_sock(w, family, local, PICK(ports), remote, PICK(ports));
			random_end(&w->call.sock);
		}
	}
}

#define CALLS                                                                                      \
	"evt.type in (connect, accept, bind, listen, unlink, unlinkat, rename, symlink, chmod, "   \
	"fchmod, fchmodat, mkdir, dup2, sendto, read, recvfrom, lseek, socket, unshare) and "

static void name(const struct world *w, struct tip_buf *out)
{
	tip_buf_addf(out, "event %u, call %u, path '%s'", w->hdr.type, w->call.nr,
		     w->hdr.type == TIP_EV_CALL ? w->ev.call.text[TIP_TEXT_PATH] : "");
}

static void nothing_that_matches_is_dropped(void **state)
{
	static const struct random_acts of = {CALLS, random_check, random_act, passes, name};

	random_rounds(&of);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connects),
		cmocka_unit_test(results_of_connects),
		cmocka_unit_test(paths),
		cmocka_unit_test(descriptors),
		cmocka_unit_test(nothing_that_matches_is_dropped),
	};

	random_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
