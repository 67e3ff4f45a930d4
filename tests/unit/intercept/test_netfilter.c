/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "intercept/netfilter.h"

static struct tip_netfilter rules(void)
{
	struct tip_netfilter nf = {.port = 15049, .queue = 7};

	tip_netfilter_chain("unit", nf.chain);
	return nf;
}

static void chain_names(void **state)
{
	char a[TIP_CHAIN_MAX], b[TIP_CHAIN_MAX];

	tip_netfilter_chain("default", a);
	assert_string_equal(a, "TIP-default");
	/* 24 characters fit. */
	tip_netfilter_chain("abcdefghijklmnopqrstuvwx", a);
	assert_string_equal(a, "TIP-abcdefghijklmnopqrstuvwx");
	/* What is longer keeps its difference. */
	tip_netfilter_chain("abcdefghijklmnopqrstuvwxyz-00001", a);
	tip_netfilter_chain("abcdefghijklmnopqrstuvwxyz-00002", b);
	assert_string_not_equal(a, b);
	assert_int_equal(strlen(a), TIP_CHAIN_MAX - 1);
	tip_netfilter_chain("abcdefghijklmnopqrstuvwxyz-00001", b);
	assert_string_equal(a, b);
}

static void text(void **state)
{
	const struct tip_netfilter nf = rules();
	struct tip_buf out = {0};

	tip_netfilter_text(&nf, "mangle", TIP_RULES_FRESH, &out);
	assert_string_equal(out.data,
			    "*mangle\n"
			    "-N TIP-unit\n"
			    "-A TIP-unit -d 127.0.0.1/32 -p tcp -m tcp --dport 15049 --syn "
			    "-j MARK --set-mark 0\n"
			    "-A TIP-unit -d 127.0.0.1/32 -p tcp -m tcp --dport 15049 --syn "
			    "-o lo -j NFQUEUE --queue-num 7 --queue-bypass\n"
			    "-I OUTPUT 1 -j TIP-unit\n"
			    "COMMIT\n");
	tip_buf_reset(&out);
	tip_netfilter_text(&nf, "filter", TIP_RULES_AGAIN, &out);
	assert_string_equal(
		out.data, "*filter\n"
			  ":TIP-unit - [0:0]\n"
			  "-A TIP-unit -d 127.0.0.1/32 ! -o lo -p tcp -m tcp --dport 15049 "
			  "-j REJECT --reject-with icmp-host-unreachable\n"
			  "-A TIP-unit -d 127.0.0.1/32 -p tcp -m tcp --dport 15049 --syn "
			  "-m mark --mark 0x7e9a5501 -j ACCEPT\n"
			  "-A TIP-unit -d 127.0.0.1/32 -p tcp -m tcp --dport 15049 --syn "
			  "-m mark --mark 0x7e9a5502 -j REJECT --reject-with tcp-reset\n"
			  "-A TIP-unit -d 127.0.0.1/32 -p tcp -m tcp --dport 15049 --syn "
			  "-m mark --mark 0x7e9a5503 -j REJECT --reject-with icmp-net-unreachable\n"
			  "-A TIP-unit -d 127.0.0.1/32 -p tcp -m tcp --dport 15049 --syn "
			  "-j REJECT --reject-with icmp-host-unreachable\n"
			  "-D OUTPUT -j TIP-unit\n"
			  "-I OUTPUT 1 -j TIP-unit\n"
			  "COMMIT\n");
	tip_buf_reset(&out);
	tip_netfilter_text(&nf, "filter", TIP_RULES_REMOVE, &out);
	assert_string_equal(out.data, "*filter\n-D OUTPUT -j TIP-unit\n-F TIP-unit\n-X TIP-unit\n"
				      "COMMIT\n");
	tip_buf_free(&out);
}

/* The rules without counters and time. */
static void listed(const struct space *s, const char *tool, struct tip_buf *out)
{
	const char *const argv[] = {tool, NULL};
	char all[8192], *save = NULL;

	assert_int_equal(space_exec(s, all, sizeof(all), argv), 0);
	for (char *l = strtok_r(all, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		if (l[0] == '-')
			tip_buf_addf(out, "%s\n", l);
	}
}

static int in_space(const struct space *s, const struct tip_netfilter *nf, bool remove)
{
	const int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	struct tip_error err = {0};
	int ret;

	assert_int_equal(setns(s->fd, CLONE_NEWNET), 0);
	ret = remove ? tip_netfilter_remove(nf) : tip_netfilter_apply(nf, &err);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
	if (*err.text)
		print_message("%s\n", err.text);
	return ret;
}

static void tool_twice(const char *tool, const char *save, const char *restore)
{
	struct tip_buf once = {0}, twice = {0}, third = {0}, gone = {0};
	struct tip_netfilter nf = rules();
	const char *const unjump[] = {restore, "-D", "OUTPUT", "-j", "TIP-unit", NULL};
	struct space s;

	nf.tool = tool;
	nf.lock = tip_strdup("/run/xtables.lock");
	space_open(&s, true);
	assert_int_equal(in_space(&s, &nf, false), 0);
	listed(&s, save, &once);
	assert_non_null(strstr(once.data, "-A OUTPUT -j TIP-unit\n"));
	assert_non_null(strstr(once.data, "NFQUEUE --queue-num 7 --queue-bypass"));
	assert_non_null(strstr(once.data, "-j REJECT --reject-with icmp-host-unreachable"));
	/* An earlier daemon has been here. */
	assert_int_equal(in_space(&s, &nf, false), 0);
	listed(&s, save, &twice);
	assert_string_equal(once.data, twice.data);
	/* Somebody removed the jump, and left the chain. */
	assert_int_equal(space_exec(&s, NULL, 0, unjump), 0);
	assert_int_equal(in_space(&s, &nf, false), 0);
	listed(&s, save, &third);
	assert_string_equal(once.data, third.data);

	assert_int_equal(in_space(&s, &nf, true), 2);
	listed(&s, save, &gone);
	assert_int_equal(gone.len, 0);
	assert_int_equal(in_space(&s, &nf, true), 0);
	space_close(&s);
	free(nf.lock);
	tip_buf_free(&once);
	tip_buf_free(&twice);
	tip_buf_free(&third);
	tip_buf_free(&gone);
}

static void legacy(void **state)
{
	if (access("/usr/sbin/iptables-legacy-restore", X_OK) < 0)
		skip();
	tool_twice("/usr/sbin/iptables-legacy-restore", "iptables-legacy-save", "iptables-legacy");
}

static void nft(void **state)
{
	if (access("/usr/sbin/iptables-nft-restore", X_OK) < 0)
		skip();
	tool_twice("/usr/sbin/iptables-nft-restore", "iptables-nft-save", "iptables-nft");
}

/* What fails says which tool and why. */
static void failure(void **state)
{
	struct tip_netfilter nf = rules();
	struct tip_error err = {0};

	nf.tool = "/bin/false";
	assert_int_equal(tip_netfilter_apply(&nf, &err), -EIO);
	assert_non_null(strstr(err.text, "/bin/false: exit status 1"));
	nf.tool = "/nonexistent";
	assert_int_equal(tip_netfilter_apply(&nf, &err), -EIO);
	assert_non_null(strstr(err.text, "/nonexistent: No such file"));
}

static void write_tool(const char *path, const char *script)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fprintf(f, "#!/bin/sh\n%s\n", script);
	assert_int_equal(fchmod(fileno(f), 0755), 0);
	fclose(f);
}

/* Tables that take too long one way take as long another way: it is tried once. */
static void too_slow(void **state)
{
	struct tip_netfilter nf = rules();
	struct tip_error err = {0};
	struct stat st;

	write_tool("/run/slow", "echo >> /run/tries; exec sleep 60");
	nf.tool = "/run/slow";
	nf.patience_ms = 300;
	/* An unlucky one is killed before it has written anything. */
	UNTIL_DOING(stat("/run/tries", &st) == 0,
		    assert_int_equal(tip_netfilter_apply(&nf, &err), -ETIMEDOUT));
	assert_int_equal(st.st_size, 1);
	assert_non_null(strstr(err.text, "/run/slow: it did not come to an end"));
}

/* What a namespace's root has put into its tables is read into the tool's memory. */
static void memory_is_bounded(void **state)
{
	struct tip_netfilter nf = rules();
	struct tip_error err = {0};

	write_tool("/run/greedy", "until [ \"$(ulimit -v)\" != unlimited ]; do :; done");
	nf.tool = "/run/greedy";
	nf.patience_ms = 30000;
	assert_int_equal(tip_netfilter_apply(&nf, &err), 0);
}

static int pure(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chain_names),
		cmocka_unit_test(text),
		cmocka_unit_test(failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

static int all(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chain_names),
		cmocka_unit_test(text),
		cmocka_unit_test(failure),
		cmocka_unit_test(legacy),
		cmocka_unit_test(nft),
		cmocka_unit_test(too_slow),
		cmocka_unit_test(memory_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return world_run(all, pure);
}
