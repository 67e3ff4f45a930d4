/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tipstaffd/config.h"

static struct tip_config *parse(const char *text, struct tip_error *err)
{
	return tip_config_parse("t.yaml", text, strlen(text), err);
}

static void defaults_are_what_the_manual_says(void **state)
{
	struct tip_error err;
	struct tip_config *c = parse("trust_domain: example.org\n", &err);

	assert_non_null(c);
	assert_string_equal(c->trust_domain, "example.org");
	assert_string_equal(c->instance, "default");
	assert_string_equal(c->run_dir, "/run/tipstaff");
	assert_string_equal(c->state_dir, "/var/lib/tipstaff");
	assert_string_equal(c->front_user, "");
	assert_string_equal(c->alerts_file, "");
	assert_string_equal(c->http_client_cert, "");
	assert_false(c->http_echo);
	assert_int_equal(c->http_max_timeouts, UINT32_MAX);
	assert_true(c->alerts_stdout && c->alerts_json && c->enforcement);
	assert_false(c->match_all);
	assert_int_equal(c->x509_ttl, 3600);
	assert_int_equal(c->jwt_ttl, 300);
	assert_int_equal(c->nscope, 0);
	assert_int_equal(c->nrequire, 0);
	assert_int_equal(c->seal, TIP_SEAL_AUTO);
	assert_int_equal(c->sensing, TIP_SENSING_AUTO);
	assert_int_equal(c->digest, TIP_DIGEST_AUTO);
	assert_string_equal(c->seal_tcti, "");
	assert_false(c->traffic);
	assert_int_equal(c->traffic_port, 15049);
	assert_int_equal(c->max_held_connects, 1024);
	assert_int_equal(c->max_handshakes, 512);
	assert_int_equal(c->max_relays, 4096);
	assert_int_equal(c->max_relays_per_identity, 2048);
	assert_int_equal(c->max_held_per_identity, 512);
	assert_int_equal(c->max_handshakes_per_identity, 256);
	assert_int_equal(c->max_connections_per_identity, 2048);
	assert_int_equal(c->relay_buffers_mib, 64);
	/* The whole node: its own network namespace, and every one that has a name. */
	assert_true(c->traffic_host);
	assert_int_equal(c->ntraffic_namespaces, 1);
	assert_string_equal(c->traffic_namespaces[0], "*");
	tip_config_free(c);
}

static void traffic_defaults_follow_other_keys(void **state)
{
	struct tip_error err;
	struct tip_config *c = parse("trust_domain: a\nscope: {cgroups: [/a]}\n"
				     "traffic: {files: []}\nlimits: {relays: 100}\n",
				     &err);

	assert_non_null(c);
	assert_true(c->traffic);
	assert_int_equal(c->ntraffic_files, 0);
	assert_false(c->traffic_host);
	assert_int_equal(c->ntraffic_namespaces, 0);
	assert_int_equal(c->max_relays_per_identity, 50);
	assert_int_equal(c->max_handshakes, 100);
	tip_config_free(c);
	c = parse("trust_domain: a\nscope: {cgroups: [/a]}\n"
		  "traffic: {host_network: true, namespaces: [pod-*, x]}\n",
		  &err);
	assert_non_null(c);
	assert_false(c->traffic);
	assert_true(c->traffic_host);
	assert_int_equal(c->ntraffic_namespaces, 2);
	assert_string_equal(c->traffic_namespaces[0], "pod-*");
	tip_config_free(c);
	c = parse("trust_domain: a\ntraffic: {host_network: false, namespaces: []}\n", &err);
	assert_non_null(c);
	assert_false(c->traffic_host);
	assert_int_equal(c->ntraffic_namespaces, 0);
	tip_config_free(c);
}

static void every_key_arrives(void **state)
{
	struct tip_error err;
	struct tip_config *c =
		parse("trust_domain: td.test\n"
		      "instance: a-1\n"
		      "run_dir: /r\n"
		      "state_dir: /s\n"
		      "enforcement: off\n"
		      "sensing: kernel\n"
		      "digest: user\n"
		      "log: {level: debug}\n"
		      "front: {user: daemon}\n"
		      "scope: {cgroups: [/a, /b/c]}\n"
		      "rules: {files: [/x, /y], matching: all,\n"
		      "  select: [{disable: {rule: 'Read *'}}, {enable: {tag: t}}]}\n"
		      "alerts: {stdout: false, file: /f, format: text,\n"
		      "  http: {enabled: true, url: 'https://a.b/x', user_agent: u, timeout: 3s,\n"
		      "    ca_cert: /ca, svid: spiffe://td.test/d, compress_uploads: true,\n"
		      "    keep_alive: false}}\n"
		      "identity:\n"
		      "  authority: {x509_ttl: 90s, jwt_ttl: 1m, ca_ttl: 2h}\n"
		      "  entries: [/e]\n"
		      "traffic: {files: [/t, /u], port: 1234}\n"
		      "containers:\n"
		      "  kubelet: {url: 'https://[::1]:10250', ca_cert: /k/ca, token_file: /k/t,\n"
		      "    server_name: node-1}\n"
		      "require: [btf, lsm]\n"
		      "limits:\n"
		      "  processes: 2048\n"
		      "  lifecycle_ring_kib: 128\n"
		      "  activity_ring_kib: 256\n"
		      "  connections: 10\n"
		      "  connections_per_uid: 5\n"
		      "  held_connects: 11\n"
		      "  handshakes: 12\n"
		      "  relays: 14\n"
		      "  relays_per_identity: 13\n"
		      "  relay_buffers_mib: 15\n",
		      &err);

	assert_non_null(c);
	assert_string_equal(c->instance, "a-1");
	assert_string_equal(c->run_dir, "/r");
	assert_string_equal(c->state_dir, "/s");
	assert_false(c->enforcement);
	assert_int_equal(c->sensing, TIP_SENSING_ONLY_KERNEL);
	assert_int_equal(c->digest, TIP_DIGEST_USER);
	assert_int_equal(c->log_level, TIP_LOG_DEBUG);
	assert_string_equal(c->front_user, "daemon");
	assert_int_equal(c->nscope, 2);
	assert_string_equal(c->scope[1], "/b/c");
	assert_int_equal(c->nrules_files, 2);
	assert_string_equal(c->rules_files[0], "/x");
	assert_int_equal(c->nswitches, 2);
	assert_false(c->switches[0].enable);
	assert_string_equal(c->switches[0].rule, "Read *");
	assert_true(c->switches[1].enable);
	assert_string_equal(c->switches[1].tag, "t");
	assert_true(c->match_all);
	assert_false(c->alerts_stdout || c->alerts_json);
	assert_string_equal(c->alerts_file, "/f");
	assert_true(c->http && c->http_at.tls && c->http_gzip && !c->http_keep_alive);
	assert_string_equal(c->http_at.host, "a.b");
	assert_string_equal(c->http_at.target, "/x");
	assert_string_equal(c->http_user_agent, "u");
	assert_string_equal(c->http_ca_cert, "/ca");
	assert_string_equal(c->http_svid, "spiffe://td.test/d");
	assert_int_equal(c->http_timeout, 3000);
	assert_int_equal(c->x509_ttl, 90);
	assert_int_equal(c->ca_ttl, 7200);
	assert_int_equal(c->jwt_ttl, 60);
	assert_string_equal(c->entries[0], "/e");
	assert_int_equal(c->nrequire, 2);
	assert_int_equal(c->require[1], TIP_CAP_LSM);
	assert_int_equal(c->max_processes, 2048);
	assert_int_equal(c->lifecycle_ring, 128 * 1024);
	assert_int_equal(c->activity_ring, 256 * 1024);
	assert_int_equal(c->max_connections, 10);
	assert_int_equal(c->max_connections_per_uid, 5);
	assert_true(c->traffic);
	assert_int_equal(c->ntraffic_files, 2);
	assert_string_equal(c->traffic_files[1], "/u");
	assert_int_equal(c->traffic_port, 1234);
	assert_true(c->kubelet_at.tls);
	assert_string_equal(c->kubelet_at.host, "::1");
	assert_int_equal(c->kubelet_at.port, 10250);
	assert_string_equal(c->kubelet_ca, "/k/ca");
	assert_string_equal(c->kubelet_token, "/k/t");
	assert_string_equal(c->kubelet_name, "node-1");
	assert_int_equal(c->max_held_connects, 11);
	assert_int_equal(c->max_handshakes, 12);
	assert_int_equal(c->max_relays_per_identity, 13);
	assert_int_equal(c->max_relays, 14);
	assert_int_equal(c->relay_buffers_mib, 15);
	tip_config_free(c);
}

/* As Falco's own file has it: paths that are empty, or not used. */
static void the_server_under_falcos_names(void **state)
{
	struct tip_error err;
	static const char text[] = "trust_domain: a\n"
				   "http_output: {enabled: true, url: 'https://a/',\n"
				   "  ca_cert: '', ca_bundle: /ca, mtls: %s, client_cert: /c,\n"
				   "  client_key: /k, echo: true, max_consecutive_timeouts: 5}\n";
	char full[sizeof(text) + 8];

	for (int mtls = 0; mtls < 2; mtls++) {
		struct tip_config *c;

		snprintf(full, sizeof(full), text, mtls ? "true" : "false");
		c = parse(full, &err);
		assert_non_null(c);
		assert_string_equal(c->http_ca_cert, "/ca");
		assert_string_equal(c->http_client_cert, mtls ? "/c" : "");
		assert_string_equal(c->http_client_key, mtls ? "/k" : "");
		assert_true(c->http_echo);
		assert_int_equal(c->http_max_timeouts, 5);
		tip_config_free(c);
	}
}

static void the_file_under_falcos_names(void **state)
{
	static const struct {
		const char *text, *file;
	} all[] = {
		{"trust_domain: a\nfile_output: {enabled: true, filename: /f}\n", "/f"},
		{"trust_domain: a\nfile_output: {enabled: false, filename: /f}\n", ""},
		{"trust_domain: a\nfile_output: {filename: /f}\n", ""},
		{"trust_domain: a\nalerts: {file: /f}\nfile_output: {enabled: false}\n", "/f"},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(all); i++) {
		struct tip_error err;
		struct tip_config *c = parse(all[i].text, &err);

		assert_non_null(c);
		assert_string_equal(c->alerts_file, all[i].file);
		tip_config_free(c);
	}
}

static void mistakes_are_told_with_their_place(void **state)
{
	static const struct {
		const char *text;
		int line, column;
		const char *says;
	} cases[] = {
		{"instance: a\n", 1, 1, "trust_domain: is missing"},
		{"trust_domain: Example.org\n", 1, 15, "trust_domain"},
		{"trust_domain: a\ncolour: red\n", 2, 1,
		 "unknown key \"colour\"; there are: trust_domain"},
		{"trust_domain: a\nalerts:\n  stdut: true\n", 3, 3,
		 "unknown key \"alerts.stdut\"; there are: stdout, file, format"},
		{"trust_domain: a\nalerts:\n  stdout: 7\n", 3, 11, "must be true or false"},
		{"trust_domain: a\ncache: {seal: yes}\n", 2, 15, "credential"},
		{"trust_domain: a\ncontainers: {kubelet: {}}\n", 2, 23,
		 "containers.kubelet.url: is missing"},
		{"trust_domain: a\ncontainers: {kubelet: {urls: x}}\n", 2, 24,
		 "there are: url, ca_cert, token_file, server_name"},
		{"trust_domain: a\ncontainers: {kubelet: https://127.0.0.1:10250}\n", 2, 23,
		 "containers.kubelet: keys and values"},
		{"trust_domain: a\ncontainers: {kubelet: {url: 127.0.0.1}}\n", 2, 29, "https://"},
		{"trust_domain: a\ncontainers: {kubelet: {url: 'https://localhost:1', ca_cert: "
		 "/c}}\n",
		 2, 29, "must be an address"},
		{"trust_domain: a\ncontainers: {kubelet: {url: 'https://[::1]:1/pods', ca_cert: "
		 "/c}}\n",
		 2, 29, "behind the port"},
		{"trust_domain: a\ncontainers: {kubelet: {url: 'https://[::1]:1'}}\n", 2, 23,
		 "containers.kubelet.ca_cert: is missing"},
		{"trust_domain: a\ncontainers: {kubelet: {url: 'http://[::1]:1', token_file: "
		 "/t}}\n",
		 2, 29, "no token is sent in the clear"},
		{"trust_domain: a\ncontainers: {kubelet: {url: 'http://[::1]:1', token_file: t}}\n",
		 2, 59, "absolute"},
		{"trust_domain: a\nsensing: fexit\n", 2, 10, "auto, syscalls or kernel"},
		{"trust_domain: a\ndigest: kernel\n", 2, 9, "auto or user"},
		{"trust_domain: a\nalerts: [x]\n", 2, 9, "keys and values"},
		{"trust_domain: a\nrun_dir: run\n", 2, 10, "absolute"},
		{"trust_domain: a\nrules: {files: /x}\n", 2, 16, "a list is wanted"},
		{"trust_domain: a\nrules: {files: [x]}\n", 2, 17, "absolute"},
		{"trust_domain: a\nrules: {matching: some}\n", 2, 19, "\"first\" or \"all\""},
		{"trust_domain: a\nrules: {select: x}\n", 2, 17, "enable or disable"},
		{"trust_domain: a\nrules: {select: [{stop: {rule: x}}]}\n", 2, 18,
		 "enable or disable"},
		{"trust_domain: a\nrules: {select: [{enable: {rule: x, tag: y}}]}\n", 2, 18,
		 "rule or tag"},
		{"trust_domain: a\nrules: {select: [{enable: {name: x}}]}\n", 2, 28, "rule or tag"},
		{"trust_domain: a\nrules: {select: [{enable: {rule: ''}}]}\n", 2, 34,
		 "rule or tag"},
		{"trust_domain: a\nscope: {cgroups: [/a/../b]}\n", 2, 19, "/../"},
		{"trust_domain: a\nrequire: [warp]\n", 2, 11, "no capability \"warp\""},
		{"trust_domain: a\nlimits: {processes: 3}\n", 2, 21, "between 1024"},
		{"trust_domain: a\nlimits: {activity_ring_kib: 100}\n", 2, 29, "power of two"},
		{"trust_domain: a\nidentity: {authority: {x509_ttl: 5s}}\n", 2, 34, "between 10"},
		{"trust_domain: a\nidentity: {authority: {x509_ttl: soon}}\n", 2, 34, "a duration"},
		{"trust_domain: a\nidentity: {authority: {x509_ttl: 9h, ca_ttl: 1h}}\n", 2, 11,
		 "shorter"},
		{"trust_domain: a\nidentity: {authority: {jwt_ttl: 5s}}\n", 2, 33, "between 10"},
		{"trust_domain: a\nidentity: {authority: {jwt_ttl: 25h}}\n", 2, 33, "between 10"},
		{"trust_domain: a\nidentity: {authority: {x509_ttl: 1m, jwt_ttl: 2h, ca_ttl: "
		 "1h}}\n",
		 2, 11, "jwt_ttl"},
		{"trust_domain: a\ninstance: A\n", 2, 11, "[a-z0-9-]"},
		{"trust_domain: a\ntraffic: {files: [t]}\n", 2, 19, "absolute"},
		{"trust_domain: a\ntraffic: {port: 0}\n", 2, 17, "between 1 and 65535"},
		{"trust_domain: a\ntraffic: {port: 65536}\n", 2, 17, "between 1 and 65535"},
		{"trust_domain: a\ntraffic: {namespaces: a}\n", 2, 23, "a list is wanted"},
		{"trust_domain: a\ntraffic: {namespaces: [a/b]}\n", 2, 24, "without a slash"},
		{"trust_domain: a\ntraffic: {namespaces: ['']}\n", 2, 24, "1 to 255 bytes"},
		{"trust_domain: a\nlimits: {relays: 8, relays_per_identity: 9}\n", 2, 9,
		 "not be larger than relays"},
		{"trust_domain: a\nlimits: {handshakes: 8, handshakes_per_identity: 9}\n", 2, 9,
		 "not be larger than handshakes"},
		{"trust_domain: a\nlimits: {held_connects: 8, held_connects_per_identity: 9}\n", 2,
		 9, "not be larger than held_connects"},
		{"trust_domain: a\nlimits: {relays: 8, handshakes: 9}\n", 2, 9,
		 "not be larger than relays"},
		{"trust_domain: a\nalerts: {http: {enabled: true, url: 'https://a/', ca_cert: /c,\n"
		 "  client_cert: /d}}\n",
		 2, 16, "needs both client_cert and client_key"},
		{"trust_domain: a\nalerts: {http: {enabled: true, url: 'https://a/', ca_cert: /c,\n"
		 "  client_cert: /d, client_key: /e, svid: spiffe://a/x}}\n",
		 2, 16, "or its own SVID"},
		{"trust_domain: a\nalerts: {http: {enabled: true, url: 'http://a/',\n"
		 "  client_cert: /d, client_key: /e}}\n",
		 2, 16, "must begin with https://"},
		{"trust_domain: a\nhttp_output: {enabled: true, url: 'https://a/', ca_cert: /c,\n"
		 "  mtls: true}\n",
		 2, 14, "needs both client_cert and client_key"},
		{"trust_domain: a\nhttp_output: {max_consecutive_timeouts: 256}\n", 2, 41,
		 "between 0 and 255"},
		{"trust_domain: a\nhttp_output: {ca_cert: /a, ca_bundle: /b}\n", 2, 28,
		 "is the same as http_output.ca_cert"},
		{"trust_domain: a\nfile_output: {enabled: true}\n", 2, 14,
		 "file_output.filename: is missing"},
		{"trust_domain: a\nhttp_output: {enable: true}\n", 2, 15,
		 "there are: enabled, url, user_agent"},
		{"trust_domain: a\nhttp_output: {insecure: true}\n", 2, 15,
		 "http_output.insecure: is Falco's, and not here: who the server is"},
		{"trust_domain: a\nwebserver: [{enabled: false}]\n", 2, 1, "no web server"},
		{"trust_domain: a\ntrust_domain: b\n", 2, 1, ""},
		{"trust_domain: [\n", 2, 1, ""},
		{"trust_domain: a\n---\ntrust_domain: b\n", 1, 1, "one YAML document"},
		{"- a\n", 1, 1, "keys and values"},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(cases); i++) {
		struct tip_error err = {0};
		struct tip_config *c = parse(cases[i].text, &err);

		if (c || err.line != cases[i].line || err.column != cases[i].column ||
		    !strstr(err.text, cases[i].says))
			fail_msg("case %zu: %s: got %d:%d %s", i, cases[i].text, err.line,
				 err.column, err.text);
		assert_string_equal(err.file, "t.yaml");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_what_the_manual_says),
		cmocka_unit_test(traffic_defaults_follow_other_keys),
		cmocka_unit_test(every_key_arrives),
		cmocka_unit_test(the_server_under_falcos_names),
		cmocka_unit_test(the_file_under_falcos_names),
		cmocka_unit_test(mistakes_are_told_with_their_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
