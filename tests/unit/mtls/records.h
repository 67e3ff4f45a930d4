/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TEST_MTLS_RECORDS_H
#define TIP_TEST_MTLS_RECORDS_H

#include "pki.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/tls.h>

#include "mtls/backend.h"
#include "tipstaff/ktls.h"

/* The tests of a program run over each record backend that there is here. */

static struct tip_records records = {.rekey = TIP_RECORDS_REKEY, .budget = TIP_RECORDS_BUDGET};

static inline bool over_kernel(void)
{
	return records.kernel;
}

static inline bool can_rekey(void)
{
	return !records.kernel || records.kernel & TIP_KTLS_REKEY;
}

/* Does a socket on the loopback take a key of that cipher, and another one after it? */
static inline unsigned int takes(uint16_t cipher, socklen_t size, unsigned int bit)
{
	union {
		struct tls_crypto_info info;
		struct tls12_crypto_info_aes_gcm_256 largest;
	} key = {.info = {.version = TLS_1_3_VERSION, .cipher_type = cipher}};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);
	unsigned int bits = 0;

	assert_int_equal(bind(l, (struct sockaddr *)&a, len) + listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, len), 0);
	if (!setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 3) &&
	    !setsockopt(fd, SOL_TLS, TLS_TX, &key, size)) {
		bits = bit;
		if (!setsockopt(fd, SOL_TLS, TLS_TX, &key, size))
			bits |= TIP_KTLS_REKEY;
	}
	close(fd);
	close(l);
	return bits;
}

/* What this kernel can do. Its modules are loaded then, which can take seconds in a guest. */
static inline unsigned int kernel_tls(void)
{
	return takes(TLS_CIPHER_AES_GCM_128, sizeof(struct tls12_crypto_info_aes_gcm_128),
		     TIP_KTLS_AES_128_GCM) |
	       takes(TLS_CIPHER_AES_GCM_256, sizeof(struct tls12_crypto_info_aes_gcm_256),
		     TIP_KTLS_AES_256_GCM) |
	       takes(TLS_CIPHER_CHACHA20_POLY1305,
		     sizeof(struct tls12_crypto_info_chacha20_poly1305),
		     TIP_KTLS_CHACHA20_POLY1305);
}

static inline int run_over(const struct CMUnitTest *tests, size_t n, CMFixtureFunction set_up,
			   CMFixtureFunction tear_down)
{
	const char *only = getenv("TIPSTAFF_RECORDS");
	int failed = 0;

	if (!only || strcmp(only, "kernel") != 0)
		failed = _cmocka_run_group_tests("user", tests, n, set_up, tear_down);

	records.kernel = kernel_tls();
	if (!records.kernel) {
		print_message("kernel: skipped, there is no kTLS here\n");
		return failed;
	}
	return failed + _cmocka_run_group_tests("kernel", tests, n, set_up, tear_down);
}

#define run_over_backends(tests, set_up, tear_down)                                                \
	run_over(tests, sizeof(tests) / sizeof((tests)[0]), set_up, tear_down)

#endif
