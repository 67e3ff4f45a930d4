/* SPDX-License-Identifier: Apache-2.0 */
/* What ends a flow from outside, in each of its states: cut, free, quarantine, policy, the peer. */
#include "duo.h"

#include <netinet/tcp.h>

/* The states of a flow in which something can befall it. */
enum stage {
	OUT_DIALLING,
	OUT_SHAKING,
	OUT_WANTED,
	OUT_OPEN,
	IN_SHAKING,
	IN_WANTED,
	IN_LEG,
	IN_OPEN,
	STAGES
};

/* Flow 1 of one side, which has come as far as that. */
struct scene {
	struct duo d;
	struct deaf deaf;
	int wire; /* what should notice its end: the far end of the wire, or -1 */
};

static struct side *side_of(struct scene *s, enum stage stage)
{
	return stage < IN_SHAKING ? &s->d.out : &s->d.in;
}

static void scene_open(struct scene *s, struct world *w, enum stage stage)
{
	struct duo *d = &s->d;
	int wire[2];

	duo_open(d, w, NULL, NULL);
	deaf_open(&s->deaf);
	s->wire = -1;
	switch (stage) {
	case OUT_DIALLING: duo_outbound(d, 1, dial(s->deaf.port)); return;
	case OUT_SHAKING:
		duo_outbound(d, 1, dial(d->wire_port));
		s->wire = accept4(d->wire_listener, NULL, NULL, SOCK_CLOEXEC);
		until(d, recv(s->wire, &(char){0}, 1, MSG_DONTWAIT | MSG_PEEK) > 0);
		while (recv(s->wire, (char[256]){0}, 256, MSG_DONTWAIT) > 0)
			;
		return;
	case IN_SHAKING:
		tcp_pair(wire);
		s->wire = wire[0];
		duo_inbound(d, 1, wire[1]);
		assert_int_equal(send(s->wire, "\x16\x03\x01\x02\x00\x01\x00", 7, 0), 7);
		for (int i = 0; i < 3; i++)
			spin(d);
		return;
	case OUT_WANTED:
		d->out.join = false;
		duo_connect(d, 1);
		until(d, OUT(d)->wanted && open_flows(&d->in) == 1);
		return;
	case IN_WANTED:
	case IN_LEG:
		d->in.join = false;
		duo_connect(d, 1);
		until(d, IN(d)->wanted);
		if (stage == IN_LEG)
			tip_worker_join(d->in.worker, 1, dial(s->deaf.port));
		return;
	default: duo_up(d);
	}
}

static void scene_close(struct scene *s)
{
	drop(&s->wire);
	deaf_close(&s->deaf);
	duo_close(&s->d);
}

static void is_named(enum tip_mtls_cause is, enum tip_mtls_cause should)
{
	assert_string_equal(tip_mtls_cause_name(is), tip_mtls_cause_name(should));
}

/* The other worker, where there is one, hears of it as a reset, and so does its application. */
static void is_over_there(struct scene *s, enum stage stage)
{
	struct duo *d = &s->d;

	if (s->wire >= 0)
		is_reset(d, s->wire);
	if (stage == OUT_WANTED || stage == OUT_OPEN) {
		until(d, IN(d)->ended);
		is_named(IN(d)->end.cause, TIP_MTLS_RESET);
	}
	if (stage == IN_WANTED || stage == IN_LEG || stage == IN_OPEN) {
		until(d, OUT(d)->ended);
		is_named(OUT(d)->end.cause, TIP_MTLS_RESET);
	}
	if (stage == OUT_OPEN || stage == IN_OPEN) {
		is_reset(d, d->client);
		is_reset(d, d->server);
	}
}

static void test_cut(void **state)
{
	for (enum stage stage = 0; stage < STAGES; stage++) {
		struct tip_worker_stats stats;
		const struct fate *f;
		struct scene s;
		struct side *side;

		scene_open(&s, *state, stage);
		side = side_of(&s, stage);
		f = &side->fates[1];
		assert_int_equal(f->ended, 0);
		tip_worker_cut(side->worker, 1, TIP_MTLS_APP_RESET);
		assert_int_equal(f->ended, 1);
		is_named(f->end.cause, TIP_MTLS_APP_RESET);
		assert_int_equal(f->end.opened, stage == OUT_OPEN || stage == IN_OPEN);
		is_over_there(&s, stage);
		tip_worker_stats(side->worker, &stats);
		assert_int_equal(stats.relays.handshakes + stats.relays.open, 0);
		tip_worker_cut(side->worker, 1, TIP_MTLS_APP_RESET);
		scene_close(&s);
	}
}

/* A number that is no cause, or no end, is that of a cut. */
static void test_cut_for_no_cause(void **state)
{
	static const uint32_t numbers[] = {TIP_MTLS_NONE, TIP_MTLS_CLEAN, TIP_MTLS_CAUSES,
					   0xffffffff};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(numbers); i++) {
		enum tip_mtls_cause cause;
		struct scene s;

		scene_open(&s, *state, i % 2 ? OUT_OPEN : IN_WANTED);
		/* As a message of the link may bring it. */
		memcpy(&cause, &numbers[i], sizeof(cause));
		tip_worker_cut((i % 2 ? &s.d.out : &s.d.in)->worker, 1, cause);
		is_named((i % 2 ? OUT(&s.d) : IN(&s.d))->end.cause, TIP_MTLS_ABORTED);
		scene_close(&s);
	}
}

/* While the application is awaited or dialled, the client can be told. */
static void test_cut_becomes_verdict(void **state)
{
	static const struct {
		enum tip_mtls_cause cause, client;
		const char *text;
	} cases[] = {
		{TIP_MTLS_REFUSED, TIP_MTLS_REFUSED, "reason 0"},
		{TIP_MTLS_UNREACHABLE, TIP_MTLS_UNREACHABLE, "reason 0"},
		{TIP_MTLS_LIMIT_CONNECTIONS, TIP_MTLS_UNREACHABLE, "reason 4"},
		{TIP_MTLS_DENIED, TIP_MTLS_DENIED, "reason 0"},
		{TIP_MTLS_QUARANTINED, TIP_MTLS_QUARANTINED, "reason 0"},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		for (enum stage stage = IN_WANTED; stage <= IN_LEG; stage++) {
			struct scene s;

			scene_open(&s, *state, stage);
			tip_worker_cut(s.d.in.worker, 1, cases[i].cause);
			duo_ends(&s.d, cases[i].client, cases[i].cause);
			assert_non_null(strstr(OUT(&s.d)->end_text, cases[i].text));
			assert_int_equal(OUT(&s.d)->wanted, 0);
			scene_close(&s);
		}
	}
}

static void test_worker_free(void **state)
{
	for (enum stage stage = 0; stage < STAGES; stage++) {
		struct scene s;
		struct side *side;

		scene_open(&s, *state, stage);
		side = side_of(&s, stage);
		tip_worker_free(side->worker);
		side->worker = NULL;
		assert_int_equal(side->fates[1].ended, 0);
		is_over_there(&s, stage);
		scene_close(&s);
	}
}

/* By the ID of either end, known from the start here and from the certificate there. */
static void test_quarantine(void **state)
{
	for (enum stage stage = 0; stage < STAGES; stage++) {
		for (int peer = 0; peer < 2; peer++) {
			bool known = !peer || (stage != OUT_DIALLING && stage != OUT_SHAKING &&
					       stage != IN_SHAKING);
			bool inbound = stage >= IN_SHAKING;
			const struct fate *f;
			struct side *side;
			struct scene s;

			scene_open(&s, *state, stage);
			side = side_of(&s, stage);
			f = &side->fates[1];
			assert_int_equal(tip_worker_quarantine(side->worker, "spiffe://a.test/x"),
					 0);
			assert_int_equal(tip_worker_quarantine(side->worker,
							       inbound ^ peer ? ORDERS : FRONTEND),
					 known);
			if (known) {
				until(&s.d, f->ended);
				is_named(f->end.cause, TIP_MTLS_QUARANTINED);
			}
			/* While the verdict is still due, it says so. */
			if (stage == IN_WANTED || stage == IN_LEG) {
				until(&s.d, OUT(&s.d)->ended);
				is_named(OUT(&s.d)->end.cause, TIP_MTLS_QUARANTINED);
			}
			scene_close(&s);
		}
	}
}

static void test_recheck(void **state)
{
	static const struct {
		enum stage stage;
		enum tip_mtls_cause cause;
	} cases[] = {
		{OUT_WANTED, TIP_MTLS_DENIED}, {OUT_OPEN, TIP_MTLS_DENIED},
		{IN_WANTED, TIP_MTLS_DENIED},  {IN_LEG, TIP_MTLS_DENIED},
		{IN_OPEN, TIP_MTLS_DENIED},    {IN_OPEN, TIP_MTLS_QUARANTINED},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		struct scene s;
		struct side *side;

		scene_open(&s, *state, cases[i].stage);
		side = side_of(&s, cases[i].stage);
		assert_int_equal(tip_worker_recheck(side->worker), 0);
		side->keeps = cases[i].cause;
		assert_int_equal(tip_worker_recheck(side->worker), 1);
		until(&s.d, side->fates[1].ended);
		is_named(side->fates[1].end.cause, cases[i].cause);
		scene_close(&s);
	}
}

/*
 * Nothing asks for mutual TLS there any more: who dials anew is not expected, and nobody would be
 * let in; what is open goes on.
 */
static void test_recheck_keeps_what_policy_leaves_alone(void **state)
{
	struct scene s;

	scene_open(&s, *state, OUT_OPEN);
	s.d.out.expected = NULL;
	s.d.in.verdict = TIP_VERDICT_DENIED;
	assert_int_equal(tip_worker_recheck(s.d.out.worker), 0);
	assert_int_equal(tip_worker_recheck(s.d.in.worker), 0);
	assert_int_equal(send(s.d.client, "x", 1, 0), 1);
	until(&s.d, recv(s.d.server, &(char){0}, 1, MSG_DONTWAIT) == 1);
	scene_close(&s);
}

/* A policy that changes during the handshake holds at its end. */
static void test_policy_during_handshake(void **state)
{
	for (int denied = 0; denied < 2; denied++) {
		struct duo d;
		int wire;

		duo_open(&d, *state, NULL, NULL);
		duo_outbound(&d, 1, dial(d.wire_port));
		wire = accept4(d.wire_listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		until(&d, recv(wire, &(char){0}, 1, MSG_DONTWAIT | MSG_PEEK) > 0);
		if (denied)
			d.out.keeps = TIP_MTLS_DENIED;
		assert_int_equal(tip_worker_recheck(d.out.worker), 0);
		duo_inbound(&d, 1, wire);
		if (denied) {
			duo_ends(&d, TIP_MTLS_DENIED, TIP_MTLS_RESET);
			assert_int_equal(OUT(&d)->wanted, 0);
		} else {
			until(&d, open_flows(&d.out) == 1);
		}
		duo_close(&d);
	}
}

/* A server of its own: its session is done, and what happens next is up to the test. */
static struct tip_backend *lone_server(struct duo *d, struct tip_session **session)
{
	static struct ask a = {.answer = TIP_VERDICT_OK};
	enum tip_step step = TIP_STEP_WANT_READ;
	struct tip_session *s;

	d->out.join = false;
	duo_outbound(d, 1, dial(d->wire_port));
	s = server_of(d->world, accept4(d->wire_listener, NULL, NULL, SOCK_CLOEXEC), NULL, &a);
	while (step != TIP_STEP_DONE) {
		spin(d);
		step = tip_session_step(s);
		if (step == TIP_STEP_JUDGED)
			tip_session_verdict(s, TIP_VERDICT_OK, 0);
		assert_int_not_equal(step, TIP_STEP_FAILED);
	}
	until(d, OUT(d)->wanted);
	*session = s;
	return tip_session_take(s);
}

/* The peer dies while the application is awaited: by FIN, by reset, by reset behind data. */
static void test_peer_dies_wanted(void **state)
{
	for (int how = 0; how < 3; how++) {
		struct tip_session *session;
		struct tip_backend *b;
		struct duo d;
		int fd;

		duo_open(&d, *state, NULL, NULL);
		b = lone_server(&d, &session);
		fd = b->fd;
		if (how == 2)
			assert_int_equal(b->ops->write(b, "half", 4), 4);
		for (int i = 0; i < 5; i++)
			spin(&d);
		assert_int_equal(OUT(&d)->ended, 0);
		b->ops->close(b);
		tip_leg_close(fd, how == 0);
		until(&d, OUT(&d)->ended);
		is_named(OUT(&d)->end.cause, how ? TIP_MTLS_RESET : TIP_MTLS_CLOSED);
		assert_string_equal(OUT(&d)->end_peer, ORDERS);
		assert_false(OUT(&d)->end.opened);
		tip_session_free(session);
		duo_close(&d);
	}
}

/* The client gives up while its server's application is awaited, or dialled. */
static void test_client_gives_up(void **state)
{
	for (enum stage stage = IN_WANTED; stage <= IN_LEG; stage++) {
		struct scene s;

		scene_open(&s, *state, stage);
		tip_worker_cut(s.d.out.worker, 1, TIP_MTLS_ABORTED);
		duo_ends(&s.d, TIP_MTLS_ABORTED, TIP_MTLS_RESET);
		scene_close(&s);
	}
}

/* An application that resets is heard of at the other end, with what was carried until then. */
static void test_application_resets(void **state)
{
	struct scene s;
	char c;

	scene_open(&s, *state, OUT_OPEN);
	assert_int_equal(send(s.d.client, "abc", 3, 0), 3);
	until(&s.d, recv(s.d.server, &c, 1, MSG_DONTWAIT | MSG_PEEK) == 1);
	tip_leg_close(s.d.client, false);
	s.d.client = -1;
	duo_ends(&s.d, TIP_MTLS_APP_RESET, TIP_MTLS_RESET);
	assert_int_equal(OUT(&s.d)->end.sent, 3);
	assert_int_equal(IN(&s.d)->end.received, 3);
	assert_true(OUT(&s.d)->end.opened);
	scene_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_cut_for_no_cause),
		cmocka_unit_test(test_cut_becomes_verdict),
		cmocka_unit_test(test_worker_free),
		cmocka_unit_test(test_quarantine),
		cmocka_unit_test(test_recheck),
		cmocka_unit_test(test_recheck_keeps_what_policy_leaves_alone),
		cmocka_unit_test(test_policy_during_handshake),
		cmocka_unit_test(test_peer_dies_wanted),
		cmocka_unit_test(test_client_gives_up),
		cmocka_unit_test(test_application_resets),
	};

	return run_over_backends(tests, world_set_up, world_tear_down);
}
