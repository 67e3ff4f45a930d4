/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/x509.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/clock.h"

#define SERIAL_BYTES 16
#define KEY_ID_BYTES 20
/* RFC 5280, upper bound of a common name. */
#define COMMON_NAME_MAX 64

/* Bits of KeyUsage, RFC 5280 section 4.2.1.3. */
enum {
	KU_BIT_DIGITAL_SIGNATURE,
	KU_BIT_KEY_ENCIPHERMENT = 2,
	KU_BIT_KEY_AGREEMENT = 4,
	KU_BIT_CERT_SIGN,
	KU_BIT_CRL_SIGN
};

static bool set_serial(X509 *cert)
{
	unsigned char bytes[SERIAL_BYTES];
	BIGNUM *n = NULL;
	bool ok = false;

	if (RAND_bytes(bytes, sizeof(bytes)) == 1)
		n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	/* Zero is no serial number; it will not be seen, but it would be wrong. */
	if (n && (!BN_is_zero(n) || BN_one(n)))
		ok = BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
	BN_free(n);
	return ok;
}

static bool set_time(ASN1_TIME *t, uint64_t ns)
{
	return ASN1_TIME_set(t, (time_t)(ns / TIP_NSEC_PER_SEC)) != NULL;
}

static bool add_name(X509_NAME *name, int nid, const char *text)
{
	return X509_NAME_add_entry_by_NID(name, nid, MBSTRING_ASC, (const unsigned char *)text, -1,
					  -1, 0) == 1;
}

/* A CA's serial number is part of its name, so that no two authorities are called the same. */
static bool add_serial_name(X509_NAME *name, X509 *cert)
{
	BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	char *text = n ? BN_bn2dec(n) : NULL;
	bool ok = text && add_name(name, NID_serialNumber, text);

	OPENSSL_free(text);
	BN_free(n);
	return ok;
}

static bool set_subject(X509 *cert, const struct tip_cert_spec *spec)
{
	X509_NAME *name = X509_get_subject_name(cert);

	if (!add_name(name, NID_countryName, "US") ||
	    !add_name(name, NID_organizationName, "Tipstaff"))
		return false;
	if (!spec->issuer)
		return add_serial_name(name, cert);
	if (spec->ndns_names && strlen(spec->dns_names[0]) <= COMMON_NAME_MAX)
		return add_name(name, NID_commonName, spec->dns_names[0]);
	return true;
}

static bool add_alt_name(GENERAL_NAMES *names, int type, const char *text)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *value = ASN1_IA5STRING_new();

	if (!name || !value || !ASN1_STRING_set(value, text, -1)) {
		GENERAL_NAME_free(name);
		ASN1_IA5STRING_free(value);
		return false;
	}
	GENERAL_NAME_set0_value(name, type, value);
	if (sk_GENERAL_NAME_push(names, name) > 0)
		return true;
	GENERAL_NAME_free(name);
	return false;
}

static bool add_alt_names(X509 *cert, const struct tip_cert_spec *spec)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	bool ok = names && add_alt_name(names, GEN_URI, spec->uri);

	for (size_t i = 0; ok && i < spec->ndns_names; i++)
		ok = add_alt_name(names, GEN_DNS, spec->dns_names[i]);
	/* Not critical: the subject is never empty. */
	ok = ok && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND) == 1;
	GENERAL_NAMES_free(names);
	return ok;
}

static bool add_key_usage(X509 *cert, bool ca)
{
	ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
	bool ok = bits != NULL;

	if (ca) {
		ok = ok && ASN1_BIT_STRING_set_bit(bits, KU_BIT_CERT_SIGN, 1) &&
		     ASN1_BIT_STRING_set_bit(bits, KU_BIT_CRL_SIGN, 1);
	} else {
		ok = ok && ASN1_BIT_STRING_set_bit(bits, KU_BIT_DIGITAL_SIGNATURE, 1) &&
		     ASN1_BIT_STRING_set_bit(bits, KU_BIT_KEY_ENCIPHERMENT, 1) &&
		     ASN1_BIT_STRING_set_bit(bits, KU_BIT_KEY_AGREEMENT, 1);
	}
	ok = ok && X509_add1_ext_i2d(cert, NID_key_usage, bits, 1, X509V3_ADD_APPEND) == 1;
	ASN1_BIT_STRING_free(bits);
	return ok;
}

static bool add_extended_key_usage(X509 *cert)
{
	EXTENDED_KEY_USAGE *usage = EXTENDED_KEY_USAGE_new();
	bool ok = usage && sk_ASN1_OBJECT_push(usage, OBJ_nid2obj(NID_server_auth)) > 0 &&
		  sk_ASN1_OBJECT_push(usage, OBJ_nid2obj(NID_client_auth)) > 0 &&
		  X509_add1_ext_i2d(cert, NID_ext_key_usage, usage, 0, X509V3_ADD_APPEND) == 1;

	EXTENDED_KEY_USAGE_free(usage);
	return ok;
}

static bool add_basic_constraints(X509 *cert, bool ca)
{
	BASIC_CONSTRAINTS *bc = BASIC_CONSTRAINTS_new();
	bool ok = false;

	if (bc) {
		bc->ca = ca ? 0xff : 0;
		ok = X509_add1_ext_i2d(cert, NID_basic_constraints, bc, 1, X509V3_ADD_APPEND) == 1;
	}
	BASIC_CONSTRAINTS_free(bc);
	return ok;
}

/* Key identifiers after RFC 7093 (1): SHA-256 of the key bits, its first 160 bits. */
static bool add_key_ids(X509 *cert, X509 *issuer)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
	AUTHORITY_KEYID *aki = AUTHORITY_KEYID_new();
	const ASN1_OCTET_STRING *issuer_id;
	bool ok;

	ok = id && aki && X509_pubkey_digest(cert, EVP_sha256(), digest, NULL) == 1 &&
	     ASN1_OCTET_STRING_set(id, digest, KEY_ID_BYTES) == 1 &&
	     X509_add1_ext_i2d(cert, NID_subject_key_identifier, id, 0, X509V3_ADD_APPEND) == 1;
	issuer_id = issuer ? X509_get0_subject_key_id(issuer) : id;
	ok = ok && issuer_id;
	if (ok) {
		aki->keyid = ASN1_OCTET_STRING_dup(issuer_id);
		ok = aki->keyid && X509_add1_ext_i2d(cert, NID_authority_key_identifier, aki, 0,
						     X509V3_ADD_APPEND) == 1;
	}
	AUTHORITY_KEYID_free(aki);
	ASN1_OCTET_STRING_free(id);
	return ok;
}

X509 *tip_cert_new(const struct tip_cert_spec *spec, struct tip_error *err)
{
	X509 *cert = X509_new(), *issuer = spec->issuer ? spec->issuer : cert;
	EVP_PKEY *signer = spec->issuer ? spec->issuer_key : spec->key;
	bool ca = !spec->issuer;
	bool ok;

	ok = cert && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
	     set_time(X509_getm_notBefore(cert), spec->not_before) &&
	     set_time(X509_getm_notAfter(cert), spec->not_after) &&
	     X509_set_pubkey(cert, spec->key) == 1 && set_subject(cert, spec) &&
	     X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1 &&
	     add_key_usage(cert, ca) && (ca || add_extended_key_usage(cert)) &&
	     add_basic_constraints(cert, ca) && add_key_ids(cert, spec->issuer) &&
	     add_alt_names(cert, spec) && X509_sign(cert, signer, EVP_sha256()) > 0;
	if (ok)
		return cert;
	X509_free(cert);
	tip_error_set(err, "cannot make a certificate for %s", spec->uri);
	return NULL;
}

int tip_cert_add_der(const X509 *cert, struct tip_buf *out, struct tip_error *err)
{
	unsigned char *der = NULL;
	int n = i2d_X509(cert, &der);

	if (n <= 0)
		return tip_error_set(err, "cannot encode a certificate");
	tip_buf_add(out, der, (size_t)n);
	OPENSSL_free(der);
	return 0;
}
