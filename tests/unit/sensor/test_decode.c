/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/sensor.h"

/* A record under construction, aligned as a ring aligns it. */
struct rec {
	size_t len;
	uint64_t data[4096];
};

static unsigned char *rec_bytes(struct rec *r)
{
	return (unsigned char *)r->data;
}

static void rec_begin(struct rec *r, uint16_t type, const void *payload, size_t size)
{
	struct tip_hdr hdr = {.type = type, .comm = "cat"};

	hdr.proc.tgid = 7;
	memset(r, 0, sizeof(*r));
	memcpy(rec_bytes(r), &hdr, sizeof(hdr));
	memcpy(rec_bytes(r) + sizeof(hdr), payload, size);
	r->len = sizeof(hdr) + size;
}

static void rec_str(struct rec *r, const char *s, size_t len)
{
	memcpy(rec_bytes(r) + r->len, s, len);
	rec_bytes(r)[r->len + len] = '\0';
	r->len += len + 1;
}

static struct tip_hdr *rec_end(struct rec *r)
{
	struct tip_hdr *hdr = (struct tip_hdr *)r->data;

	hdr->len = (uint32_t)r->len;
	return hdr;
}

/* Decodes from a heap block of exactly that size, so that ASan sees any byte too far. */
static int decode(const struct rec *r, size_t len, struct tip_event *ev, void **keep)
{
	void *copy = malloc(len ? len : 1);
	int ret;

	assert_non_null(copy);
	memcpy(copy, r->data, len);
	ret = tip_event_decode(copy, len, ev);
	if (keep && ret == 0)
		*keep = copy; /* the event points into it */
	else
		free(copy);
	return ret;
}

static void make_exec(struct rec *r)
{
	static const char args[] = "cat\0-n\0/etc/hosts", env[] = "A=1\0B=2";
	const struct tip_ev_exec d = {
		.exe_ino = 42,
		.filename_len = 8,
		.exe_path_len = 12,
		.cwd_len = 1,
		.args_len = sizeof(args),
		.env_len = sizeof(env),
	};

	rec_begin(r, TIP_EV_EXEC, &d, sizeof(d));
	rec_str(r, "/bin/cat", 8);
	rec_str(r, "/usr/bin/cat", 12);
	rec_str(r, "/", 1);
	rec_str(r, args, sizeof(args));
	rec_str(r, env, sizeof(env));
	rec_end(r);
}

static void exec_is_read(void **state)
{
	struct tip_event ev;
	struct rec r;
	void *keep;

	make_exec(&r);
	assert_int_equal(decode(&r, r.len, &ev, &keep), 0);
	assert_int_equal(ev.hdr->proc.tgid, 7);
	assert_string_equal(ev.hdr->comm, "cat");
	assert_int_equal(ev.exec.data->exe_ino, 42);
	assert_string_equal(ev.exec.filename, "/bin/cat");
	assert_string_equal(ev.exec.exe_path, "/usr/bin/cat");
	assert_string_equal(ev.exec.cwd, "/");
	assert_memory_equal(ev.exec.args, "cat\0-n\0/etc/hosts\0", 19);
	assert_memory_equal(ev.exec.env, "A=1\0B=2\0", 9);
	free(keep);

	/* one that nobody asked for is not even an empty string */
	((struct tip_ev_exec *)((struct tip_hdr *)r.data + 1))->env_len = 0;
	r.len -= sizeof("A=1\0B=2") + 1;
	((struct tip_hdr *)r.data)->len = (uint32_t)r.len;
	assert_int_equal(decode(&r, r.len, &ev, &keep), 0);
	assert_string_equal(ev.exec.env, "");
	free(keep);
}

/* Whatever is cut off, the rest is not taken for a record, also if its length says it is whole. */
static void cut_records_are_refused(void **state)
{
	struct tip_event ev;
	struct rec r;

	make_exec(&r);
	for (size_t len = 0; len < r.len; len++) {
		assert_int_equal(decode(&r, len, &ev, NULL), -1);
		if (len >= sizeof(struct tip_hdr)) {
			((struct tip_hdr *)r.data)->len = (uint32_t)len;
			assert_int_equal(decode(&r, len, &ev, NULL), -1);
		}
	}
}

static void lying_lengths_are_refused(void **state)
{
	const struct tip_ev_open d = {.name_len = 3, .base_len = 0, .real_len = 0};
	struct tip_ev_open *in;
	struct tip_event ev;
	struct rec r;
	void *keep;

	rec_begin(&r, TIP_EV_OPEN, &d, sizeof(d));
	rec_str(&r, "abc", 3);
	rec_str(&r, "", 0);
	rec_str(&r, "", 0);
	rec_end(&r);
	assert_int_equal(decode(&r, r.len, &ev, &keep), 0);
	assert_string_equal(ev.open.name, "abc");
	assert_string_equal(ev.open.base, "");
	assert_string_equal(ev.open.real, "");
	assert_string_equal(ev.open.host, "");
	free(keep);

	in = (struct tip_ev_open *)(rec_bytes(&r) + sizeof(struct tip_hdr));
	in->name_len = 2; /* no NUL where the string should end */
	assert_int_equal(decode(&r, r.len, &ev, NULL), -1);
	in->name_len = 65535;
	assert_int_equal(decode(&r, r.len, &ev, NULL), -1);
	in->name_len = 4; /* runs into the next one; then one is missing */
	assert_int_equal(decode(&r, r.len, &ev, NULL), -1);
	in->name_len = 3;
	rec_str(&r, "", 0); /* a byte too many */
	rec_end(&r);
	assert_int_equal(decode(&r, r.len, &ev, NULL), -1);
}

static void fixed_records_have_their_size(void **state)
{
	const struct {
		uint16_t type;
		size_t size;
	} kinds[] = {
		{TIP_EV_FORK, sizeof(struct tip_ev_fork)},
		{TIP_EV_EXIT, sizeof(struct tip_ev_exit)},
		{TIP_EV_CRED, sizeof(struct tip_ev_cred)},
		{TIP_EV_CGROUP, sizeof(struct tip_ev_cgroup)},
		{TIP_EV_NETNS, sizeof(struct tip_ev_netns)},
		{TIP_EV_LISTENER, sizeof(struct tip_ev_netns)},
	};
	static const unsigned char zeros[256];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct tip_event ev;
		struct rec r;
		void *keep;

		rec_begin(&r, kinds[i].type, zeros, kinds[i].size);
		rec_end(&r);
		assert_int_equal(decode(&r, r.len, &ev, &keep), 0);
		assert_non_null(ev.fork); /* the union's first member of each */
		free(keep);
		rec_begin(&r, kinds[i].type, zeros, kinds[i].size - 1);
		rec_end(&r);
		assert_int_equal(decode(&r, r.len, &ev, NULL), -1);
		rec_begin(&r, kinds[i].type, zeros, kinds[i].size + 1);
		rec_end(&r);
		assert_int_equal(decode(&r, r.len, &ev, NULL), -1);
	}
}

static void socket_kinds_are_read(void **state)
{
	static const uint16_t types[] = {TIP_EV_CONNECT, TIP_EV_ACCEPT, TIP_EV_BIND, TIP_EV_LISTEN,
					 TIP_EV_DENIED_CONNECT};
	const struct tip_ev_sock d = {.rport = 443, .path_len = 9};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct tip_event ev;
		struct rec r;
		void *keep;

		rec_begin(&r, types[i], &d, sizeof(d));
		rec_str(&r, "/run/sock", 9);
		rec_end(&r);
		assert_int_equal(decode(&r, r.len, &ev, &keep), 0);
		assert_int_equal(ev.sock.data->rport, 443);
		assert_string_equal(ev.sock.path, "/run/sock");
		free(keep);
	}
}

static void strange_headers_are_refused(void **state)
{
	static const uint16_t unknown[] = {0, 7, TIP_EV_MAX, 65535};
	const struct tip_ev_exit d = {0};
	struct tip_event ev;
	struct tip_hdr *hdr;
	struct rec r;

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		rec_begin(&r, unknown[i], &d, sizeof(d));
		rec_end(&r);
		assert_int_equal(decode(&r, r.len, &ev, NULL), -1);
	}
	rec_begin(&r, TIP_EV_EXIT, &d, sizeof(d));
	hdr = rec_end(&r);
	hdr->len++;
	assert_int_equal(decode(&r, r.len, &ev, NULL), -1);
	hdr->len--;
	memset(hdr->comm, 'x', sizeof(hdr->comm)); /* no NUL */
	assert_int_equal(decode(&r, r.len, &ev, NULL), -1);
	hdr->comm[15] = '\0';
	assert_int_equal(decode(&r, r.len, &ev, NULL), 0);
}

static void unaligned_records_are_refused(void **state)
{
	const struct tip_ev_exit d = {0};
	unsigned char shifted[sizeof(struct tip_hdr) + sizeof(d) + 16];
	struct tip_event ev;
	struct rec r;
	size_t off;

	rec_begin(&r, TIP_EV_EXIT, &d, sizeof(d));
	rec_end(&r);
	off = ((uintptr_t)shifted & 7) == 4 ? 5 : 4;
	memcpy(shifted + off, r.data, r.len);
	assert_int_equal(tip_event_decode(shifted + off, r.len, &ev), -1);
}

static void make_call(struct rec *r, uint16_t type, uint16_t call)
{
	const struct tip_ev_call d = {.args = {1, 2, 3, 4096}, .call = call, .text_len = {4, 4, 5}};

	rec_begin(r, type, &d, sizeof(d));
	rec_str(r, "none", 4);
	rec_str(r, "/mnt", 4);
	rec_str(r, "tmpfs", 5);
	for (int i = TIP_TEXT_DATA; i < TIP_CALL_TEXTS; i++)
		rec_str(r, "", 0);
	rec_end(r);
}

static void test_call(void **state)
{
	struct tip_event ev;
	struct rec r;
	void *keep;

	(void)state;
	for (int type = TIP_EV_SIGNAL; type <= TIP_EV_MMAP; type++) {
		make_call(&r, type, TIP_CALL_MOUNT);
		assert_int_equal(decode(&r, r.len, &ev, &keep), 0);
		assert_int_equal(ev.call.data->args[3], 4096);
		assert_string_equal(ev.call.text[0], "none");
		assert_string_equal(ev.call.text[1], "/mnt");
		assert_string_equal(ev.call.text[2], "tmpfs");
		free(keep);
	}
}

static void test_system_call(void **state)
{
	const struct tip_ev_call d = {
		.call = TIP_CALL_SYSCALL, .nr = 265, .text_len = {3, 0, 3, 4, 4, 1}};
	struct tip_ev_call *at;
	struct tip_event ev;
	struct rec r;
	void *keep;

	(void)state;
	rec_begin(&r, TIP_EV_CALL, &d, sizeof(d));
	rec_str(&r, "old", 3);
	rec_str(&r, "", 0);
	rec_str(&r, "new", 3);
	rec_str(&r, "a\0b\0", 4); /* data may hold NULs */
	rec_str(&r, "/etc", 4);
	rec_str(&r, "/", 1);
	rec_end(&r);
	assert_int_equal(decode(&r, r.len, &ev, &keep), 0);
	assert_int_equal(ev.call.data->nr, 265);
	assert_string_equal(ev.call.text[TIP_TEXT_PATH], "old");
	assert_string_equal(ev.call.text[TIP_TEXT_PATH2], "new");
	assert_memory_equal(ev.call.text[TIP_TEXT_DATA], "a\0b\0", 5);
	assert_string_equal(ev.call.text[TIP_TEXT_BASE], "/etc");
	assert_string_equal(ev.call.text[TIP_TEXT_BASE2], "/");
	free(keep);
	at = (void *)(rec_bytes(&r) + sizeof(struct tip_hdr));
	at->nr = TIP_SYSCALLS; /* an index into tables, too */
	assert_int_equal(decode(&r, r.len, &ev, NULL), -1);
	at->nr = 0;
	at->call = TIP_CALL_KILL;
	assert_int_equal(decode(&r, r.len, &ev, NULL), -1);
}

static void test_call_that_is_none(void **state)
{
	struct tip_ev_call *d;
	struct tip_event ev;
	struct rec r;

	(void)state;
	make_call(&r, TIP_EV_MOUNT, TIP_CALL_MAX); /* an index into tables: none that we know */
	assert_int_equal(decode(&r, r.len, &ev, NULL), -1);
	make_call(&r, TIP_EV_MOUNT, TIP_CALL_SYSCALL); /* has a record of its own */
	assert_int_equal(decode(&r, r.len, &ev, NULL), -1);
	make_call(&r, TIP_EV_MOUNT, TIP_CALL_MOUNT);
	d = (void *)(rec_bytes(&r) + sizeof(struct tip_hdr));
	d->text_len[2] = 6;
	assert_int_equal(decode(&r, r.len, &ev, NULL), -1);
	d->text_len[2] = 4;
	assert_int_equal(decode(&r, r.len, &ev, NULL), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exec_is_read),
		cmocka_unit_test(cut_records_are_refused),
		cmocka_unit_test(lying_lengths_are_refused),
		cmocka_unit_test(fixed_records_have_their_size),
		cmocka_unit_test(socket_kinds_are_read),
		cmocka_unit_test(strange_headers_are_refused),
		cmocka_unit_test(unaligned_records_are_refused),
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_system_call),
		cmocka_unit_test(test_call_that_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
