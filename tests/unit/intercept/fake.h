/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_INTERCEPT_FAKE_H
#define TEST_INTERCEPT_FAKE_H

/* The kernel side and the front, played by a test. */
#include <pthread.h>

#include <bpf/bpf.h>

#include "intercept/intercept.h"
#include "intercept/netfilter.h"
#include "world.h"

#define PORT   15049
#define SERVER 7777 /* where the peer listens */

struct fake {
	struct event_base *base;
	struct tip_intercept *ic;
	struct space space;
	/* what the ops answer */
	enum tip_held_answer held;
	bool no_redirect;
	uint64_t app_cookie; /* of the application's socket, as the kernel has it */
	bool no_taker;       /* there is no front */
	bool leg_gone;       /* the application's end has closed */
	uint32_t daddr;
	uint16_t dport;
	int attach_err;
	uint32_t number; /* identity at the hook */
	bool has_listener;
	int leg_err;
	struct tip_listener listener;
	/* what they were told */
	char calls[256]; /* attach, worker_set, worker_clear, detach, as a w c d */
	size_t nheld, noutbound, ninbound, njoined, ncut, nrefused, nlimited, nours, nleg_set,
		nleg_clear;
	struct tip_flow flow;
	enum tip_limit limit;
	int cut_err, refused_err;
	char why[64];
	int wire, app; /* copies of what ops.outbound() or ops.inbound(), and ops.joined() gave */
	struct tip_leg leg;
	struct tip_flow_key leg_key, shown_key;
	uint32_t shown_addr;
	uint16_t shown_port;
	uint64_t cookie;
	bool has_store;
	int kept[TIP_KEPT_KINDS]; /* copies of what is to be kept; -1: nothing */
	/* steering of one port, for inbound */
	uint16_t steered;
	int sockmap, link;
};

static inline void called(struct fake *w, char what)
{
	const size_t len = strlen(w->calls);

	assert_true(len < sizeof(w->calls) - 1);
	w->calls[len] = what;
}

static inline void keep(int *where, int fd)
{
	if (*where >= 0)
		close(*where);
	*where = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static enum tip_held_answer fake_held(void *ctx, const struct tip_flow *f)
{
	struct fake *w = ctx;

	w->nheld++;
	w->flow = *f;
	return w->held;
}

static void fake_outbound(void *ctx, const struct tip_flow *f, int fd)
{
	struct fake *w = ctx;

	w->noutbound++;
	w->flow = *f;
	keep(&w->wire, fd);
}

static bool fake_inbound(void *ctx, const struct tip_flow *f, int fd)
{
	struct fake *w = ctx;

	w->ninbound++;
	if (w->no_taker)
		return false;
	w->flow = *f;
	keep(&w->wire, fd);
	return true;
}

static void fake_joined(void *ctx, const struct tip_flow *f, int fd)
{
	struct fake *w = ctx;

	w->njoined++;
	w->flow = *f;
	keep(&w->app, fd);
}

static void fake_cut(void *ctx, const struct tip_flow *f, int err)
{
	struct fake *w = ctx;

	w->ncut++;
	w->flow = *f;
	w->cut_err = err;
	assert_null(tip_intercept_flow(w->ic, f->id));
}

static void fake_refused(void *ctx, const struct tip_flow *f, int err, const char *why)
{
	struct fake *w = ctx;

	w->nrefused++;
	w->flow = *f;
	w->refused_err = err;
	snprintf(w->why, sizeof(w->why), "%s", why);
}

static void fake_limited(void *ctx, const struct tip_flow *f, enum tip_limit limit)
{
	struct fake *w = ctx;

	w->nlimited++;
	w->flow = *f;
	w->limit = limit;
}

/* An sk_lookup program that gives connections to `steered` to the socket in `sockmap`. */
static int steer(struct fake *w, int netns_fd)
{
	const int map = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "tip_unit", 4, 8, 1, NULL);
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1},
		{.code = BPF_LDX | BPF_MEM | BPF_W,
		 .dst_reg = 2,
		 .src_reg = 6,
		 .off = offsetof(struct bpf_sk_lookup, local_port)},
		{.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 2, .imm = w->steered, .off = 13},
		{.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = 0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4},
		{.code = BPF_LD | BPF_DW | BPF_IMM,
		 .dst_reg = 1,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = map},
		{0},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem},
		{.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .imm = 0, .off = 6},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 7, .src_reg = 0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 6},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 7},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 0},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sk_assign},
		{.code = BPF_JMP | BPF_JA, .off = 2},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = SK_PASS},
		{.code = BPF_JMP | BPF_EXIT},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 7},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sk_release},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = SK_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_SK_LOOKUP);
	int prog;

	assert_true(map >= 0);
	w->sockmap = map;
	prog = bpf_prog_load(BPF_PROG_TYPE_SK_LOOKUP, "tip_unit", "Dual BSD/GPL", insns,
			     TIP_ARRAY_SIZE(insns), &opts);
	assert_true(prog >= 0);
	w->link = bpf_link_create(prog, netns_fd, BPF_SK_LOOKUP, NULL);
	assert_true(w->link >= 0);
	close(prog);
	return 0;
}

static inline void stop_steering(struct fake *w)
{
	if (w->link >= 0)
		close(w->link);
	if (w->sockmap >= 0)
		close(w->sockmap);
	w->link = w->sockmap = -1;
}

static int fake_attach(void *ctx, int netns_fd, uint64_t cookie)
{
	struct fake *w = ctx;

	called(w, 'a');
	w->cookie = cookie;
	if (w->steered)
		steer(w, netns_fd);
	return w->attach_err;
}

static int fake_detach(void *ctx, uint64_t cookie)
{
	called(ctx, 'd');
	stop_steering(ctx);
	return 0;
}

static int fake_worker_set(void *ctx, uint64_t cookie, int listener_fd)
{
	const uint64_t fd = (uint64_t)listener_fd;
	struct fake *w = ctx;
	const int zero = 0;

	called(w, 'w');
	if (w->steered)
		assert_int_equal(bpf_map_update_elem(w->sockmap, &zero, &fd, BPF_ANY), 0);
	return 0;
}

static int fake_worker_clear(void *ctx, uint64_t cookie)
{
	called(ctx, 'c');
	return 0;
}

static int fake_ours(void *ctx, int fd, uint32_t kind)
{
	struct fake *w = ctx;

	w->nours++;
	return 0;
}

static int fake_redirect(void *ctx, const struct tip_flow_key *k, struct tip_redirect *out)
{
	const struct fake *w = ctx;

	if (w->no_redirect)
		return -ENOENT;
	*out = (struct tip_redirect){
		.proc = {.tgid = 42},
		.exec_id = 4242,
		.sk_cookie = w->app_cookie,
		.current = w->number,
		.policy = 3,
		.daddr = w->daddr,
		.dport = w->dport,
	};
	return 0;
}

static int fake_redirect_show(void *ctx, const struct tip_flow_key *k, uint32_t addr, uint16_t port)
{
	struct fake *w = ctx;

	w->shown_key = *k;
	w->shown_addr = addr;
	w->shown_port = port;
	return 0;
}

static int fake_leg_set(void *ctx, const struct tip_flow_key *k, const struct tip_leg *leg)
{
	struct fake *w = ctx;

	w->nleg_set++;
	w->leg_key = *k;
	w->leg = *leg;
	/* The real program lets registered legs through. */
	stop_steering(w);
	return w->leg_err;
}

static int fake_leg(void *ctx, const struct tip_flow_key *k, struct tip_leg *out)
{
	const struct fake *w = ctx;

	*out = w->leg;
	return w->leg_gone ? -ENOENT : 0;
}

static int fake_leg_clear(void *ctx, const struct tip_flow_key *k)
{
	struct fake *w = ctx;

	assert_memory_equal(k, &w->leg_key, sizeof(*k));
	w->nleg_clear++;
	return 0;
}

static int fake_listener(void *ctx, uint64_t cookie, uint32_t addr, uint16_t port,
			 struct tip_listener *out)
{
	const struct fake *w = ctx;

	if (!w->has_listener)
		return -ENOENT;
	*out = w->listener;
	return 0;
}

static inline void fake_keep(void *ctx, enum tip_kept what, uint64_t cookie, int fd)
{
	struct fake *w = ctx;

	if (!w->has_store)
		return;
	if (w->kept[what] >= 0)
		close(w->kept[what]);
	w->kept[what] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static inline struct tip_intercept_ops fake_ops(struct fake *w)
{
	return (struct tip_intercept_ops){
		.held = fake_held,
		.outbound = fake_outbound,
		.inbound = fake_inbound,
		.joined = fake_joined,
		.cut = fake_cut,
		.refused = fake_refused,
		.limited = fake_limited,
		.attach = fake_attach,
		.detach = fake_detach,
		.worker_set = fake_worker_set,
		.worker_clear = fake_worker_clear,
		.ours = fake_ours,
		.redirect = fake_redirect,
		.redirect_show = fake_redirect_show,
		.leg_set = fake_leg_set,
		.leg = fake_leg,
		.leg_clear = fake_leg_clear,
		.listener = fake_listener,
		.keep = fake_keep,
		.ctx = w,
	};
}

/* `config` may change what is not said here; NULL changes nothing. */
static inline void fake_open(struct fake *w, const struct tip_intercept_config *config)
{
	static const struct tip_intercept_config plain = {.max_held = 64,
							  .max_held_per_identity = 64,
							  .max_legs_per_netns = 64,
							  .max_flows = 64};
	struct tip_intercept_config c = config ? *config : plain;
	const struct tip_intercept_ops ops = fake_ops(w);
	struct tip_error err = {0};

	*w = (struct fake){
		.held = TIP_HELD_GO,
		.number = 7,
		.daddr = htonl(INADDR_LOOPBACK),
		.dport = SERVER,
		.steered = w->steered,
		.wire = -1,
		.app = -1,
		.sockmap = -1,
		.link = -1,
		.kept = {-1, -1},
	};
	c.instance = "unit";
	c.run_dir = "/run";
	c.port = PORT;
	w->base = event_base_new();
	w->ic = tip_intercept_new(w->base, &c, &ops, &err);
	if (!w->ic)
		fail_msg("%s", err.text);
	tip_intercept_open_doors(w->ic);
	space_open(&w->space, true);
}

static inline void turn(struct fake *w)
{
	event_base_loop(w->base, EVLOOP_NONBLOCK);
}

#define UNTIL(w, condition) UNTIL_DOING(condition, turn(w))

static inline void fake_serve(struct fake *w)
{
	tip_intercept_enable(w->ic, true);
	tip_intercept_process(w->ic, w->space.pid, w->space.inode);
	UNTIL(w, strlen(w->calls) == 2);
	assert_string_equal(w->calls, "aw");
}

static inline void fake_close(struct fake *w)
{
	tip_intercept_free(w->ic);
	event_base_free(w->base);
	space_close(&w->space);
	stop_steering(w);
	if (w->wire >= 0)
		close(w->wire);
	if (w->app >= 0)
		close(w->app);
	for (int i = 0; i < TIP_KEPT_KINDS; i++)
		if (w->kept[i] >= 0)
			close(w->kept[i]);
}

static inline struct tip_intercept_stats stats_of(const struct fake *w)
{
	struct tip_intercept_stats s;

	tip_intercept_stats(w->ic, &s);
	return s;
}

/* What is left to test without root: the refusal, in words. */
static void without_root(void **state)
{
	const struct tip_intercept_config c = {.instance = "unit", .run_dir = "/run", .port = PORT};
	struct event_base *base = event_base_new();
	const struct tip_intercept_ops ops = {0};
	struct tip_error err = {0};

	assert_null(tip_intercept_new(base, &c, &ops, &err));
	assert_non_null(strstr(err.text, "network namespace"));
	event_base_free(base);
}

static int only_without_root(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(without_root)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* ---- sockets of applications ---------------------------------------------- */

static inline int open_in(const struct space *s, int type, int protocol)
{
	const int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int fd;

	assert_int_equal(setns(s->fd, CLONE_NEWNET), 0);
	fd = socket(AF_INET, type | SOCK_CLOEXEC, protocol);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
	assert_true(fd >= 0);
	return fd;
}

static inline int socket_in(const struct space *s, int flags)
{
	return open_in(s, SOCK_STREAM | flags, 0);
}

static inline struct sockaddr_in at(const char *addr, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = inet_addr(addr)};
}

static inline int listen_in(const struct space *s, const char *addr, uint16_t port)
{
	const struct sockaddr_in sa = at(addr, port);
	const int fd = socket_in(s, SOCK_NONBLOCK), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

/* A connect() in a thread of its own: 0 or the errno, once it is done. */
struct caller {
	pthread_t thread;
	int fd;
	struct sockaddr_in to;
	_Atomic int result; /* -1: still inside */
};

static void *caller_main(void *ctx)
{
	struct caller *c = ctx;

	c->result = connect(c->fd, (struct sockaddr *)&c->to, sizeof(c->to)) < 0 ? errno : 0;
	return NULL;
}

static inline void call_with(struct caller *c, int fd)
{
	c->fd = fd;
	c->to = at("127.0.0.1", PORT);
	c->result = -1;
	assert_int_equal(pthread_create(&c->thread, NULL, caller_main, c), 0);
}

static inline void call(struct caller *c, const struct fake *w)
{
	call_with(c, socket_in(&w->space, 0));
}

/* What connect() said. */
static inline int answer(struct caller *c, struct fake *w)
{
	UNTIL(w, c->result >= 0);
	pthread_join(c->thread, NULL);
	return c->result;
}

/* The same without blocking: what SO_ERROR says when the socket is ready. */
static inline int begin_call(const struct fake *w)
{
	const struct sockaddr_in sa = at("127.0.0.1", PORT);
	const int fd = socket_in(&w->space, SOCK_NONBLOCK);

	assert_int_equal(connect(fd, (const struct sockaddr *)&sa, sizeof(sa)), -1);
	assert_int_equal(errno, EINPROGRESS);
	return fd;
}

static inline bool ready(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, 0) == 1;
}

static inline int answer_of(struct fake *w, int fd)
{
	socklen_t len = sizeof(int);
	int err = -1;

	UNTIL(w, ready(fd, POLLOUT));
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return err;
}

static inline bool was_reset(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) == -1 && errno != EAGAIN;
}

#endif
