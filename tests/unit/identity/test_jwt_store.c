/* SPDX-License-Identifier: Apache-2.0 */
/* JWT-SVIDs of the store: who gets which, for how long, and the keys behind them over time. */
#include "world.h"

#include "base/base64.h"

#define DAY    (24 * HOUR)
#define MINUTE (60 * SEC)
#define WEB_ID "spiffe://" TD "/web"
#define DB_ID  "spiffe://" TD "/db"
#define AUD    "spiffe://" TD "/peer"

static const char *const one_audience[] = {AUD};

static enum tip_fetch fetch_for(uint64_t exec_id, const char *const *audiences, size_t n,
				const char *spiffe_id, struct tip_jwt_svid *out, size_t *count)
{
	const struct tip_jwt_query q = {audiences, n, spiffe_id};

	return tip_store_fetch_jwt(w.store, exec_id, &q, out, 8, count);
}

static enum tip_fetch code(uint64_t exec_id)
{
	struct tip_jwt_svid out[8];
	size_t n;

	return fetch_for(exec_id, one_audience, 1, NULL, out, &n);
}

/* A copy of the one token, which the caller frees. */
static char *token_for(uint64_t exec_id, const char *const *audiences, size_t count)
{
	struct tip_jwt_svid out[8];
	size_t n;

	assert_int_equal(fetch_for(exec_id, audiences, count, NULL, out, &n), TIP_FETCH_OK);
	assert_int_equal(n, 1);
	return tip_strdup(out[0].token);
}

static char *token(uint64_t exec_id)
{
	return token_for(exec_id, one_audience, 1);
}

static bool validates(const char *text, struct tip_jwt *jwt)
{
	struct tip_error err;

	return !tip_store_validate_jwt(w.store, AUD, text, jwt, &err);
}

static bool holds(const char *text)
{
	struct tip_jwt jwt;
	bool ok = validates(text, &jwt);

	tip_jwt_clear(&jwt);
	return ok;
}

/* How many keys are published. */
static size_t published(void)
{
	struct tip_jwks set;
	struct tip_error err;
	const char *text;
	size_t len, n;

	text = tip_store_jwks(w.store, &len);
	assert_int_equal(tip_jwks_parse(text, len, TIP_JWKS_PLAIN, &set, &err), 0);
	n = set.count;
	tip_jwks_clear(&set);
	return n;
}

static void what_a_token_says(void **state)
{
	char *text;
	struct tip_jwt jwt;
	json_t *c;

	entries(WEB);
	start();
	exec(1, 0, 33, "/a", "/");
	text = token(1);
	assert_true(validates(text, &jwt));
	c = jwt.claims;
	assert_string_equal(jwt.spiffe_id, WEB_ID);
	assert_int_equal(json_integer_value(json_object_get(c, "iat")), T0 / SEC);
	assert_int_equal(json_integer_value(json_object_get(c, "exp")), T0 / SEC + 300);
	assert_string_equal(json_string_value(json_array_get(json_object_get(c, "aud"), 0)), AUD);
	tip_jwt_clear(&jwt);
	clock_now += 299 * SEC;
	assert_true(holds(text));
	clock_now += SEC;
	assert_false(holds(text));
	free(text);
	assert_int_equal(stats().jwt_issued, 1);
	/* Tokens need no certificate. */
	assert_int_equal(stats().issued, 0);
}

static void the_entry_says_how_long(void **state)
{
	struct tip_jwt jwt;
	char *text;

	entries("- {spiffe_id: " WEB_ID ", selectors: [unix:uid:33], jwt_ttl: 1h}\n");
	start();
	exec(1, 0, 33, "/a", "/");
	text = token(1);
	assert_true(validates(text, &jwt));
	assert_int_equal(json_integer_value(json_object_get(jwt.claims, "exp")), T0 / SEC + 3600);
	tip_jwt_clear(&jwt);
	free(text);
	/* Edited: the next token is another. */
	entries("- {spiffe_id: " WEB_ID ", selectors: [unix:uid:33], jwt_ttl: 10}\n");
	text = token(1);
	assert_true(validates(text, &jwt));
	assert_int_equal(json_integer_value(json_object_get(jwt.claims, "exp")), T0 / SEC + 10);
	tip_jwt_clear(&jwt);
	free(text);
}

static void several_identities(void **state)
{
	struct tip_jwt_svid out[8];
	size_t n;

	entries(WEB "- {spiffe_id: spiffe://" TD
		    "/best, hint: h, selectors: [unix:uid:33, unix:gid:7]}\n");
	start();
	exec(1, 0, 33, "/a", "/");
	assert_int_equal(fetch_for(1, one_audience, 1, NULL, out, &n), TIP_FETCH_OK);
	assert_int_equal(n, 2);
	assert_string_equal(out[0].spiffe_id, "spiffe://" TD "/best");
	assert_string_equal(out[0].hint, "h");
	assert_string_equal(out[1].spiffe_id, WEB_ID);
	assert_true(holds(out[0].token) && holds(out[1].token));
	/* One of them. */
	assert_int_equal(fetch_for(1, one_audience, 1, WEB_ID, out, &n), TIP_FETCH_OK);
	assert_int_equal(n, 1);
	assert_string_equal(out[0].spiffe_id, WEB_ID);
	/* Not one of them. */
	assert_int_equal(fetch_for(1, one_audience, 1, DB_ID, out, &n), TIP_FETCH_DENIED);
	assert_int_equal(fetch_for(1, one_audience, 1, "spiffe://" TD, out, &n), TIP_FETCH_DENIED);
	assert_int_equal(n, 0);
}

static void who_gets_nothing(void **state)
{
	struct tip_exec_facts f = {
		.exec_id = 3,
		.withheld = true,
		.attested = {.uid = 33, .path = "/a", .cgroup = "/"},
	};

	entries(WEB DB);
	exec(1, 0, 33, "/a", "/");
	assert_int_equal(code(1), TIP_FETCH_PENDING); /* not started */
	assert_int_equal(tip_store_standing(w.store, 1), TIP_STANDING_PENDING);
	start();
	assert_int_equal(code(9), TIP_FETCH_PENDING);
	assert_int_equal(tip_store_standing(w.store, 9), TIP_STANDING_PENDING);
	exec(2, 0, 1000, "/a", "/");
	assert_int_equal(code(2), TIP_FETCH_DENIED);
	assert_int_equal(tip_store_standing(w.store, 2), TIP_STANDING_NONE);
	tip_store_exec(w.store, &f);
	assert_int_equal(code(3), TIP_FETCH_DENIED);
	assert_int_equal(tip_store_standing(w.store, 3), TIP_STANDING_WITHHELD);
	assert_int_equal(tip_store_standing(w.store, 1), TIP_STANDING_HOLDS);
}

static void quarantine(void **state)
{
	struct tip_jwt_svid out[8];
	char *before, *after;
	size_t n;

	entries(WEB "- {spiffe_id: spiffe://" TD "/best, selectors: [unix:uid:33, unix:gid:7]}\n"
		    "- {spiffe_id: " DB_ID ", selectors: [unix:uid:5]}\n");
	start();
	exec(1, 0, 33, "/a", "/");
	exec(2, 0, 5, "/a", "/");
	before = token(2);
	tip_store_quarantine(w.store, DB_ID, true);
	assert_int_equal(code(2), TIP_FETCH_DENIED);
	assert_int_equal(tip_store_standing(w.store, 2), TIP_STANDING_WITHHELD);
	/* Where it is a further identity it is left out; where it is the default, all is. */
	tip_store_quarantine(w.store, WEB_ID, true);
	assert_int_equal(fetch_for(1, one_audience, 1, NULL, out, &n), TIP_FETCH_OK);
	assert_int_equal(n, 1);
	assert_int_equal(fetch_for(1, one_audience, 1, WEB_ID, out, &n), TIP_FETCH_DENIED);
	tip_store_quarantine(w.store, "spiffe://" TD "/best", true);
	assert_int_equal(code(1), TIP_FETCH_DENIED);
	/* What was handed out before the quarantine is not handed out after it. */
	clock_now += SEC;
	tip_store_quarantine(w.store, DB_ID, false);
	after = token(2);
	assert_string_not_equal(before, after);
	free(before);
	free(after);
}

static void tokens_are_handed_out_again(void **state)
{
	static const char *const two[] = {"b", "a"}, *const turned[] = {"a", "b"};
	static const char *const longer[] = {"ab"};
	char *first, *second;

	entries(WEB);
	start();
	exec(1, 0, 33, "/a", "/");
	exec(2, 0, 33, "/b", "/");
	first = token(1);
	clock_now += 149 * SEC;
	second = token(2); /* another process of the entry */
	assert_string_equal(first, second);
	assert_int_equal(stats().jwt_issued, 1);
	free(second);
	/* From half of its life on it is another, with a whole life before it. */
	clock_now += SEC;
	second = token(1);
	assert_string_not_equal(first, second);
	assert_int_equal(stats().jwt_issued, 2);
	free(first);
	free(second);
	/* Also when the clock went back behind its making. */
	clock_now -= 100 * SEC;
	first = token(1);
	assert_true(holds(first));
	assert_int_equal(stats().jwt_issued, 3);
	free(first);

	/* A set of audiences has no order, and {"a", "b"} is not "ab". */
	first = token_for(1, two, 2);
	second = token_for(1, turned, 2);
	assert_string_equal(first, second);
	assert_int_equal(stats().jwt_issued, 4);
	free(second);
	second = token_for(1, longer, 1);
	assert_string_not_equal(first, second);
	free(first);
	free(second);
	/* Each entry has its own. */
	entries(WEB DB);
	exec(3, 0, 5, "/c", "/");
	first = token(1);
	second = token(3);
	assert_string_not_equal(first, second);
	free(first);
	free(second);
}

/* Whoever asks for ever new audiences makes us sign, and does not make us grow. */
static void the_cache_is_bounded(void **state)
{
	struct tip_jwt_svid out[8];
	char audience[1024];
	const char *list[] = {audience};
	size_t n, bytes = 0;

	entries(WEB);
	start();
	exec(1, 0, 33, "/a", "/");
	memset(audience, 'x', sizeof(audience) - 1);
	audience[sizeof(audience) - 1] = '\0';
	free(token(1));
	while (bytes < 9u << 20) {
		snprintf(audience, 12, "%011zu", bytes);
		audience[11] = 'x';
		assert_int_equal(fetch_for(1, list, 1, NULL, out, &n), TIP_FETCH_OK);
		bytes += strlen(out[0].token);
	}
	n = stats().jwt_issued;
	free(token(1)); /* was dropped with the rest */
	assert_int_equal(stats().jwt_issued, n + 1);
	free(token(1));
	assert_int_equal(stats().jwt_issued, n + 1);
}

static void restart_keeps_the_keys(void **state)
{
	char *before, *jwks;
	size_t len;

	entries(WEB);
	start();
	exec(1, 0, 33, "/a", "/");
	before = token(1);
	jwks = tip_strdup(tip_store_jwks(w.store, &len));
	assert_non_null(tip_map_gets(w.disk, "jwt-keys"));

	tip_store_free(w.store);
	open_store();
	feed("authority");
	feed("jwt-keys");
	entries(WEB);
	w.saves = 0;
	start();
	assert_int_equal(w.saves, 0);
	assert_string_equal(tip_store_jwks(w.store, &len), jwks);
	assert_true(holds(before));

	/* A damaged record costs the keys, and nothing else. */
	tip_store_free(w.store);
	((struct record *)tip_map_gets(w.disk, "jwt-keys"))->data[0] ^= 1;
	open_store();
	feed("authority");
	feed("jwt-keys");
	entries(WEB);
	start();
	assert_int_equal(stats().bad_records, 1);
	assert_int_equal(published(), 1);
	assert_false(holds(before));
	exec(1, 0, 33, "/a", "/");
	verifies(1);
	free(before);
	free(jwks);
}

/* The kid of a token's header. */
static char *kid_of(const char *text)
{
	struct tip_buf b = {0};
	json_t *header;
	char *kid;

	assert_int_equal(tip_base64url_decode(text, (size_t)(strchr(text, '.') - text), &b), 0);
	header = json_loadb(b.data, b.len, 0, NULL);
	kid = tip_strdup(json_string_value(json_object_get(header, "kid")));
	json_decref(header);
	tip_buf_free(&b);
	return kid;
}

/* Tells when something happened, in hours of the first key's life of 24. */
static void keys_rotate_before_they_are_needed(void **state)
{
	char *first_kid, *text, *kid, *last_of_first = NULL;
	double published_at = 0, signs_at = 0, gone_at = 0;

	entries(WEB);
	start();
	exec(1, 0, 33, "/a", "/");
	text = token(1);
	first_kid = kid_of(text);
	free(text);
	w.bundles = 0;
	while (clock_now < T0 + 25 * HOUR) {
		double hour = (double)(clock_now - T0) / (double)HOUR;

		tip_store_tick(w.store, clock_now);
		text = token(1);
		assert_true(holds(text)); /* always, also one that was just made */
		kid = kid_of(text);
		if (!published_at && published() == 2) {
			published_at = hour;
			assert_int_equal(w.bundles, 1); /* with the successor of the CA */
		}
		if (!signs_at && strcmp(kid, first_kid) != 0) {
			signs_at = hour;
		} else if (!signs_at) {
			free(last_of_first);
			last_of_first = tip_strdup(text);
		}
		/* What the old key signed holds as long as it says. */
		if (signs_at && hour < signs_at + 0.02)
			assert_true(holds(last_of_first));
		if (!gone_at && hour > 23 &&
		    !strstr(tip_store_jwks(w.store, &(size_t){0}), first_kid))
			gone_at = hour;
		free(kid);
		free(text);
		clock_now += MINUTE;
	}
	assert_true(published_at >= 12 && published_at < 12.1);
	assert_true(signs_at >= 16 && signs_at < 16.1);
	assert_true(gone_at >= 24 && gone_at < 24.1);
	free(last_of_first);
	free(first_kid);
}

/* The daemon was away when it should have made a successor: no token outlives its key. */
static void no_token_outlives_its_key(void **state)
{
	struct tip_jwt jwt;
	char *text;

	tip_store_free(w.store);
	w.config.jwt_ttl = 86400;
	open_store();
	entries(WEB);
	start();
	exec(1, 0, 33, "/a", "/");
	clock_now = T0 + 10 * HOUR;
	text = token(1);
	assert_true(validates(text, &jwt));
	assert_int_equal(json_integer_value(json_object_get(jwt.claims, "exp")), (T0 + DAY) / SEC);
	tip_jwt_clear(&jwt);
	clock_now = T0 + DAY - SEC;
	assert_true(holds(text));
	free(text);
	clock_now = T0 + 3 * DAY;
	assert_int_equal(code(1), TIP_FETCH_ERROR);
	tip_store_tick(w.store, clock_now);
	assert_int_equal(code(1), TIP_FETCH_OK);
	assert_int_equal(published(), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_a_token_says),
		T(the_entry_says_how_long),
		T(several_identities),
		T(who_gets_nothing),
		T(quarantine),
		T(tokens_are_handed_out_again),
		T(the_cache_is_bounded),
		T(restart_keeps_the_keys),
		T(keys_rotate_before_they_are_needed),
		T(no_token_outlives_its_key),
	};

	tip_log_init("test", TIP_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
