/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/svid.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/clock.h"
#include "base/mem.h"
#include "identity/record.h"

#define RECORD_MAGIC 0x31565354u /* "TSV1" */

void tip_svid_clear(struct tip_x509_svid *s)
{
	free(s->chain);
	tip_key_der_free(s->key, s->key_len);
	*s = (struct tip_x509_svid){0};
}

bool tip_svid_holds(const struct tip_x509_svid *s, uint64_t now)
{
	return s->chain && s->not_before <= now && now < s->not_after;
}

/* Half of what is left at `issued`, up to a tenth earlier or later, so that a fleet does not renew
 * at once. */
static uint64_t draw_renewal(uint64_t issued, uint64_t not_after)
{
	uint64_t half = (not_after - issued) / 2;
	uint64_t tenth = half / 10;

	return issued + half - tenth + tip_random_below(2 * tenth + 1);
}

static int read_times(struct tip_x509_svid *s, struct tip_error *err)
{
	const uint8_t *der = s->chain;
	size_t len = s->chain_len;
	X509 *leaf = tip_cert_next(&der, &len, err);
	int ret;

	if (!leaf)
		return -1;
	ret = tip_cert_times(leaf, &s->not_before, &s->not_after);
	X509_free(leaf);
	if (ret < 0 || s->not_after <= s->issued)
		return tip_error_set(err, "the certificate was over before it began");
	return 0;
}

int tip_svid_issue(struct tip_x509_svid *s, struct tip_authority *a, const struct tip_entry *e,
		   uint32_t ttl, uint64_t now, struct tip_error *err)
{
	struct tip_x509_svid made = {.ttl = ttl, .issued = now};
	struct tip_sign_request req = {
		.spiffe_id = e->spiffe_id,
		.dns_names = e->dns_names,
		.ndns_names = e->ndns_names,
		.ttl = ttl,
		.now = now,
	};
	struct tip_buf chain = {0};
	int ret = -1;

	req.key = tip_key_new(err);
	if (!req.key || tip_key_to_der(req.key, &made.key, &made.key_len, err) < 0)
		goto out;
	if (a->ops->sign(a, &req, &chain, err) < 0)
		goto out;
	made.chain = (uint8_t *)chain.data;
	made.chain_len = chain.len;
	chain = (struct tip_buf){0};
	if (read_times(&made, err) < 0)
		goto out;
	made.renew_at = draw_renewal(now, made.not_after);
	tip_svid_clear(s);
	*s = made;
	made = (struct tip_x509_svid){0};
	ret = 0;
out:
	tip_buf_free(&chain);
	tip_svid_clear(&made);
	EVP_PKEY_free(req.key);
	return ret;
}

/* What of an entry is written into the certificate, beside the ID. */
static char *names_text(const struct tip_entry *e)
{
	struct tip_buf b = {0};

	tip_buf_adds(&b, "");
	for (size_t i = 0; i < e->ndns_names; i++)
		tip_buf_addf(&b, "%s\n", e->dns_names[i]);
	return b.data ? b.data : tip_strdup("");
}

void tip_svid_record(const struct tip_x509_svid *s, const struct tip_entry *e,
		     const char *trust_domain, struct tip_buf *out)
{
	char *names = names_text(e);

	/* Room for all of it at once: a buffer that moves leaves a key behind. */
	tip_buf_reserve(out, TIP_RECORD_MAX);
	tip_record_put_u32(out, RECORD_MAGIC);
	tip_record_put_bytes(out, trust_domain, strlen(trust_domain));
	tip_record_put_bytes(out, e->id, strlen(e->id));
	tip_record_put_bytes(out, e->spiffe_id, strlen(e->spiffe_id));
	tip_record_put_bytes(out, names, strlen(names));
	tip_record_put_u32(out, s->ttl);
	tip_record_put_u64(out, s->issued);
	tip_record_put_u64(out, s->renew_at);
	tip_record_put_bytes(out, s->chain, s->chain_len);
	tip_record_put_bytes(out, s->key, s->key_len);
	free(names);
}

/* The bytes of the certificate and the key are kept only when they are what they should be. */
static int load_pair(struct tip_x509_svid *s, const uint8_t *chain, size_t chain_len,
		     const uint8_t *key_der, size_t key_len, const struct tip_entry *e,
		     struct tip_trust *trust, uint64_t now, struct tip_error *err)
{
	EVP_PKEY *key = tip_key_from_der(key_der, key_len, err);
	X509 *leaf = NULL;
	int ret = -1;

	if (!key)
		return -1;
	leaf = tip_trust_check(trust, chain, chain_len, key, e->spiffe_id, now, err);
	if (!leaf)
		goto out;
	/* Written anew from what was read: no bytes get through that OpenSSL did not make. */
	if (tip_key_to_der(key, &s->key, &s->key_len, err) < 0)
		goto out;
	s->chain = tip_alloc(chain_len);
	memcpy(s->chain, chain, chain_len);
	s->chain_len = chain_len;
	if (tip_cert_times(leaf, &s->not_before, &s->not_after) < 0) {
		tip_error_set(err, "the certificate's times cannot be read");
		goto out;
	}
	ret = 0;
out:
	X509_free(leaf);
	EVP_PKEY_free(key);
	return ret;
}

int tip_svid_load(struct tip_x509_svid *s, const void *data, size_t len, const struct tip_entry *e,
		  const char *trust_domain, uint32_t ttl, struct tip_trust *trust, uint64_t now,
		  struct tip_error *err)
{
	struct tip_record_reader r = {.p = data, .left = len};
	struct tip_x509_svid got = {0};
	const uint8_t *chain, *key;
	size_t chain_len, key_len;
	char *names;
	bool same;

	if (tip_record_get_u32(&r) != RECORD_MAGIC)
		return tip_error_set(err, "not a record of an SVID, or of another version");
	if (!tip_record_get_equal(&r, trust_domain))
		return tip_error_set(err, "the record belongs to another trust domain");
	if (!tip_record_get_equal(&r, e->id) || !tip_record_get_equal(&r, e->spiffe_id))
		return tip_error_set(err, "the record belongs to another entry");
	names = names_text(e);
	same = tip_record_get_equal(&r, names);
	free(names);
	got.ttl = tip_record_get_u32(&r);
	got.issued = tip_record_get_u64(&r);
	got.renew_at = tip_record_get_u64(&r);
	chain = tip_record_get_bytes(&r, &chain_len);
	key = tip_record_get_bytes(&r, &key_len);
	if (!tip_record_done(&r))
		return tip_error_set(err, "the record is truncated, or longer than it should be");
	if (load_pair(&got, chain, chain_len, key, key_len, e, trust, now, err) < 0) {
		tip_svid_clear(&got);
		return -1;
	}
	if (!same || got.ttl != ttl) {
		tip_svid_clear(&got);
		return 1;
	}
	/* The certificate is the truth; a record that says otherwise can at most cause a renewal.
	 */
	if (got.issued < got.not_before || got.issued >= got.not_after)
		got.issued = got.not_before;
	if (got.renew_at <= got.issued || got.renew_at >= got.not_after)
		got.renew_at = draw_renewal(got.issued, got.not_after);
	*s = got;
	return 0;
}
