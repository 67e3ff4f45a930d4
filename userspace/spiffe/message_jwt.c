/* SPDX-License-Identifier: Apache-2.0 */
#include "spiffe/message_jwt.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/spiffe_id.h"
#include "proto/workload.pb-c.h"
#include "rpc/struct.h"

/* Of one request: what is asked for ends up in a token, and that has to stay a token's size. */
#define AUDIENCES_MAX      16
#define AUDIENCE_BYTES_MAX 2048

struct tip_jwt_ask {
	JWTSVIDRequest *fetch; /* one of the two */
	ValidateJWTSVIDRequest *validate;
};

void tip_jwt_ask_free(struct tip_jwt_ask *a)
{
	if (!a)
		return;
	if (a->fetch)
		jwtsvidrequest__free_unpacked(a->fetch, NULL);
	if (a->validate) {
		/* A token that holds is its owner's. */
		explicit_bzero(a->validate->svid, strlen(a->validate->svid));
		validate_jwtsvidrequest__free_unpacked(a->validate, NULL);
	}
	free(a);
}

/* protobuf-c does not look at this, and JSON has no other text. */
static bool is_utf8(const char *text)
{
	json_t *v = json_string(text);

	json_decref(v);
	return v != NULL;
}

/* Sets `*why` and returns false, for `return refuse(...)`. */
static bool refuse(char **why, const char *text)
{
	*why = tip_strdup(text);
	return false;
}

static bool check_audiences(char *const *list, size_t count, char **why)
{
	size_t bytes = 0;

	if (!count || count > AUDIENCES_MAX)
		return refuse(why, count ? "more than 16 audiences" : "audience must be specified");
	for (size_t i = 0; i < count; i++) {
		if (!list[i][0])
			return refuse(why, "audience must be specified");
		for (const char *p = list[i]; *p; p++)
			if ((unsigned char)*p < ' ' || *p == 0x7f)
				return refuse(why, "an audience has a control character");
		if (!is_utf8(list[i]))
			return refuse(why, "malformed request");
		bytes += strlen(list[i]);
	}
	return bytes <= AUDIENCE_BYTES_MAX || refuse(why, "audiences of more than 2048 bytes");
}

struct tip_jwt_ask *tip_jwt_ask_fetch(const uint8_t *req, size_t len, char **why)
{
	struct tip_jwt_ask *a = tip_alloc(sizeof(*a));
	struct tip_error err;

	a->fetch = jwtsvidrequest__unpack(NULL, len, req);
	if (!a->fetch) {
		*why = tip_strdup("malformed request");
		goto refuse;
	}
	if (!check_audiences(a->fetch->audience, a->fetch->n_audience, why))
		goto refuse;
	if (a->fetch->spiffe_id[0] && tip_spiffe_id_check(a->fetch->spiffe_id, false, &err) < 0) {
		*why = tip_sprintf("invalid requested SPIFFE ID: %s", err.text);
		goto refuse;
	}
	return a;
refuse:
	tip_jwt_ask_free(a);
	return NULL;
}

struct tip_jwt_ask *tip_jwt_ask_validate(const uint8_t *req, size_t len, char **why)
{
	struct tip_jwt_ask *a = tip_alloc(sizeof(*a));

	a->validate = validate_jwtsvidrequest__unpack(NULL, len, req);
	if (!a->validate)
		*why = tip_strdup("malformed request");
	else if (!check_audiences(&a->validate->audience, 1, why))
		;
	else if (!a->validate->svid[0])
		*why = tip_strdup("svid must be specified");
	else
		return a;
	tip_jwt_ask_free(a);
	return NULL;
}

struct tip_jwt_query tip_jwt_ask_query(const struct tip_jwt_ask *a)
{
	const char *id = a->fetch->spiffe_id;

	return (struct tip_jwt_query){
		.audiences = (const char *const *)a->fetch->audience,
		.naudiences = a->fetch->n_audience,
		.spiffe_id = id[0] ? id : NULL,
	};
}

const char *tip_jwt_ask_audience(const struct tip_jwt_ask *a)
{
	return a->validate->audience;
}

const char *tip_jwt_ask_token(const struct tip_jwt_ask *a)
{
	return a->validate->svid;
}

/* ---- answers ---------------------------------------------------------------------------- */

static bool hint_taken(JWTSVID *const *svids, size_t count, const char *hint)
{
	for (size_t i = 0; *hint && i < count; i++)
		if (!strcmp(svids[i]->hint, hint))
			return true;
	return false;
}

void tip_message_jwt_svids(const struct tip_jwt_svid *svids, size_t count, struct tip_message *out)
{
	JWTSVIDResponse response = JWTSVIDRESPONSE__INIT;
	JWTSVID *items = tip_calloc(count, sizeof(*items));
	JWTSVID **list = tip_calloc(count, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (hint_taken(list, n, svids[i].hint))
			continue;
		jwtsvid__init(&items[n]);
		items[n].spiffe_id = (char *)svids[i].spiffe_id;
		items[n].svid = (char *)svids[i].token;
		items[n].hint = (char *)svids[i].hint;
		list[n] = &items[n];
		n++;
	}
	response.n_svids = n;
	response.svids = list;
	out->len = jwtsvidresponse__get_packed_size(&response);
	out->data = tip_alloc(out->len);
	jwtsvidresponse__pack(&response, out->data);
	free(list);
	free(items);
}

void tip_message_jwt_bundles(const char *trust_domain, const char *jwks, size_t len,
			     struct tip_message *out)
{
	JWTBundlesResponse__BundlesEntry entry = JWTBUNDLES_RESPONSE__BUNDLES_ENTRY__INIT;
	JWTBundlesResponse__BundlesEntry *list[] = {&entry};
	JWTBundlesResponse response = JWTBUNDLES_RESPONSE__INIT;
	char *key = tip_sprintf("spiffe://%s", trust_domain);

	entry.key = key;
	entry.value = (ProtobufCBinaryData){.data = (uint8_t *)jwks, .len = len};
	response.n_bundles = 1;
	response.bundles = list;
	out->len = jwtbundles_response__get_packed_size(&response);
	out->data = tip_alloc(out->len);
	jwtbundles_response__pack(&response, out->data);
	free(key);
}

bool tip_message_jwt_claims(const struct tip_jwt *jwt, struct tip_message *out)
{
	ValidateJWTSVIDResponse response = VALIDATE_JWTSVIDRESPONSE__INIT;
	struct tip_buf claims = {0};
	bool ok = !tip_struct_pack(jwt->claims, &claims);

	if (ok) {
		response.spiffe_id = jwt->spiffe_id;
		response.claims.data = (uint8_t *)claims.data;
		response.claims.len = claims.len;
		out->len = validate_jwtsvidresponse__get_packed_size(&response);
		out->data = tip_alloc(out->len);
		validate_jwtsvidresponse__pack(&response, out->data);
	}
	tip_buf_free(&claims);
	return ok;
}
