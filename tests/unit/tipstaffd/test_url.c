/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tipstaffd/url.h"

static void good_ones(void **state)
{
	static const struct {
		const char *text, *host, *authority, *target;
		uint16_t port;
		bool tls;
	} all[] = {
		{"http://a.b", "a.b", "a.b", "/", 80, false},
		{"https://a.b/", "a.b", "a.b", "/", 443, true},
		{"https://a.b:8443/x/y?z=%20", "a.b", "a.b:8443", "/x/y?z=%20", 8443, true},
		{"http://1.2.3.4:80?q", "1.2.3.4", "1.2.3.4:80", "/?q", 80, false},
		{"http://[fd77::1]:2801/", "fd77::1", "[fd77::1]:2801", "/", 2801, false},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		const char *why = NULL;
		struct tip_url u;

		assert_int_equal(tip_url_parse(all[i].text, &u, &why), 0);
		assert_string_equal(u.host, all[i].host);
		assert_string_equal(u.authority, all[i].authority);
		assert_string_equal(u.target, all[i].target);
		assert_int_equal(u.port, all[i].port);
		assert_int_equal(u.tls, all[i].tls);
	}
}

static void bad_ones(void **state)
{
	static const char *const all[] = {
		"",
		"a.b",
		"HTTP://a.b",
		"ftp://a.b/",
		"http://",
		"http:///x",
		"http://-a/",
		"http://a b/",
		"http://user@a.b/",
		"https://user:secret@a.b/",
		"https://:secret@a.b/",
		"http://a.b:/",
		"http://a.b:0/",
		"http://a.b:65536/",
		"http://a.b:999999/",
		"http://a.b:80x/",
		"http://[::1/",
		"http://[]/",
		"http://[a.b]/",
		"http://[::1]x/",
		"http://a.b/x y",
		"http://a.b/x\r\nHost: c",
		"http://a.b/#x",
		"http://a.b/\xc3\xa4",
	};
	const char *why;
	struct tip_url u;
	char text[3000];

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		why = NULL;
		assert_int_equal(tip_url_parse(all[i], &u, &why), -1);
		assert_non_null(why);
		assert_null(strstr(why, "secret"));
	}
	snprintf(text, sizeof(text), "http://%0300d/", 1);
	assert_int_equal(tip_url_parse(text, &u, &why), -1);
	snprintf(text, sizeof(text), "http://a/%02060d", 1);
	assert_int_equal(tip_url_parse(text, &u, &why), -1);
	snprintf(text, sizeof(text), "http://a/%02000d", 1);
	assert_int_equal(tip_url_parse(text, &u, &why), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones),
		cmocka_unit_test(bad_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
