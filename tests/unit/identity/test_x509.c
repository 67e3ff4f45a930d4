/* SPDX-License-Identifier: Apache-2.0 */
/* Every rule of the X.509 profile, on certificates that the embedded authority issued. */
#include "identity/svid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "identity/record.h"

#define SEC TIP_NSEC_PER_SEC
#define T0  (1780000000 * SEC + 123456789)
#define URI "spiffe://example.org/web"

static struct tip_authority *a;
static X509 *ca;

static int setup(void **state)
{
	struct tip_buf b = {0};
	const uint8_t *der;
	struct tip_error err;
	uint64_t next;
	size_t len;

	tip_x509_init();
	a = tip_authority_embedded_new("example.org", 86400);
	if (a->ops->tick(a, T0, &next, &err) < 0)
		return -1;
	a->ops->bundle(a, &b);
	der = (const uint8_t *)b.data;
	len = b.len;
	ca = tip_cert_next(&der, &len, &err);
	tip_buf_free(&b);
	return ca && !len ? 0 : -1;
}

static int teardown(void **state)
{
	X509_free(ca);
	a->ops->free(a);
	return 0;
}

static struct tip_entry entry(const char **dns, size_t n)
{
	return (struct tip_entry){
		.id = "0123456789abcdef0123456789abcdef",
		.spiffe_id = URI,
		.hint = "",
		.dns_names = dns,
		.ndns_names = n,
	};
}

static struct tip_x509_svid issue(const struct tip_entry *e)
{
	struct tip_x509_svid s = {0};
	struct tip_error err;

	if (tip_svid_issue(&s, a, e, 3600, T0, &err) < 0)
		fail_msg("%s", err.text);
	return s;
}

static X509 *leaf_of(const struct tip_x509_svid *s)
{
	const uint8_t *der = s->chain;
	size_t len = s->chain_len;
	struct tip_error err;
	X509 *cert = tip_cert_next(&der, &len, &err);

	assert_non_null(cert);
	assert_int_equal(len, 0);
	return cert;
}

static void subject_is(X509 *cert, const char *text)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long n;

	X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253);
	n = BIO_get_mem_data(bio, &data);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(data, text, (size_t)n);
	BIO_free(bio);
}

static int critical(X509 *cert, int nid)
{
	int at = X509_get_ext_by_NID(cert, nid, -1);

	assert_true(at >= 0);
	assert_int_equal(X509_get_ext_by_NID(cert, nid, at), -1); /* only once */
	return X509_EXTENSION_get_critical(X509_get_ext(cert, at));
}

static void serial_is_random(X509 *cert)
{
	const ASN1_INTEGER *n = X509_get0_serialNumber(cert);

	assert_int_equal(ASN1_STRING_type(n), V_ASN1_INTEGER); /* not V_ASN1_NEG_INTEGER */
	assert_in_range(ASN1_STRING_length(n), 10, 16);
}

static void leaf_profile(void **state)
{
	const char *dns[] = {"web.example.org", "*.web.example.org"};
	struct tip_entry e = entry(dns, 2);
	struct tip_x509_svid s = issue(&e);
	X509 *leaf = leaf_of(&s);
	GENERAL_NAMES *names;
	uint64_t nb, na;
	char group[64];

	assert_int_equal(X509_get_version(leaf), X509_VERSION_3);
	subject_is(leaf, "CN=web.example.org,O=Tipstaff,C=US");
	serial_is_random(leaf);
	assert_int_equal(tip_cert_times(leaf, &nb, &na), 0);
	assert_true(nb == T0 - T0 % SEC - 10 * SEC);
	assert_true(na == T0 - T0 % SEC + 3600 * SEC);
	assert_int_equal(X509_get_signature_nid(leaf), NID_ecdsa_with_SHA256);
	assert_int_equal(EVP_PKEY_get_group_name(X509_get0_pubkey(leaf), group, 64, NULL), 1);
	assert_string_equal(group, "prime256v1");

	names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	assert_int_equal(sk_GENERAL_NAME_num(names), 3);
	assert_int_equal(sk_GENERAL_NAME_value(names, 0)->type, GEN_URI);
	assert_int_equal(sk_GENERAL_NAME_value(names, 1)->type, GEN_DNS);
	GENERAL_NAMES_free(names);
	assert_true(tip_cert_has_uri(leaf, URI));
	assert_false(tip_cert_has_uri(leaf, URI "x"));
	assert_int_equal(X509_check_host(leaf, "web.example.org", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(leaf, "other.example.org", 0, 0, NULL), 0);
	assert_int_equal(critical(leaf, NID_subject_alt_name), 0);

	assert_int_equal(critical(leaf, NID_key_usage), 1);
	assert_int_equal(X509_get_key_usage(leaf),
			 KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT);
	assert_int_equal(critical(leaf, NID_ext_key_usage), 0);
	assert_int_equal(X509_get_extended_key_usage(leaf), XKU_SSL_SERVER | XKU_SSL_CLIENT);
	assert_int_equal(critical(leaf, NID_basic_constraints), 1);
	assert_int_equal(X509_check_ca(leaf), 0);
	critical(leaf, NID_subject_key_identifier);
	critical(leaf, NID_authority_key_identifier);
	assert_int_equal(ASN1_OCTET_STRING_cmp(X509_get0_authority_key_id(leaf),
					       X509_get0_subject_key_id(ca)),
			 0);
	assert_int_equal(X509_check_issued(ca, leaf), X509_V_OK);
	assert_int_equal(X509_get_ext_count(leaf), 6);

	assert_true(s.renew_at > T0 + 1600 * SEC && s.renew_at < T0 + 2000 * SEC);
	X509_free(leaf);
	tip_svid_clear(&s);
}

static void leaf_without_a_usable_name(void **state)
{
	const char *dns[] = {"a-name-of-more-than-sixty-four-bytes-which-no-common-name-can-"
			     "hold.example.org"};
	struct tip_entry e = entry(dns, 1);
	struct tip_x509_svid s = issue(&e);
	X509 *leaf = leaf_of(&s);

	subject_is(leaf, "O=Tipstaff,C=US");
	assert_int_equal(X509_check_host(leaf, dns[0], 0, 0, NULL), 1);
	X509_free(leaf);
	tip_svid_clear(&s);
}

static void ca_profile(void **state)
{
	struct tip_error err;
	uint64_t nb, na;

	serial_is_random(ca);
	assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(ca)), 3);
	assert_int_equal(X509_check_ca(ca), 1);
	assert_int_equal(critical(ca, NID_basic_constraints), 1);
	assert_int_equal(critical(ca, NID_key_usage), 1);
	assert_int_equal(X509_get_key_usage(ca), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
	assert_int_equal(X509_get_ext_by_NID(ca, NID_ext_key_usage, -1), -1);
	assert_true(tip_cert_has_uri(ca, "spiffe://example.org"));
	assert_int_equal(X509_self_signed(ca, 1), 1);
	assert_int_equal(tip_cert_times(ca, &nb, &na), 0);
	assert_true(na - nb == 86410 * SEC);
	assert_int_equal(tip_cert_check_ca(ca, NULL, "spiffe://example.org", &err), 0);
	assert_int_equal(tip_cert_check_ca(ca, NULL, "spiffe://other.org", &err), -1);
}

/* OpenSSL's verifier with nothing of ours around it, for both ends of TLS. */
static int plain_verify(X509 *leaf, X509 *anchor, uint64_t now, int purpose)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int ret;

	X509_STORE_add_cert(store, anchor);
	X509_STORE_CTX_init(ctx, store, leaf, NULL);
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_X509_STRICT);
	X509_STORE_CTX_set_time(ctx, 0, (time_t)(now / SEC));
	X509_STORE_CTX_set_purpose(ctx, purpose);
	X509_verify_cert(ctx);
	ret = X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return ret;
}

static void chain_verifies(void **state)
{
	struct tip_entry e = entry(NULL, 0);
	struct tip_x509_svid s = issue(&e);
	X509 *leaf = leaf_of(&s);

	assert_int_equal(plain_verify(leaf, ca, T0, X509_PURPOSE_SSL_SERVER), X509_V_OK);
	assert_int_equal(plain_verify(leaf, ca, T0, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
	assert_int_equal(plain_verify(leaf, ca, T0 + 3601 * SEC, X509_PURPOSE_SSL_CLIENT),
			 X509_V_ERR_CERT_HAS_EXPIRED);
	assert_int_equal(plain_verify(leaf, ca, T0 - 11 * SEC, X509_PURPOSE_SSL_CLIENT),
			 X509_V_ERR_CERT_NOT_YET_VALID);
	X509_free(leaf);
	tip_svid_clear(&s);
}

static void keys_differ(void **state)
{
	struct tip_entry e = entry(NULL, 0);
	struct tip_x509_svid s = issue(&e), t = issue(&e);
	struct tip_error err;
	EVP_PKEY *key = tip_key_from_der(s.key, s.key_len, &err);
	X509 *leaf = leaf_of(&s), *other = leaf_of(&t);

	assert_non_null(key);
	assert_int_equal(X509_check_private_key(leaf, key), 1);
	assert_int_equal(X509_check_private_key(other, key), 0);
	assert_int_not_equal(
		ASN1_INTEGER_cmp(X509_get0_serialNumber(leaf), X509_get0_serialNumber(other)), 0);
	assert_null(tip_key_from_der(s.key, s.key_len - 1, &err));
	assert_null(tip_key_from_der((const uint8_t *)"", 0, &err));
	EVP_PKEY_free(key);
	/* The private half alone turned: the public half beside it would still fit the certificate.
	 */
	s.key[40] ^= 1;
	assert_null(tip_key_from_der(s.key, s.key_len, &err));
	X509_free(leaf);
	X509_free(other);
	tip_svid_clear(&s);
	tip_svid_clear(&t);
}

/* ---- records ------------------------------------------------------------------ */

static struct tip_trust *trust(void)
{
	struct tip_buf b = {0};
	struct tip_trust *t;
	struct tip_error err;

	a->ops->bundle(a, &b);
	t = tip_trust_new((const uint8_t *)b.data, b.len, &err);
	assert_non_null(t);
	tip_buf_free(&b);
	return t;
}

static void refuse(const struct tip_buf *b, const struct tip_entry *e, const char *td, uint64_t now,
		   const char *why)
{
	struct tip_trust *t = trust();
	struct tip_x509_svid s = {0};
	struct tip_error err;

	assert_int_equal(tip_svid_load(&s, b->data, b->len, e, td, 3600, t, now, &err), -1);
	if (!strstr(err.text, why))
		fail_msg("\"%s\" lacks \"%s\"", err.text, why);
	assert_null(s.chain);
	tip_trust_free(t);
}

static void svid_records(void **state)
{
	struct tip_entry e = entry(NULL, 0), other = e;
	struct tip_x509_svid s = issue(&e), got = {0}, t = issue(&e), mixed;
	struct tip_trust *anchors = trust();
	struct tip_error err;
	struct tip_buf b = {0};
	const char *dns[] = {"x"};

	tip_svid_record(&s, &e, "example.org", &b);
	assert_int_equal(
		tip_svid_load(&got, b.data, b.len, &e, "example.org", 3600, anchors, T0, &err), 0);
	assert_int_equal(got.chain_len, s.chain_len);
	assert_memory_equal(got.chain, s.chain, s.chain_len);
	assert_int_equal(got.key_len, s.key_len);
	assert_memory_equal(got.key, s.key, s.key_len);
	assert_true(got.renew_at == s.renew_at && got.issued == s.issued);
	tip_svid_clear(&got);

	/* Sound, but no longer what the entry says. */
	assert_int_equal(
		tip_svid_load(&got, b.data, b.len, &e, "example.org", 60, anchors, T0, &err), 1);
	other.dns_names = dns;
	other.ndns_names = 1;
	assert_int_equal(
		tip_svid_load(&got, b.data, b.len, &other, "example.org", 3600, anchors, T0, &err),
		1);
	assert_null(got.chain);

	refuse(&b, &e, "example.com", T0, "another trust domain");
	other = e;
	other.spiffe_id = "spiffe://example.org/other";
	refuse(&b, &other, "example.org", T0, "another entry");
	other = e;
	other.id = "00000000000000000000000000000000";
	refuse(&b, &other, "example.org", T0, "another entry");
	refuse(&b, &e, "example.org", T0 + 3601 * SEC, "expired");

	/* Every truncation, and every byte turned, is either refused or still a sound pair. */
	for (size_t len = 0; len < b.len; len++)
		assert_int_equal(tip_svid_load(&got, b.data, len, &e, "example.org", 3600, anchors,
					       T0, &err),
				 -1);
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= 0x41;
		if (!tip_svid_load(&got, b.data, b.len, &e, "example.org", 3600, anchors, T0,
				   &err)) {
			EVP_PKEY *key = tip_key_from_der(got.key, got.key_len, &err);
			X509 *leaf = tip_trust_check(anchors, got.chain, got.chain_len, key, URI,
						     T0, &err);

			assert_non_null(leaf);
			assert_true(got.renew_at > got.issued && got.renew_at < got.not_after);
			X509_free(leaf);
			EVP_PKEY_free(key);
			tip_svid_clear(&got);
		}
		b.data[i] ^= 0x41;
	}
	tip_buf_addc(&b, 0);
	refuse(&b, &e, "example.org", T0, "longer than it should be");

	/* The key of another certificate. */
	tip_record_wipe(&b);
	mixed = s;
	mixed.key = t.key;
	mixed.key_len = t.key_len;
	tip_svid_record(&mixed, &e, "example.org", &b);
	refuse(&b, &e, "example.org", T0, "key does not belong");
	/* Somebody else's certificate under this entry's name. */
	tip_record_wipe(&b);
	other = e;
	other.spiffe_id = "spiffe://example.org/victim";
	tip_svid_record(&s, &other, "example.org", &b);
	refuse(&b, &other, "example.org", T0, "not of spiffe://example.org/victim");

	tip_record_wipe(&b);
	tip_svid_clear(&s);
	tip_svid_clear(&t);
	tip_trust_free(anchors);
}

static void foreign_authority(void **state)
{
	struct tip_entry e = entry(NULL, 0);
	struct tip_authority *mine = a;
	struct tip_x509_svid s;
	struct tip_buf b = {0};
	struct tip_error err;
	uint64_t next;

	a = tip_authority_embedded_new("example.org", 86400);
	assert_true(a->ops->tick(a, T0, &next, &err) >= 0);
	s = issue(&e);
	a->ops->free(a);
	a = mine;
	tip_svid_record(&s, &e, "example.org", &b);
	refuse(&b, &e, "example.org", T0, "unable to get");
	tip_record_wipe(&b);
	tip_svid_clear(&s);
}

/* The trust bundle itself, or an intermediate, is no SVID. */
static void authority_is_no_svid(void **state)
{
	struct tip_trust *t = trust();
	struct tip_buf b = {0};
	struct tip_error err;
	EVP_PKEY *key = tip_key_new(&err);

	a->ops->bundle(a, &b);
	assert_null(tip_trust_check(t, (uint8_t *)b.data, b.len, key, "spiffe://example.org", T0,
				    &err));
	assert_non_null(strstr(err.text, "not the certificate of a workload"));
	EVP_PKEY_free(key);
	tip_buf_free(&b);
	tip_trust_free(t);
}

/* Every record by itself: what is published afterwards is what was before. */
static void record_of(enum tip_authority_record which, unsigned int bits)
{
	struct tip_buf b = {0}, other_half = {0};
	struct tip_authority *again = tip_authority_embedded_new("example.org", 86400);
	struct tip_authority *other = tip_authority_embedded_new("example.com", 86400);
	const enum tip_authority_record rest =
		which == TIP_AUTHORITY_X509 ? TIP_AUTHORITY_JWT : TIP_AUTHORITY_X509;
	struct tip_error err;
	uint64_t next;

	assert_int_equal(a->ops->record(a, which, &b, &err), 0);
	assert_int_equal(a->ops->record(a, rest, &other_half, &err), 0);
	assert_int_equal(
		tip_authority_embedded_load(again, rest, other_half.data, other_half.len, T0, &err),
		0);
	assert_int_equal(tip_authority_embedded_load(again, which, b.data, b.len, T0, &err), 0);
	assert_int_equal(again->ops->tick(again, T0, &next, &err), 0); /* nothing to save or say */
	assert_true(next > T0);

	assert_int_equal(tip_authority_embedded_load(other, which, b.data, b.len, T0, &err), -1);
	assert_non_null(strstr(err.text, "another trust domain"));
	assert_int_equal(tip_authority_embedded_load(again, rest, b.data, b.len, T0, &err), -1);
	assert_non_null(strstr(err.text, "not a record"));
	assert_int_equal(
		tip_authority_embedded_load(again, rest, other_half.data, other_half.len, T0, &err),
		0);
	assert_int_equal(
		tip_authority_embedded_load(again, which, b.data, b.len, T0 + 86401 * SEC, &err),
		-1);
	assert_non_null(strstr(err.text, "expired"));
	for (size_t len = 0; len < b.len; len++)
		assert_int_equal(tip_authority_embedded_load(again, which, b.data, len, T0, &err),
				 -1);
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= 0x10;
		if (!tip_authority_embedded_load(again, which, b.data, b.len, T0, &err))
			assert_true(again->ops->tick(again, T0, &next, &err) >= 0);
		b.data[i] ^= 0x10;
	}
	/* A failed load leaves nothing behind: the next tick makes an authority. */
	assert_int_equal(tip_authority_embedded_load(again, which, "x", 1, T0, &err), -1);
	assert_int_equal(again->ops->tick(again, T0, &next, &err), bits);
	again->ops->free(again);
	other->ops->free(other);
	tip_record_wipe(&b);
	tip_record_wipe(&other_half);
}

static void authority_records(void **state)
{
	record_of(TIP_AUTHORITY_X509, TIP_AUTHORITY_BUNDLE | TIP_AUTHORITY_RECORD);
	record_of(TIP_AUTHORITY_JWT, TIP_AUTHORITY_JWT_BUNDLE | TIP_AUTHORITY_JWT_RECORD);
}

static void authority_publishes_what_it_kept(void **state)
{
	struct tip_authority *again = tip_authority_embedded_new("example.org", 86400);
	struct tip_buf b = {0}, mine = {0}, theirs = {0};
	struct tip_error err;

	for (int which = TIP_AUTHORITY_X509; which <= TIP_AUTHORITY_JWT; which++) {
		assert_int_equal(a->ops->record(a, (enum tip_authority_record)which, &b, &err), 0);
		assert_int_equal(tip_authority_embedded_load(again,
							     (enum tip_authority_record)which,
							     b.data, b.len, T0, &err),
				 0);
		tip_record_wipe(&b);
	}
	a->ops->bundle(a, &mine);
	again->ops->bundle(again, &theirs);
	assert_int_equal(a->ops->jwks(a, &mine, &err), 0);
	assert_int_equal(again->ops->jwks(again, &theirs, &err), 0);
	assert_int_equal(mine.len, theirs.len);
	assert_memory_equal(mine.data, theirs.data, mine.len);
	again->ops->free(again);
	tip_buf_free(&mine);
	tip_buf_free(&theirs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(leaf_profile, setup, teardown),
		cmocka_unit_test_setup_teardown(leaf_without_a_usable_name, setup, teardown),
		cmocka_unit_test_setup_teardown(ca_profile, setup, teardown),
		cmocka_unit_test_setup_teardown(chain_verifies, setup, teardown),
		cmocka_unit_test_setup_teardown(keys_differ, setup, teardown),
		cmocka_unit_test_setup_teardown(svid_records, setup, teardown),
		cmocka_unit_test_setup_teardown(foreign_authority, setup, teardown),
		cmocka_unit_test_setup_teardown(authority_is_no_svid, setup, teardown),
		cmocka_unit_test_setup_teardown(authority_records, setup, teardown),
		cmocka_unit_test_setup_teardown(authority_publishes_what_it_kept, setup, teardown),
	};

	tip_log_init("test", TIP_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
