/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/mem.h"
#include "policy/spiffe_id.h"
#include "proto/workload.pb-c.h"
#include "rpc/struct.h"
#include "tipstaff/out.h"
#include "tipstaff/tipstaff.h"
#include "tipstaff/workload.h"

/* `svid fetch-jwt` and `svid validate-jwt`: clients of the Workload API, as `svid fetch` is. */

#define TOKEN_MAX 65536 /* bytes read from standard input; the daemon judges what is too long */

/* What a call brought. */
struct answer {
	bool token_only;
	unsigned int seen;
	int ret;
};

/* The claims of a token that the daemon has just made: they are shown, and not relied on. */
static json_t *claims_of(const char *token)
{
	const char *first = strchr(token, '.'), *second = first ? strchr(first + 1, '.') : NULL;
	struct tip_buf b = {0};
	json_t *claims = NULL;

	if (second && !tip_base64url_decode(first + 1, (size_t)(second - first - 1), &b) && b.len)
		claims = json_loadb(b.data, b.len, JSON_REJECT_DUPLICATES, NULL);
	tip_buf_free(&b);
	return claims;
}

static void put_expiry(long long expires)
{
	const time_t when = (time_t)expires;
	const int64_t now = (int64_t)(tip_clock_real() / TIP_NSEC_PER_SEC);
	char text[32] = "?", left[32];
	struct tm tm;

	if (gmtime_r(&when, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (expires > now)
		out_field(8, "expires", "%s (%s left)", text,
			  out_duration((uint64_t)(expires - now), left, sizeof(left)));
	else
		out_field(8, "expires", "%s (over)", text);
}

static void put_audience(json_t *claims)
{
	json_t *aud = json_object_get(claims, "aud"), *item;
	size_t i;

	json_array_foreach (aud, i, item)
		out_field(8, i ? "" : "audience", "%s", json_string_value(item));
}

static void put_id(const char *id)
{
	out_print("%s", out_on(stdout, OUT_BOLD));
	out_puts_safe(id);
	out_print("%s\n", out_off(stdout));
}

/* ---- fetch-jwt ---------------------------------------------------------------------------- */

static void put_svid(const JWTSVID *s, json_t *claims, size_t n)
{
	out_print("%s", n > 0 ? "\n" : "");
	put_id(s->spiffe_id);
	if (*s->hint)
		out_field(8, "hint", "%s", s->hint);
	put_audience(claims);
	put_expiry(get_int(claims, "exp"));
	out_field(8, "token", "%s", s->svid);
}

static json_t *svid_json(const JWTSVID *s, json_t *claims)
{
	return json_pack("{s:s, s:s, s:O?, s:I, s:s}", "spiffe_id", s->spiffe_id, "hint", s->hint,
			 "audience", json_object_get(claims, "aud"), "expires",
			 (json_int_t)get_int(claims, "exp"), "token", s->svid);
}

static bool on_svids(void *ctx, const uint8_t *msg, size_t len)
{
	struct answer *a = ctx;
	JWTSVIDResponse *r = jwtsvidresponse__unpack(NULL, len, msg);
	json_t *list = json_array(), *doc;

	if (!r) {
		a->ret = cli_fail(NULL, "the answer of the Workload API is not what it should be");
		goto out;
	}
	for (size_t i = 0; i < r->n_svids; i++) {
		json_t *claims = claims_of(r->svids[i]->svid);

		if (a->token_only && i == 0) {
			out_puts_safe(r->svids[i]->svid);
			out_print("\n");
		}
		if (cli.json)
			json_array_append_new(list, svid_json(r->svids[i], claims));
		else if (!a->token_only)
			put_svid(r->svids[i], claims, i);
		json_decref(claims);
		a->seen++;
	}
	if (cli.json && !a->token_only) {
		doc = json_pack("{s:O}", "svids", list);
		out_json(doc);
		json_decref(doc);
	}
	jwtsvidresponse__free_unpacked(r, NULL);
out:
	json_decref(list);
	return false;
}

static int do_fetch_jwt(const struct cli_args *args)
{
	json_t *audiences = cli_values(args, "audience"), *item;
	struct answer a = {.token_only = cli_given(args, "token")};
	const char *id = cli_value(args, "spiffe-id", NULL);
	struct workload_call call = {.method = "FetchJWTSVID", .message = on_svids, .ctx = &a};
	JWTSVIDRequest request = JWTSVIDREQUEST__INIT;
	struct tip_error err;
	uint8_t *packed = NULL;
	int ret;
	size_t i;

	request.audience = tip_calloc(json_array_size(audiences) + 1, sizeof(char *));
	ret = workload_timeout(args, &call.timeout_ms);
	if (ret)
		goto out;
	if (json_array_size(audiences) == 0) {
		ret = cli_usage("whom the token is for: --audience spiffe://example.org/peer",
				"fetch-jwt wants at least one --audience");
		goto out;
	}
	if (id && tip_spiffe_id_check(id, true, &err) < 0) {
		ret = cli_usage("for example spiffe://example.org/web", "--spiffe-id: %s",
				err.text);
		goto out;
	}
	json_array_foreach (audiences, i, item)
		request.audience[request.n_audience++] = (char *)json_string_value(item);
	if (id)
		request.spiffe_id = (char *)id;
	call.request_len = jwtsvidrequest__get_packed_size(&request);
	packed = tip_alloc(call.request_len);
	jwtsvidrequest__pack(&request, packed);
	call.request = packed;
	ret = workload_call(&call);
	if (!ret)
		ret = a.ret;
	if (!ret && !a.seen)
		ret = cli_fail(NULL, "the Workload API ended the call without an SVID");
out:
	free(packed);
	free(request.audience);
	json_decref(audiences);
	return ret;
}

/* ---- validate-jwt --------------------------------------------------------------------------- */

static bool on_validated(void *ctx, const uint8_t *msg, size_t len)
{
	struct answer *a = ctx;
	ValidateJWTSVIDResponse *r = validate_jwtsvidresponse__unpack(NULL, len, msg);
	json_t *claims = r ? tip_struct_unpack(r->claims.data, r->claims.len) : NULL, *doc;

	if (!claims) {
		a->ret = cli_fail(NULL, "the answer of the Workload API is not what it should be");
		goto out;
	}
	a->seen++;
	if (cli.json) {
		doc = json_pack("{s:s, s:O}", "spiffe_id", r->spiffe_id, "claims", claims);
		out_json(doc);
		json_decref(doc);
	} else {
		const char *key;
		json_t *v;

		put_id(r->spiffe_id);
		put_audience(claims);
		put_expiry(get_int(claims, "exp"));
		json_object_foreach (claims, key, v) {
			char *text;

			if (!strcmp(key, "sub") || !strcmp(key, "aud") || !strcmp(key, "exp"))
				continue;
			text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
			out_field(8, key, "%s", text ? text : "?");
			free(text);
		}
	}
out:
	json_decref(claims);
	if (r)
		validate_jwtsvidresponse__free_unpacked(r, NULL);
	return false;
}

/* The token: the operand, or standard input without the white space around it. */
static int read_token(const char *operand, struct tip_buf *out)
{
	size_t start = 0, n;
	char chunk[4096];

	if (strcmp(operand, "-") != 0) {
		tip_buf_adds(out, operand);
		return CLI_OK;
	}
	tip_buf_adds(out, "");
	while ((n = fread(chunk, 1, sizeof(chunk), stdin)) > 0) {
		tip_buf_add(out, chunk, n);
		if (out->len > TOKEN_MAX)
			return cli_fail(NULL, "standard input holds more than a token");
	}
	if (ferror(stdin))
		return cli_fail(NULL, "standard input: %s", strerror(errno));
	while (out->len && strchr(" \t\r\n", out->data[out->len - 1]))
		out->data[--out->len] = '\0';
	while (start < out->len && strchr(" \t\r\n", out->data[start]))
		start++;
	tip_buf_consume(out, start);
	return CLI_OK;
}

static int do_validate_jwt(const struct cli_args *args)
{
	struct answer a = {0};
	struct workload_call call = {
		.method = "ValidateJWTSVID", .message = on_validated, .ctx = &a};
	ValidateJWTSVIDRequest request = VALIDATE_JWTSVIDREQUEST__INIT;
	const char *audience = cli_value(args, "audience", NULL);
	struct tip_buf token = {0};
	uint8_t *packed = NULL;
	int ret = workload_timeout(args, &call.timeout_ms);

	if (!ret && !audience)
		ret = cli_usage(
			"who you are to the token's owner: --audience spiffe://example.org/me",
			"validate-jwt wants --audience");
	if (!ret)
		ret = read_token(args->argv[0], &token);
	if (ret)
		goto out;
	request.audience = (char *)audience;
	request.svid = token.data;
	call.request_len = validate_jwtsvidrequest__get_packed_size(&request);
	packed = tip_alloc(call.request_len);
	validate_jwtsvidrequest__pack(&request, packed);
	call.request = packed;
	ret = workload_call(&call);
	if (!ret)
		ret = a.ret;
	if (!ret && !a.seen)
		ret = cli_fail(NULL, "the Workload API ended the call without an answer");
out:
	free(packed);
	tip_buf_free(&token);
	return ret;
}

/* ---- tables -----------------------------------------------------------------------------------
 */

static const struct cli_option fetch_options[] = {
	{"audience", 'a', "AUDIENCE",
	 "whom the token is for; may be repeated, but whoever gets a token for two can use it with"
	 " the other (required)",
	 CLI_COMPLETE_NONE},
	{"spiffe-id", 0, "ID", "only this one of your identities", CLI_COMPLETE_NONE},
	{"token", 0, NULL, "print the first token and nothing else", CLI_COMPLETE_NONE},
	{"timeout", 0, "DURATION", "give up after this long (5s)", CLI_COMPLETE_NONE},
	{.name = NULL},
};

const struct cli_command cmd_svid_fetch_jwt = {
	.name = "fetch-jwt",
	.help = "your own JWT-SVIDs for an audience, over the Workload API",
	.more = "The identity is that of this very process, as with `svid fetch`. A token is a "
		"bearer"
		" token:\n"
		"whoever sees it can be you with its audience until it expires.",
	.options = fetch_options,
	.run = do_fetch_jwt,
};

static const struct cli_option validate_options[] = {
	{"audience", 'a', "AUDIENCE", "who the token has to be for (required)", CLI_COMPLETE_NONE},
	{"timeout", 0, "DURATION", "give up after this long (5s)", CLI_COMPLETE_NONE},
	{.name = NULL},
};

const struct cli_command cmd_svid_validate_jwt = {
	.name = "validate-jwt",
	.operands = "TOKEN",
	.help = "whether a JWT-SVID holds, and what it says; TOKEN is - for standard input",
	.more = "Exits with 1 when it does not hold. An argument can be seen by every process of "
		"the"
		" node:\n"
		"hand over a token that is worth something by standard input.",
	.min = 1,
	.max = 1,
	.options = validate_options,
	.run = do_validate_jwt,
};
