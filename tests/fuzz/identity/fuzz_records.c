/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any two records from the cache: what is served afterwards is a certificate that the bundle
 * verifies, with its own key. Input: two bytes of length, the authority's record, the SVID's
 * record.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "identity/store.h"
#include "identity/x509.h"

#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

#define ID "spiffe://fuzz.test/w"

static uint64_t fixed_now(void)
{
	return 1800000000 * TIP_NSEC_PER_SEC;
}

static void save(void *ctx, const char *name, const void *data, size_t len)
{
	CHECK(len && len <= 60000);
}

static void forget(void *ctx, const char *name)
{
	CHECK(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name));
}

static void resolved(void *ctx, uint64_t exec_id, uint32_t epoch, const char *spiffe_id)
{
	CHECK(!strcmp(spiffe_id, ID));
}

static void changed(void *ctx, uint64_t exec_id)
{
}

static void bundle_changed(void *ctx)
{
}

static const struct tip_store_ops ops = {save, forget, resolved, changed, bundle_changed, NULL};

static void check_served(struct tip_store *s)
{
	struct tip_trust *t;
	struct tip_error err;
	struct tip_svid svid;
	const uint8_t *bundle;
	EVP_PKEY *key;
	X509 *leaf;
	size_t len, n;

	CHECK(tip_store_fetch(s, 1, &svid, 1, &n) == TIP_FETCH_OK && n == 1);
	bundle = tip_store_bundle(s, &len);
	t = tip_trust_new(bundle, len, &err);
	key = tip_key_from_der(svid.key, svid.key_len, &err);
	CHECK(t && key);
	leaf = tip_trust_check(t, svid.chain, svid.chain_len, key, ID, fixed_now(), &err);
	CHECK(leaf);
	X509_free(leaf);
	EVP_PKEY_free(key);
	tip_trust_free(t);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct tip_selector selector = {.kind = TIP_SEL_UNIX_UID, .number = 1};
	struct tip_entry entry = {
		.spiffe_id = ID, .selectors = &selector, .nselectors = 1, .hint = "", .file = ""};
	struct tip_store_config config = {
		.trust_domain = "fuzz.test",
		.x509_ttl = 3600,
		.jwt_ttl = 300,
		.ca_ttl = 86400,
		.max_execs = 4,
		.now = fixed_now,
	};
	struct tip_exec_facts facts = {.exec_id = 1, .attested = {1, 1, "", "/"}};
	struct tip_store *s;
	struct tip_error err;
	char id[33], name[64];
	size_t split;

	if (size < 2)
		return 0;
	split = (size_t)data[0] << 8 | data[1];
	data += 2;
	size -= 2;
	if (split > size)
		split = size;
	tip_log_init("fuzz", TIP_LOG_ERROR);
	tip_entry_id(&entry, id);
	entry.id = id;
	snprintf(name, sizeof(name), "svid-%s", id);
	s = tip_store_new(&config, &ops);
	tip_store_record(s, "authority", data, split);
	tip_store_record(s, name, data + split, size - split);
	tip_store_set_entries(s, &entry, 1);
	CHECK(!tip_store_start(s, &err));
	tip_store_exec(s, &facts);
	check_served(s);
	tip_store_tick(s, fixed_now());
	check_served(s);
	tip_store_free(s);
	return 0;
}
