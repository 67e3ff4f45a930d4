/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TEST_IDENTITY_WORLD_H
#define TIP_TEST_IDENTITY_WORLD_H

/* A store in a world of its own: a clock that is set by hand, a disk in memory, ears for the
 * callbacks. */

#include "identity/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "identity/x509.h"

#define SEC  TIP_NSEC_PER_SEC
#define HOUR (3600 * SEC)
#define T0   (1780000000 * SEC)
#define TD   "example.org"

static uint64_t clock_now;

static inline uint64_t test_now(void)
{
	return clock_now;
}

struct record {
	size_t len;
	char data[];
};

/* What the daemon would be: keeps records, hears callbacks, and fetches when it is told of a
 * change. */
struct world {
	struct tip_store *store;
	struct tip_arena *arena;
	struct tip_map *disk;
	int saves, forgets, resolves, changes, bundles;
	char resolved_as[256];
	uint64_t resolved_exec, changed_exec;
	uint32_t resolved_epoch;
	bool fetch_on_change;
	struct tip_store_config config;
};

static struct world w;

static inline void on_save(void *ctx, const char *name, const void *data, size_t len)
{
	struct record *r = tip_alloc(sizeof(*r) + len);

	assert_in_range(strlen(name), 1, 64);
	assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(name));
	assert_in_range(len, 1, 60000);
	r->len = len;
	memcpy(r->data, data, len);
	free(tip_map_puts(w.disk, name, r));
	w.saves++;
}

static inline void on_forget(void *ctx, const char *name)
{
	free(tip_map_dels(w.disk, name));
	w.forgets++;
}

static inline void on_resolved(void *ctx, uint64_t exec_id, uint32_t epoch, const char *spiffe_id)
{
	w.resolves++;
	w.resolved_exec = exec_id;
	w.resolved_epoch = epoch;
	snprintf(w.resolved_as, sizeof(w.resolved_as), "%s", spiffe_id);
}

static inline void on_changed(void *ctx, uint64_t exec_id)
{
	struct tip_svid out[8];
	size_t n;

	w.changes++;
	w.changed_exec = exec_id;
	if (w.fetch_on_change)
		tip_store_fetch(w.store, exec_id, out, 8, &n);
}

static inline void on_bundle(void *ctx)
{
	w.bundles++;
}

static inline void open_store(void)
{
	struct tip_store_ops ops = {
		.save = on_save,
		.forget = on_forget,
		.resolved = on_resolved,
		.changed = on_changed,
		.bundle_changed = on_bundle,
	};

	w.store = tip_store_new(&w.config, &ops);
}

static inline void start(void)
{
	struct tip_error err;

	assert_int_equal(tip_store_start(w.store, &err), 0);
}

static inline int setup(void **state)
{
	w = (struct world){0};
	w.arena = tip_arena_new();
	w.disk = tip_map_new();
	w.config = (struct tip_store_config){
		.trust_domain = TD,
		.x509_ttl = 3600,
		.jwt_ttl = 300,
		.ca_ttl = 86400,
		.max_execs = 2000,
		.now = test_now,
	};
	clock_now = T0;
	open_store();
	return 0;
}

static inline int teardown(void **state)
{
	tip_store_free(w.store);
	tip_map_free(w.disk, free);
	tip_arena_free(w.arena);
	return 0;
}

/* Hands a record of the disk to a store that has not started. */
static inline void feed(const char *name)
{
	struct record *r = tip_map_gets(w.disk, name);

	if (r)
		tip_store_record(w.store, name, r->data, r->len);
}

static inline void entries(const char *text)
{
	struct tip_entry *list = NULL;
	struct tip_error err;
	size_t n = 0;

	if (tip_entries_parse(w.arena, "e", text, strlen(text), TD, &list, &n, &err) < 0)
		fail_msg("%d: %s", err.line, err.text);
	tip_store_set_entries(w.store, list, n);
	free(list);
}

static inline void id_of(const char *text, char out[40])
{
	struct tip_entry *list = NULL;
	struct tip_error err;
	size_t n = 0;

	assert_int_equal(tip_entries_parse(w.arena, "e", text, strlen(text), TD, &list, &n, &err),
			 0);
	snprintf(out, 40, "svid-%s", list[0].id);
	free(list);
}

static inline void exec(uint64_t id, uint32_t epoch, uint32_t uid, const char *path,
			const char *cgroup)
{
	struct tip_exec_facts f = {
		.exec_id = id,
		.epoch = epoch,
		.pid = 1,
		.attested = {.uid = uid, .gid = 7, .path = path, .cgroup = cgroup},
	};

	tip_store_exec(w.store, &f);
}

static inline struct tip_svid one(uint64_t id)
{
	struct tip_svid out[8];
	size_t n;

	assert_int_equal(tip_store_fetch(w.store, id, out, 8, &n), TIP_FETCH_OK);
	assert_in_range(n, 1, 8);
	return out[0];
}

static inline X509 *leaf_of(const struct tip_svid *s)
{
	const uint8_t *der = s->chain;
	size_t len = s->chain_len;
	struct tip_error err;
	X509 *cert = tip_cert_next(&der, &len, &err);

	assert_non_null(cert);
	assert_int_equal(len, 0);
	return cert;
}

/* Serial number and life of what is served now. */
static inline void look(uint64_t exec_id, char serial[64], uint64_t *not_after)
{
	struct tip_svid s = one(exec_id);
	X509 *cert = leaf_of(&s);
	BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	char *hex = BN_bn2hex(n);
	uint64_t nb;

	snprintf(serial, 64, "%s", hex);
	assert_int_equal(tip_cert_times(cert, &nb, not_after), 0);
	OPENSSL_free(hex);
	BN_free(n);
	X509_free(cert);
}

/* With OpenSSL's own verifier and the bundle as a client would use it. */
static inline void verifies(uint64_t exec_id)
{
	struct tip_svid s = one(exec_id);
	const uint8_t *bundle;
	struct tip_trust *t;
	struct tip_error err;
	EVP_PKEY *key;
	size_t len;
	X509 *leaf;

	bundle = tip_store_bundle(w.store, &len);
	t = tip_trust_new(bundle, len, &err);
	assert_non_null(t);
	key = tip_key_from_der(s.key, s.key_len, &err);
	assert_non_null(key);
	leaf = tip_trust_check(t, s.chain, s.chain_len, key, s.spiffe_id, clock_now, &err);
	if (!leaf)
		fail_msg("%s", err.text);
	X509_free(leaf);
	EVP_PKEY_free(key);
	tip_trust_free(t);
}

static inline int bundle_size(void)
{
	const uint8_t *der;
	struct tip_error err;
	size_t len;
	int n = 0;

	for (der = tip_store_bundle(w.store, &len); len; n++)
		X509_free(tip_cert_next(&der, &len, &err));
	return n;
}

static inline enum tip_fetch fetch_code(uint64_t id)
{
	struct tip_svid out[8];
	size_t n;

	return tip_store_fetch(w.store, id, out, 8, &n);
}

static inline struct tip_store_stats stats(void)
{
	struct tip_store_stats st;

	tip_store_stats(w.store, &st);
	return st;
}

#define WEB "- {spiffe_id: spiffe://" TD "/web, selectors: [unix:uid:33]}\n"
#define DB  "- {spiffe_id: spiffe://" TD "/db, selectors: [unix:uid:5]}\n"

#endif
