/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/jwt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/mem.h"
#include "policy/spiffe_id.h"

/* A token may come from a node whose clock is ahead; as much as certificates are dated back. */
#define LEEWAY_S 10

/* ---- making --------------------------------------------------------------------------- */

/* Appends a JSON object, in base64url. */
static int add_part(json_t *o, struct tip_buf *out, struct tip_error *err)
{
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	if (!text)
		return tip_error_set(err, "a claim is not valid UTF-8");
	tip_base64url_encode(text, strlen(text), out);
	free(text);
	return 0;
}

static json_t *claims_of(const struct tip_jwt_spec *spec)
{
	json_t *aud = json_array();

	for (size_t i = 0; i < spec->naudiences; i++) {
		if (json_array_append_new(aud, json_string(spec->audiences[i])) < 0) {
			json_decref(aud);
			return NULL;
		}
	}
	return json_pack("{s:o, s:I, s:I, s:s}", "aud", aud, "exp", (json_int_t)spec->expires,
			 "iat", (json_int_t)spec->issued, "sub", spec->spiffe_id);
}

int tip_jwt_sign(const struct tip_jwt_spec *spec, EVP_PKEY *key, const char *kid,
		 struct tip_buf *token, struct tip_error *err)
{
	json_t *header = json_pack("{s:s, s:s, s:s}", "alg", "ES256", "kid", kid, "typ", "JWT");
	json_t *claims = claims_of(spec);
	uint8_t sig[TIP_JWS_ES256_SIZE];
	struct tip_buf text = {0};
	int ret = -1;

	if (add_part(header, &text, err) < 0)
		goto out;
	tip_buf_addc(&text, '.');
	if (add_part(claims, &text, err) < 0 ||
	    tip_jws_sign(key, text.data, text.len, sig, err) < 0)
		goto out;
	tip_buf_addc(&text, '.');
	tip_base64url_encode(sig, sizeof(sig), &text);
	if (text.len > TIP_JWT_MAX) {
		tip_error_set(err, "the token would be larger than %d bytes", TIP_JWT_MAX);
		goto out;
	}
	tip_buf_add(token, text.data, text.len);
	ret = 0;
out:
	tip_buf_free(&text);
	json_decref(header);
	json_decref(claims);
	return ret;
}

/* ---- judging ---------------------------------------------------------------------------- */

/* A token, taken apart. */
struct parts {
	const char *text; /* not ended by a NUL */
	size_t signed_len;
	json_t *header, *claims;
	struct tip_buf sig;
	const struct tip_jws_alg *alg;
	const char *kid; /* NULL: none */
	const char *sub;
};

void tip_jwt_clear(struct tip_jwt *t)
{
	free(t->spiffe_id);
	json_decref(t->claims);
	*t = (struct tip_jwt){0};
}

/* One part: base64url of one JSON object in which no member is there twice. */
static json_t *read_object(const char *text, size_t len, const char *what, struct tip_error *err)
{
	struct tip_buf b = {0};
	json_error_t at;
	json_t *o = NULL;

	if (!len || tip_base64url_decode(text, len, &b) < 0) {
		tip_error_set(err, "the token's %s is not base64url", what);
		goto out;
	}
	o = json_loadb(b.data, b.len, JSON_REJECT_DUPLICATES, &at);
	if (!json_is_object(o)) {
		json_decref(o);
		o = NULL;
		tip_error_set(err, "the token's %s is not a JSON object", what);
	}
out:
	tip_buf_free(&b);
	return o;
}

/* Exactly three parts. */
static int split(struct parts *p, const char *text, size_t len, struct tip_error *err)
{
	const char *first = memchr(text, '.', len), *second = NULL, *end = text + len;

	if (first)
		second = memchr(first + 1, '.', (size_t)(end - first - 1));
	if (!second || memchr(second + 1, '.', (size_t)(end - second - 1)))
		return tip_error_set(err, "not a token: three parts are expected");
	p->text = text;
	p->signed_len = (size_t)(second - text);
	p->header = read_object(text, (size_t)(first - text), "header", err);
	if (!p->header)
		return -1;
	p->claims = read_object(first + 1, (size_t)(second - first - 1), "payload", err);
	if (!p->claims)
		return -1;
	if (second + 1 == end ||
	    tip_base64url_decode(second + 1, (size_t)(end - second - 1), &p->sig) < 0)
		return tip_error_set(err, "the token's signature is not base64url");
	return 0;
}

/*
 * "alg", "kid" and "typ" are what a JWT-SVID may have (section 2). Others are refused rather than
 * passed over: "crit" asks for what we do not have, "jwk", "jku" and "x5c" bring their own key.
 */
static int check_header(struct parts *p, struct tip_error *err)
{
	const json_t *alg = json_object_get(p->header, "alg");
	const json_t *kid = json_object_get(p->header, "kid");
	const json_t *typ = json_object_get(p->header, "typ");
	const size_t known = !!alg + !!kid + !!typ;

	p->alg = json_is_string(alg) ? tip_jws_alg(json_string_value(alg)) : NULL;
	if (!p->alg)
		return tip_error_set(err, "the token's algorithm is not one of JWT-SVIDs");
	if (json_object_size(p->header) != known)
		return tip_error_set(err,
				     "the token's header has a member other than alg, kid and typ");
	if (kid && !json_is_string(kid))
		return tip_error_set(err, "the token's key id is not a text");
	if (typ && (!json_is_string(typ) || (strcmp(json_string_value(typ), "JWT") != 0 &&
					     strcmp(json_string_value(typ), "JOSE") != 0)))
		return tip_error_set(err, "the token's type is neither JWT nor JOSE");
	p->kid = json_string_value(kid);
	return 0;
}

static int check_subject(struct parts *p, const char *trust_domain, struct tip_error *err)
{
	const json_t *sub = json_object_get(p->claims, "sub");
	struct tip_error why;

	if (!json_is_string(sub))
		return tip_error_set(err, "the token has no subject");
	p->sub = json_string_value(sub);
	if (tip_spiffe_id_check(p->sub, true, &why) < 0)
		return tip_error_set(err, "the token's subject is not a SPIFFE ID: %s", why.text);
	if (!tip_spiffe_id_in(p->sub, trust_domain))
		return tip_error_set(err, "no keys are known of the trust domain of %.256s",
				     p->sub);
	return 0;
}

/* By the key that it names; one that names none by any that fits (section 2.2: kid is optional). */
static int check_signature(const struct parts *p, const struct tip_jwks *keys,
			   struct tip_error *err)
{
	bool named = false;

	for (size_t i = 0; i < keys->count; i++) {
		const struct tip_jwk *k = &keys->keys[i];

		if (p->kid && (!k->kid || strcmp(k->kid, p->kid) != 0))
			continue;
		named = true;
		if (k->alg && k->alg != p->alg)
			continue;
		if (tip_jws_verify(p->alg, k->key, p->text, p->signed_len,
				   (const uint8_t *)p->sig.data, p->sig.len))
			return 0;
	}
	if (!named && p->kid)
		return tip_error_set(err, "the key that the token names is not in the bundle");
	return tip_error_set(err, "the token's signature is not right");
}

/* Seconds since the epoch, whole or not (RFC 7519, NumericDate). False: it is not that. */
static bool get_time(const json_t *v, double *out)
{
	*out = json_number_value(v);
	return json_is_number(v) && isfinite(*out) && *out >= 0;
}

static int check_times(const struct parts *p, uint64_t now, struct tip_error *err)
{
	const json_t *exp = json_object_get(p->claims, "exp");
	const json_t *nbf = json_object_get(p->claims, "nbf");
	double seconds = (double)now / (double)TIP_NSEC_PER_SEC, t;

	if (!get_time(exp, &t))
		return tip_error_set(err, "the token does not say when it expires");
	if (seconds >= t)
		return tip_error_set(err, "the token has expired");
	if (nbf && !get_time(nbf, &t))
		return tip_error_set(err, "the token's nbf is not a time");
	if (nbf && seconds + LEEWAY_S < t)
		return tip_error_set(err, "the token does not hold yet");
	return 0;
}

/* A text or a list of texts. In the claims that are handed on it is always a list. */
static int check_audience(struct parts *p, const char *audience, struct tip_error *err)
{
	json_t *aud = json_object_get(p->claims, "aud"), *item;
	bool found = false;
	size_t i;

	if (json_is_string(aud)) {
		json_object_set_new(p->claims, "aud", json_pack("[O]", aud));
		aud = json_object_get(p->claims, "aud");
	}
	if (!json_is_array(aud) || !json_array_size(aud))
		return tip_error_set(err, "the token has no audience");
	json_array_foreach (aud, i, item) {
		if (!json_is_string(item))
			return tip_error_set(err, "the token's audience is not a text");
		found = found || !strcmp(json_string_value(item), audience);
	}
	return found ? 0 : tip_error_set(err, "the token is for another audience");
}

int tip_jwt_verify(const char *token, size_t len, const char *audience, const char *trust_domain,
		   const struct tip_jwks *keys, uint64_t now, struct tip_jwt *out,
		   struct tip_error *err)
{
	struct parts p = {0};
	int ret = -1;

	*out = (struct tip_jwt){0};
	if (len > TIP_JWT_MAX)
		return tip_error_set(err, "the token is larger than %d bytes", TIP_JWT_MAX);
	if (split(&p, token, len, err) < 0 || check_header(&p, err) < 0 ||
	    check_subject(&p, trust_domain, err) < 0 || check_signature(&p, keys, err) < 0 ||
	    check_times(&p, now, err) < 0 || check_audience(&p, audience, err) < 0)
		goto out;
	out->spiffe_id = tip_strdup(p.sub);
	out->claims = json_incref(p.claims);
	ret = 0;
out:
	json_decref(p.header);
	json_decref(p.claims);
	tip_buf_free(&p.sig);
	return ret;
}
