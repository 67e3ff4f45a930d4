/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any certificates as a trust bundle and as what a peer sent. Who is believed has a SPIFFE ID with
 * a path, the one that its leaf names, and is believed a second time, from memory.
 *
 * Input: two bytes, how long the bundle is; the bundle; the peer's certificates, leaf first. DER.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/x509.h>

#include "mtls/trust.h"
#include "policy/spiffe_id.h"

#define DOMAIN "example.org"
#define CHECK(what)                                                                                \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

static void judge(struct tip_bundles *bundles, STACK_OF(X509) * sent)
{
	X509 *leaf = sk_X509_value(sent, 0);
	char *named = NULL, *id = NULL, *again = NULL;
	const enum tip_mtls_cause broken = tip_leaf_id(leaf, &named);
	struct tip_error err;

	CHECK((broken == TIP_MTLS_NONE) == (named != NULL));
	if (tip_bundles_judge(bundles, leaf, sent, &id) == TIP_MTLS_NONE) {
		CHECK(named && id && strcmp(named, id) == 0);
		CHECK(tip_spiffe_id_check(id, true, &err) == 0);
		CHECK(strncmp(id, "spiffe://" DOMAIN "/", strlen("spiffe://" DOMAIN "/")) == 0);
		CHECK(tip_bundles_judge(bundles, leaf, sent, &again) == TIP_MTLS_NONE);
		CHECK(strcmp(id, again) == 0);
	}
	free(named);
	free(id);
	free(again);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct tip_bundles *bundles;
	STACK_OF(X509) * sent;
	struct tip_error err = {0};
	const unsigned char *at;
	size_t bundle;
	X509 *cert;

	if (size < 2)
		return 0;
	bundle = (size_t)data[0] << 8 | data[1];
	data += 2;
	size -= 2;
	if (bundle > size)
		bundle = size;
	bundles = tip_bundles_new();
	sent = sk_X509_new_null();
	if (tip_bundles_set(bundles, DOMAIN, data, bundle, &err))
		CHECK(err.text[0]);
	at = data + bundle;
	while (sk_X509_num(sent) < TIP_MTLS_CHAIN_MAX &&
	       (cert = d2i_X509(NULL, &at, (long)(data + size - at))))
		sk_X509_push(sent, cert);
	if (sk_X509_num(sent) > 0)
		judge(bundles, sent);
	sk_X509_pop_free(sent, X509_free);
	tip_bundles_free(bundles);
	return 0;
}
