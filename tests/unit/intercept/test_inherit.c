/* SPDX-License-Identifier: Apache-2.0 */
/* What an earlier daemon has left: held connects go on with the next one, wrong descriptors do not.
 */
#include <linux/netlink.h>
#include <netinet/tcp.h>

#include "fake.h"

/* The end of one daemon, as kill -9 makes it: nothing is said, and somebody has the descriptors. */
static void die(struct fake *w)
{
	tip_intercept_free(w->ic);
	w->ic = NULL;
	memset(w->calls, 0, sizeof(w->calls));
	w->noutbound = 0;
}

static void succeed(struct fake *w, bool doors)
{
	const struct tip_intercept_config c = {.instance = "unit",
					       .run_dir = "/run",
					       .port = PORT,
					       .max_held = 64,
					       .max_held_per_identity = 64,
					       .max_legs_per_netns = 64,
					       .max_flows = 64};
	const struct tip_intercept_ops ops = fake_ops(w);
	struct tip_error err = {0};

	w->ic = tip_intercept_new(w->base, &c, &ops, &err);
	if (!w->ic)
		fail_msg("%s", err.text);
	if (doors)
		tip_intercept_open_doors(w->ic);
}

static void inherit(struct fake *w, enum tip_kept what)
{
	const int fd = w->kept[what];

	assert_true(fd >= 0);
	w->kept[what] = -1;
	assert_true(tip_intercept_inherit(w->ic, what, fd));
}

static unsigned int sent_again(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	return info.tcpi_total_retrans;
}

static void held_connects_go_on(void **state)
{
	struct fake w = {0};
	int server, read_by_the_first, unread, came_between;
	const struct tip_flow *f;

	fake_open(&w, NULL);
	w.has_store = true;
	fake_serve(&w);
	server = listen_in(&w.space, "127.0.0.1", SERVER);
	read_by_the_first = begin_call(&w);
	UNTIL(&w, w.noutbound == 1);
	unread = begin_call(&w);
	die(&w);
	came_between = begin_call(&w);
	succeed(&w, false);
	inherit(&w, TIP_KEPT_WORKER);
	inherit(&w, TIP_KEPT_QUEUE);
	/* No process has been seen: the sockets say which namespace it is. */
	tip_intercept_enable(w.ic, true);
	UNTIL(&w, strlen(w.calls) == 2);
	assert_string_equal(w.calls, "aw");
	/* Nobody is there yet to do it. */
	for (int i = 0; i < 20; i++)
		turn(&w);
	assert_int_equal(w.noutbound, 0);
	tip_intercept_open_doors(w.ic);
	UNTIL(&w, w.noutbound == 3);
	/* It was not by another SYN that they came here. */
	assert_int_equal(sent_again(read_by_the_first), 0);
	assert_int_equal(sent_again(unread), 0);
	assert_int_equal(sent_again(came_between), 0);
	assert_int_equal(stats_of(&w).held, 3);
	assert_int_equal(stats_of(&w).queue_drops, 0);
	for (uint64_t id = 0; (f = tip_intercept_next(w.ic, id)); id = f->id)
		tip_intercept_wanted(w.ic, f->id);
	assert_int_equal(answer_of(&w, read_by_the_first), 0);
	assert_int_equal(answer_of(&w, unread), 0);
	assert_int_equal(answer_of(&w, came_between), 0);
	UNTIL(&w, w.njoined == 3);
	close(read_by_the_first);
	close(unread);
	close(came_between);
	close(server);
	fake_close(&w);
}

/* A connection that the dead one had released waits in the listener, and is reset by the next. */
static void released_ones_end(void **state)
{
	struct fake w = {0};
	struct pollfd p;
	int server, fd;

	fake_open(&w, NULL);
	w.has_store = true;
	fake_serve(&w);
	server = listen_in(&w.space, "127.0.0.1", SERVER);
	fd = begin_call(&w);
	UNTIL(&w, w.noutbound == 1);
	tip_intercept_wanted(w.ic, w.flow.id);
	p = (struct pollfd){.fd = fd, .events = POLLOUT};
	assert_int_equal(poll(&p, 1, 10000), 1);
	die(&w);
	succeed(&w, true);
	inherit(&w, TIP_KEPT_WORKER);
	inherit(&w, TIP_KEPT_QUEUE);
	tip_intercept_enable(w.ic, true);
	UNTIL(&w, stats_of(&w).orphans == 1);
	close(fd);
	close(server);
	fake_close(&w);
}

static void wrong_ones_are_closed(void **state)
{
	struct fake w = {0};
	int server, fd, listener, pipes[2];

	fake_open(&w, NULL);
	w.has_store = true;
	fake_serve(&w);
	server = listen_in(&w.space, "127.0.0.1", SERVER);
	die(&w);
	/* Its own are gone: the next one makes new ones. */
	for (int i = 0; i < TIP_KEPT_KINDS; i++) {
		close(w.kept[i]);
		w.kept[i] = -1;
	}
	succeed(&w, true);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_false(tip_intercept_inherit(w.ic, TIP_KEPT_WORKER, pipes[0]));
	assert_int_equal(fcntl(pipes[0], F_GETFD), -1);
	close(pipes[1]);
	/* Of another port; a datagram socket in place of the queue. */
	listener = listen_in(&w.space, "127.0.0.1", PORT + 1);
	fd = socket_in(&w.space, 0);
	assert_true(tip_intercept_inherit(w.ic, TIP_KEPT_WORKER, listener));
	assert_true(tip_intercept_inherit(w.ic, TIP_KEPT_QUEUE, fd));
	tip_intercept_enable(w.ic, true);
	UNTIL(&w, strlen(w.calls) == 2);
	assert_string_equal(w.calls, "aw");
	fd = begin_call(&w);
	UNTIL(&w, w.noutbound == 1);
	tip_intercept_wanted(w.ic, w.flow.id);
	assert_int_equal(answer_of(&w, fd), 0);
	close(fd);
	close(server);
	fake_close(&w);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(held_connects_go_on),
		cmocka_unit_test(released_ones_end),
		cmocka_unit_test(wrong_ones_are_closed),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return world_run(tests, only_without_root);
}
