/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#define MEGABYTE (1024 * (size_t)1024)
#define LIMIT    (4 * MEGABYTE)

static void test_bytes(void **state)
{
	static const size_t sizes[] = {0, 1, 100, 4096, 16384, 16385, 65537, MEGABYTE};
	struct relay r;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(sizes); i++) {
		relay_open(&r, *state, LIMIT);
		converse(&r, sizes[i], sizes[TIP_ARRAY_SIZE(sizes) - 1 - i], 0);
		relay_close(&r);
	}
}

static void test_twenty_megabytes(void **state)
{
	struct tip_pump_group_stats stats;
	struct relay r;

	relay_open(&r, *state, LIMIT);
	converse(&r, 20 * MEGABYTE, 20 * MEGABYTE, 0);
	tip_pump_group_stats(r.group, &stats);
	assert_int_equal(stats.buffers, 0);
	assert_int_equal(stats.pumps, 0);
	/* Two pumps, two directions, 256 KB. */
	assert_true(stats.buffers_peak <= (size_t)4 * 262144);
	relay_close(&r);
}

static void test_half_close(void **state)
{
	struct relay r;
	char got[16] = "";

	relay_open(&r, *state, LIMIT);
	assert_int_equal(send(r.client, "question", 8, 0), 8);
	shutdown(r.client, SHUT_WR);
	relay_run(&r, 50);
	assert_int_equal(recv(r.server, got, sizeof(got), MSG_WAITALL), 8);
	assert_memory_equal(got, "question", 8);
	assert_true(r.out.pump && r.in.pump);
	assert_int_equal(send(r.server, "answer", 6, 0), 6);
	relay_run(&r, 50);
	assert_int_equal(recv(r.client, got, 6, MSG_WAITALL), 6);
	assert_memory_equal(got, "answer", 6);
	shutdown(r.server, SHUT_WR);
	relay_run(&r, 2000);
	assert_int_equal(r.out.cause, TIP_MTLS_CLEAN);
	assert_int_equal(r.in.cause, TIP_MTLS_CLEAN);
	assert_int_equal(recv(r.client, got, 1, 0), 0);
	relay_close(&r);
}

/* The server ends first, the client goes on. */
static void test_half_close_back(void **state)
{
	struct relay r;
	char got[8];

	relay_open(&r, *state, LIMIT);
	shutdown(r.server, SHUT_WR);
	relay_run(&r, 50);
	assert_int_equal(recv(r.client, got, 1, 0), 0);
	assert_int_equal(send(r.client, "more", 4, 0), 4);
	relay_run(&r, 50);
	assert_int_equal(recv(r.server, got, 4, MSG_WAITALL), 4);
	shutdown(r.client, SHUT_WR);
	relay_run(&r, 2000);
	assert_int_equal(r.out.cause, TIP_MTLS_CLEAN);
	relay_close(&r);
}

static void small_buffers(int fd)
{
	const int size = 32768;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/* Writes until the path takes no more; how much it took. */
static size_t stuff(struct relay *r, int fd)
{
	static const char zeros[65536];
	size_t all = 0, last = 1;

	for (int quiet = 0; quiet < 20; quiet += all == last) {
		ssize_t n;

		last = all;
		while ((n = send(fd, zeros, sizeof(zeros), MSG_DONTWAIT)) > 0)
			all += (size_t)n;
		relay_run(r, 10);
	}
	return all;
}

/* A reader that does not read holds the writer back; we hold no more than the buffers. */
static void test_slow_reader(void **state)
{
	struct tip_pump_stats out, in;
	struct relay r;
	size_t all, got = 0;
	char buf[65536];

	relay_open(&r, *state, LIMIT);
	small_buffers(r.client);
	small_buffers(r.server);
	all = stuff(&r, r.client);
	assert_true(all > 65536 && all < 40 * MEGABYTE);
	tip_pump_stats(r.out.pump, &out);
	tip_pump_stats(r.in.pump, &in);
	assert_true(out.buffers <= (size_t)2 * 262144 && in.buffers <= (size_t)2 * 262144);
	shutdown(r.client, SHUT_WR);
	/* The other direction is not held up. */
	assert_int_equal(send(r.server, "!", 1, 0), 1);
	relay_run(&r, 50);
	assert_int_equal(recv(r.client, buf, 1, MSG_DONTWAIT), 1);
	while (got < all) {
		ssize_t n = recv(r.server, buf, sizeof(buf), MSG_DONTWAIT);

		assert_true(n != 0);
		if (n > 0)
			got += (size_t)n;
		else
			relay_run(&r, 10);
	}
	shutdown(r.server, SHUT_WR);
	relay_run(&r, 2000);
	assert_int_equal(r.in.cause, TIP_MTLS_CLEAN);
	assert_int_equal(r.in.stats.received, all);
	relay_close(&r);
}

static void test_slow_reader_exact(void **state)
{
	struct relay r;

	relay_open(&r, *state, LIMIT);
	converse(&r, MEGABYTE, 2 * MEGABYTE, 300);
	relay_close(&r);
}

static void expect_reset(int fd)
{
	char buf[65536];
	ssize_t n;

	wait_for(fd, POLLIN, 1000);
	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		;
	assert_int_equal(n, -1);
	assert_int_equal(errno, ECONNRESET);
}

/* A reset at either end is one at the other: idle, after data, and behind a blocked direction. */
static void test_reset(void **state)
{
	for (int from_server = 0; from_server < 2; from_server++) {
		for (int how = 0; how < 3; how++) {
			struct relay r;
			int from, to;

			relay_open(&r, *state, LIMIT);
			from = from_server ? r.server : r.client;
			to = from_server ? r.client : r.server;
			if (how == 1)
				assert_int_equal(send(from, "some", 4, 0), 4);
			if (how == 2) {
				small_buffers(from);
				small_buffers(to);
				(void)stuff(&r, from);
			}
			relay_run(&r, 20);
			tip_leg_close(from, false);
			relay_run(&r, 2000);
			assert_null(r.out.pump);
			assert_null(r.in.pump);
			assert_int_equal((from_server ? r.in : r.out).cause, TIP_MTLS_APP_RESET);
			assert_int_equal((from_server ? r.out : r.in).cause, TIP_MTLS_RESET);
			expect_reset(to);
			if (from_server)
				r.server = dup(to);
			else
				r.client = dup(to);
			relay_close(&r);
		}
	}
}

static void test_abort(void **state)
{
	struct relay r;

	relay_open(&r, *state, LIMIT);
	assert_int_equal(send(r.client, "some", 4, 0), 4);
	relay_run(&r, 20);
	tip_pump_abort(r.out.pump, TIP_MTLS_QUARANTINED);
	assert_null(r.out.pump);
	assert_int_equal(r.out.cause, TIP_MTLS_QUARANTINED);
	assert_int_equal(r.out.stats.sent, 4);
	expect_reset(r.client);
	relay_run(&r, 2000);
	assert_int_equal(r.in.cause, TIP_MTLS_RESET);
	expect_reset(r.server);
	relay_close(&r);
}

/* Freeing the group resets what is open: nobody is left with half an answer. */
static void test_group_free(void **state)
{
	struct relay r;

	relay_open(&r, *state, LIMIT);
	relay_run(&r, 20);
	tip_pump_group_free(r.group);
	r.group = NULL;
	assert_int_equal(r.out.cause, TIP_MTLS_ABORTED);
	expect_reset(r.client);
	expect_reset(r.server);
	relay_close(&r);
}

/* An idle connection holds no buffer. */
static void test_idle(void **state)
{
	struct tip_pump_group_stats stats;
	struct relay r;
	char c;

	relay_open(&r, *state, LIMIT);
	assert_int_equal(send(r.client, "x", 1, 0), 1);
	relay_run(&r, 50);
	assert_int_equal(recv(r.server, &c, 1, MSG_DONTWAIT), 1);
	tip_pump_group_stats(r.group, &stats);
	assert_true(stats.buffers > 0);
	relay_run(&r, 1500);
	tip_pump_group_stats(r.group, &stats);
	assert_int_equal(stats.buffers, 0);
	assert_int_equal(stats.pumps, 2);
	relay_close(&r);
}

/* Many connections on memory for a few: all of them end well, none holds more than its share. */
static void test_buffer_limit(void **state)
{
	enum { N = 6 };
	struct event_base *base = event_base_new();
	struct tip_pump_group *group = tip_pump_group_new(base, 16384);
	struct talk out[N], in[N];
	struct tip_pump_group_stats stats;
	struct relay r[N];

	for (int i = 0; i < N; i++) {
		relay_on(&r[i], *state, base, group);
		out[i] = (struct talk){.fd = r[i].client,
				       .bytes = MEGABYTE / 4,
				       .seed = 5u + (unsigned int)i,
				       .ends = true};
		in[i] = (struct talk){.fd = r[i].server, .seed = 5u + (unsigned int)i};
		shutdown(r[i].server, SHUT_WR);
		talk_start(&out[i], talk_write);
		talk_start(&in[i], talk_read);
	}
	for (int i = 0; i < N; i++)
		relay_run(&r[i], 60000);
	for (int i = 0; i < N; i++) {
		talk_join(&out[i]);
		talk_join(&in[i]);
		assert_true(in[i].eof && !in[i].wrong);
		assert_int_equal(in[i].done, MEGABYTE / 4);
		assert_int_equal(r[i].out.cause, TIP_MTLS_CLEAN);
		assert_int_equal(r[i].in.cause, TIP_MTLS_CLEAN);
		close(r[i].client);
		close(r[i].server);
	}
	tip_pump_group_stats(group, &stats);
	assert_true(stats.buffers_peak <= 16384);
	assert_true(stats.waits > 0);
	tip_pump_group_free(group);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),        cmocka_unit_test(test_twenty_megabytes),
		cmocka_unit_test(test_half_close),   cmocka_unit_test(test_half_close_back),
		cmocka_unit_test(test_slow_reader),  cmocka_unit_test(test_slow_reader_exact),
		cmocka_unit_test(test_reset),        cmocka_unit_test(test_abort),
		cmocka_unit_test(test_group_free),   cmocka_unit_test(test_idle),
		cmocka_unit_test(test_buffer_limit),
	};

	return run_over_backends(tests, world_set_up, world_tear_down);
}
