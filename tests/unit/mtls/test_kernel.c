/* SPDX-License-Identifier: Apache-2.0 */
/* Keys on their way to the kernel, and what only the kernel's records have. */
#include "stage.h"

#include <sched.h>
#include <sys/ioctl.h>

#include <bpf/bpf.h>
#include <net/if.h>
#include <openssl/hmac.h>

#include "mtls/keys.h"

#define HEX32  "00112233445566778899aabbccddeeffFFEEDDCCBBAA99887766554433221100"
#define RANDOM " 1111111111111111111111111111111111111111111111111111111111111111 "

static void test_key_log(void **state)
{
	static const char *const bad[] = {
		"",
		"CLIENT_TRAFFIC_SECRET_0",
		"CLIENT_TRAFFIC_SECRET_0 ",
		"CLIENT_TRAFFIC_SECRET_0" RANDOM,
		"CLIENT_TRAFFIC_SECRET_0" RANDOM "0g",
		"CLIENT_TRAFFIC_SECRET_0" RANDOM "012",
		"CLIENT_TRAFFIC_SECRET_0" RANDOM HEX32 HEX32,
		"CLIENT_TRAFFIC_SECRET_1" RANDOM HEX32,
		"CLIENT_HANDSHAKE_TRAFFIC_SECRET" RANDOM HEX32,
		"EXPORTER_SECRET" RANDOM HEX32,
	};
	struct tip_keys k = {0};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(bad); i++) {
		tip_keys_log(&k, false, bad[i]);
		assert_int_equal(k.own_len + k.peer_len, 0);
	}
	tip_keys_log(&k, false, "CLIENT_TRAFFIC_SECRET_0" RANDOM HEX32);
	assert_int_equal(k.own_len, 32);
	assert_memory_equal(k.own, "\x00\x11\x22\x33", 4);
	assert_memory_equal(k.own + 16, "\xff\xee\xdd\xcc", 4);
	assert_int_equal(k.peer_len, 0);
	tip_keys_log(&k, false,
		     "SERVER_TRAFFIC_SECRET_0" RANDOM HEX32 "0123456789abcdef0123456789abcdef");
	assert_int_equal(k.peer_len, 48);
	tip_keys_wipe(&k);
	tip_keys_log(&k, true, "CLIENT_TRAFFIC_SECRET_0" RANDOM HEX32);
	assert_int_equal(k.peer_len, 32);
	assert_int_equal(k.own_len, 0);
}

/* HKDF-Expand-Label(secret, "traffic upd", "", 32) by hand: one block of HMAC. */
static void test_next_secret(void **state)
{
	static const uint8_t info[] = "\x00\x20\x11"
				      "tls13 traffic upd\x00\x01";
	struct tip_keys k = {.digest = "SHA256", .len = 32, .own_len = 32, .peer_len = 32};
	uint8_t wanted[32];
	unsigned int len = sizeof(wanted);

	memset(k.own, 'o', 32);
	memset(k.peer, 'p', 32);
	assert_non_null(HMAC(EVP_sha256(), k.own, 32, info, sizeof(info) - 1, wanted, &len));
	assert_int_equal(tip_keys_next(&k, true), 0);
	assert_memory_equal(k.own, wanted, 32);
	assert_int_equal(k.peer[0], 'p');
	assert_int_equal(tip_keys_next(&k, false), 0);
	assert_int_not_equal(k.peer[0], 'p');
}

/* ---- with kTLS only ---- */

static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
				     "TLS_CHACHA20_POLY1305_SHA256"};

/* The kernel counts TLS sockets by network namespace, and other programs run beside this one. */
static int own_netns(void **state)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd, ret;

	if (unshare(CLONE_NEWNET))
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ret = ioctl(fd, SIOCSIFFLAGS, &lo);
	close(fd);
	return ret ? -1 : world_set_up(state);
}

static long current_sockets(void)
{
	FILE *f = fopen("/proc/net/tls_stat", "r");
	long value, tx = -1;
	char name[64];

	assert_non_null(f);
	while (fscanf(f, "%63s %ld", name, &value) == 2)
		if (!strcmp(name, "TlsCurrTxSw"))
			tx = value;
	fclose(f);
	return tx;
}

/* Every cipher, both ways, against OpenSSL; nothing is left in the kernel. */
static void test_ciphers(void **state)
{
	long before = current_sockets();

	for (size_t i = 0; i < TIP_ARRAY_SIZE(suites); i++) {
		struct stage g;
		char got[8];

		stage_open_with(&g, *state, suites[i]);
		assert_string_equal(tip_pump_backend(g.hop.pump), "kernel");
		assert_true(current_sockets() > before);
		for (int n = 0; n < 3; n++) {
			assert_int_equal(SSL_write(g.ssl, "there", 5), 5);
			app_gets(&g, "there");
			assert_int_equal(send(g.app, "back", 4, 0), 4);
			stage_run(&g, 20);
			assert_int_equal(SSL_read(g.ssl, got, sizeof(got)), 4);
			assert_memory_equal(got, "back", 4);
		}
		stage_close(&g);
		assert_int_equal(current_sockets(), before);
	}
}

/* What the probe did not find is left to OpenSSL. */
static void test_cipher_that_the_kernel_lacks(void **state)
{
	const struct tip_records all = records;
	struct stage g;

	records.kernel &= ~TIP_KTLS_AES_256_GCM;
	stage_open_with(&g, *state, suites[1]);
	assert_string_equal(tip_pump_backend(g.hop.pump), "user");
	stage_close(&g);
	stage_open_with(&g, *state, suites[0]);
	assert_string_equal(tip_pump_backend(g.hop.pump), "kernel");
	stage_close(&g);
	records = all;
}

/* Somebody has put our socket into a sockmap: no key goes in, not a byte goes out. */
static void test_sockmap(void **state)
{
	int map = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "tip_test", 4, 4, 1, NULL);
	struct ask a = {.answer = TIP_VERDICT_OK};
	const uint32_t slot = 0;
	struct world *w = *state;

	assert_true(map >= 0);
	for (int server = 0; server < 2; server++) {
		struct tip_session *c, *s, *victim;
		enum tip_step cs, ss;
		int ends[2];

		tcp_pair(ends);
		assert_int_equal(bpf_map_update_elem(map, &slot, &ends[server], BPF_ANY), 0);
		c = client_of(w, ends[0], NULL, ORDERS);
		s = server_of(w, ends[1], NULL, &a);
		victim = server ? s : c;
		shake_hands(c, s, TIP_VERDICT_OK, &cs, &ss);
		assert_int_equal(server ? ss : cs, TIP_STEP_FAILED);
		assert_int_equal(tip_session_cause(victim), TIP_MTLS_SOCKMAP);
		assert_non_null(strstr(tip_session_text(victim), "TLS_TX"));
		assert_null(tip_session_take(victim));
		tip_session_free(c);
		tip_session_free(s);
	}
	close(map);
}

/* Armed, it cannot get into one any more. */
static void test_no_sockmap_afterwards(void **state)
{
	int map = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "tip_test", 4, 4, 1, NULL);
	struct tip_backend *wires[2];
	const uint32_t slot = 0;

	wires_open(*state, wires);
	for (int i = 0; i < 2; i++) {
		int fd = wires[i]->fd;

		assert_true(bpf_map_update_elem(map, &slot, &fd, BPF_ANY) < 0);
		wires[i]->ops->close(wires[i]);
		close(fd);
	}
	close(map);
}

static void swallow(struct tip_backend *b)
{
	char got[64];

	while (b->ops->read(b, got, sizeof(got)) > 0)
		;
}

/* What only the kernel lets us say by hand: a record of type handshake. */
static void send_handshake(int fd, const void *data, size_t len)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(1)];
	} control = {.bytes = ""};
	struct iovec iov = {(void *)data, len};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};

	CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_TLS;
	CMSG_FIRSTHDR(&msg)->cmsg_type = TLS_SET_RECORD_TYPE;
	CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(CMSG_FIRSTHDR(&msg)) = 22;
	assert_int_equal(sendmsg(fd, &msg, 0), len);
}

/* The kernel's own count says when a key has made its records; not one more goes out. */
static void test_budget(void **state)
{
	const struct tip_records all = records;
	struct tip_backend *wires[2];
	uint64_t n;

	records.kernel &= ~TIP_KTLS_REKEY;
	records.budget = 64;
	wires_open(*state, wires);
	assert_false(wires[0]->ops->worn(wires[0]));
	for (n = 0; wires[0]->ops->write(wires[0], "x", 1) == 1; n++)
		swallow(wires[1]);
	assert_int_equal(n, 64);
	assert_int_equal(wires[0]->cause, TIP_MTLS_BUDGET);
	assert_int_equal(wires[0]->ops->rec_seq(wires[0]), 64);
	assert_true(wires[0]->ops->worn(wires[0]));
	/* The server has said its verdict and nothing else. */
	assert_false(wires[1]->ops->worn(wires[1]));
	for (int i = 0; i < 2; i++) {
		close(wires[i]->fd);
		wires[i]->ops->close(wires[i]);
	}
	records = all;
}

/* It does not come to that where the connection is quiet for a moment before. */
static void test_worn_when_quiet(void **state)
{
	const struct tip_records all = records;
	struct relay r;

	records.kernel &= ~TIP_KTLS_REKEY;
	records.budget = 64;
	relay_open(&r, *state, 1048576);
	for (int i = 0; i < 48; i++) {
		char c;

		assert_non_null(r.out.pump);
		assert_int_equal(send(r.client, "x", 1, 0), 1);
		while (recv(r.server, &c, 1, MSG_DONTWAIT) != 1)
			relay_run(&r, 1);
	}
	relay_run(&r, 5000);
	assert_int_equal(r.out.cause, TIP_MTLS_BUDGET);
	assert_int_equal(r.in.cause, TIP_MTLS_RESET);
	relay_close(&r);
	records = all;
}

/* Who sends nothing but what is not data is not waited for. */
static void test_flood(void **state)
{
	uint8_t record[16384] = {4, 0xff, 0xff, 0xff};
	enum tip_step cs, ss;
	struct ask a = {.answer = TIP_VERDICT_OK};
	struct tip_session *c, *s;
	struct tip_backend *b;
	struct world *w = *state;
	char got[64];
	int ends[2];

	tcp_pair(ends);
	c = client_of(w, ends[0], NULL, ORDERS);
	s = server_of(w, ends[1], NULL, &a);
	shake_hands(c, s, TIP_VERDICT_OK, &cs, &ss);
	b = tip_session_take(c);
	/* One ticket of 16 MB, as far as it gets. */
	for (int i = 0; i < 16; i++) {
		send_handshake(ends[1], record, sizeof(record));
		record[0] = record[1] = 0;
	}
	wait_for(ends[0], POLLIN, 1000);
	assert_int_equal(b->ops->read(b, got, sizeof(got)), TIP_IO_FAILED);
	assert_int_equal(b->cause, TIP_MTLS_BAD_RECORD);
	b->ops->close(b);
	close(ends[0]);
	tip_session_free(c);
	tip_session_free(s);
}

/* ChaCha20 has no such limit. */
static void test_no_budget(void **state)
{
	const struct tip_records all = records;
	struct stage g;

	records.kernel &= ~TIP_KTLS_REKEY;
	records.budget = 4;
	stage_open_with(&g, *state, suites[2]);
	for (int i = 0; i < 20; i++) {
		char c;

		assert_int_equal(send(g.app, "x", 1, 0), 1);
		stage_run(&g, 5);
		assert_int_equal(SSL_read(g.ssl, &c, 1), 1);
	}
	assert_non_null(g.hop.pump);
	stage_close(&g);
	records = all;
}

/* Where a key can be replaced it is, in time. */
static void test_rekey(void **state)
{
	const struct tip_records all = records;
	struct tip_backend *wires[2];

	if (!(records.kernel & TIP_KTLS_REKEY)) {
		print_message("this kernel cannot replace a key\n");
		skip();
	}
	records.rekey = 3;
	wires_open(*state, wires);
	for (int i = 0; i < 40; i++) {
		struct tip_backend *from = wires[i % 2], *to = wires[!(i % 2)];
		char got[8];
		ssize_t n;

		assert_int_equal(from->ops->write(from, "abc", 3), 3);
		assert_true(from->ops->rec_seq(from) <= 3);
		while ((n = to->ops->read(to, got, sizeof(got))) == TIP_IO_WANT_READ)
			;
		assert_int_equal(n, 3);
		assert_memory_equal(got, "abc", 3);
	}
	for (int i = 0; i < 2; i++) {
		close(wires[i]->fd);
		wires[i]->ops->close(wires[i]);
	}
	records = all;
}

int main(void)
{
	const struct CMUnitTest keys[] = {
		cmocka_unit_test(test_key_log),
		cmocka_unit_test(test_next_secret),
	};
	const struct CMUnitTest kernel[] = {
		cmocka_unit_test(test_ciphers),
		cmocka_unit_test(test_cipher_that_the_kernel_lacks),
		cmocka_unit_test(test_sockmap),
		cmocka_unit_test(test_no_sockmap_afterwards),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_worn_when_quiet),
		cmocka_unit_test(test_no_budget),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_rekey),
	};
	int failed = cmocka_run_group_tests(keys, NULL, NULL);

	records.kernel = kernel_tls();
	if (!records.kernel) {
		print_message("kernel: skipped, there is no kTLS here\n");
		return failed;
	}
	return failed + cmocka_run_group_tests(kernel, own_netns, world_tear_down);
}
