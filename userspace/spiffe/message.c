/* SPDX-License-Identifier: Apache-2.0 */
#include "spiffe/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/workload.pb-c.h"

#define MAX_HINT 1024 /* bytes, SPIFFE_Workload_API section 5.2.1 */

void tip_message_free(struct tip_message *m)
{
	if (m->data)
		explicit_bzero(m->data, m->len);
	free(m->data);
	m->data = NULL;
	m->len = 0;
}

bool tip_message_request_ok(const uint8_t *req, size_t len)
{
	/* Both requests have no fields, so one decoder serves both. */
	X509SVIDRequest *m = x509_svidrequest__unpack(NULL, len, req);

	if (!m)
		return false;
	x509_svidrequest__free_unpacked(m, NULL);
	return true;
}

/* protobuf-c packs from its own structures, which want pointers that are not const. */
static ProtobufCBinaryData bytes(const uint8_t *data, size_t len)
{
	return (ProtobufCBinaryData){.data = (uint8_t *)data, .len = len};
}

static bool hint_taken(X509SVID *const *svids, size_t count, const char *hint)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(svids[i]->hint, hint))
			return true;
	}
	return false;
}

bool tip_message_svids(const struct tip_svid *svids, size_t count, const uint8_t *bundle,
		       size_t bundle_len, struct tip_message *out, const char **why)
{
	X509SVIDResponse response = X509_SVIDRESPONSE__INIT;
	X509SVID *items = tip_calloc(count, sizeof(*items));
	X509SVID **list = tip_calloc(count, sizeof(*list));
	bool ok = false;
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		const struct tip_svid *s = &svids[i];
		const char *hint = s->hint ? s->hint : "";

		if (!s->spiffe_id || !s->chain_len || !s->key_len || !bundle_len) {
			*why = "an SVID without chain, key or bundle";
			goto out;
		}
		if (strlen(hint) > MAX_HINT) {
			*why = "a hint of more than 1024 bytes";
			goto out;
		}
		if (*hint && hint_taken(list, n, hint))
			continue;
		x509_svid__init(&items[n]);
		items[n].spiffe_id = (char *)s->spiffe_id;
		items[n].x509_svid = bytes(s->chain, s->chain_len);
		items[n].x509_svid_key = bytes(s->key, s->key_len);
		items[n].bundle = bytes(bundle, bundle_len);
		items[n].hint = (char *)hint;
		list[n] = &items[n];
		n++;
	}
	response.n_svids = n;
	response.svids = list;
	out->len = x509_svidresponse__get_packed_size(&response);
	out->data = tip_alloc(out->len);
	x509_svidresponse__pack(&response, out->data);
	ok = true;
out:
	free(list);
	free(items);
	return ok;
}

void tip_message_bundles(const char *trust_domain, const uint8_t *bundle, size_t bundle_len,
			 struct tip_message *out)
{
	X509BundlesResponse__BundlesEntry entry = X509_BUNDLES_RESPONSE__BUNDLES_ENTRY__INIT;
	X509BundlesResponse__BundlesEntry *list[] = {&entry};
	X509BundlesResponse response = X509_BUNDLES_RESPONSE__INIT;
	char *key = tip_sprintf("spiffe://%s", trust_domain);

	entry.key = key;
	entry.value = bytes(bundle, bundle_len);
	response.n_bundles = 1;
	response.bundles = list;
	out->len = x509_bundles_response__get_packed_size(&response);
	out->data = tip_alloc(out->len);
	x509_bundles_response__pack(&response, out->data);
	free(key);
}
