/* SPDX-License-Identifier: Apache-2.0 */
#include "intercept/netfilter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/spawn.h"

/*
 * A table takes three milliseconds. Only a machine in trouble needs longer, a foreign lock, or a
 * namespace whose root has filled its tables: the whole table goes through the tool.
 */
#define TOOL_MS    2000
#define TOOL_BYTES (256UL * 1024 * 1024)
#define LOCK_SECS  "2"
#define TEXT_MAX   4096 /* fits into a pipe of the smallest size */

static const char *const tables[] = {"filter", "mangle"};

void tip_netfilter_chain(const char *instance, char chain[TIP_CHAIN_MAX])
{
	uint32_t hash = 2166136261u; /* FNV-1a: the same name in every run */

	if (snprintf(chain, TIP_CHAIN_MAX, "TIP-%s", instance) < TIP_CHAIN_MAX)
		return;
	for (const char *p = instance; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	snprintf(chain, TIP_CHAIN_MAX, "TIP-%.15s-%08x", instance, hash);
}

static void add_rule(const struct tip_netfilter *nf, struct tip_buf *out, const char *rest)
{
	tip_buf_addf(out, "-A %s -d 127.0.0.1/32 -p tcp -m tcp --dport %u --syn %s\n", nf->chain,
		     (unsigned int)nf->port, rest);
}

static void add_device_rule(const struct tip_netfilter *nf, struct tip_buf *out)
{
	tip_buf_addf(out,
		     "-A %s -d 127.0.0.1/32 ! -o lo -p tcp -m tcp --dport %u -j REJECT "
		     "--reject-with icmp-host-unreachable\n",
		     nf->chain, (unsigned int)nf->port);
}

static void add_rules(const struct tip_netfilter *nf, const char *table, struct tip_buf *out)
{
	char rest[128];

	if (!strcmp(table, "mangle")) {
		add_rule(nf, out, "-j MARK --set-mark 0");
		snprintf(rest, sizeof(rest), "-o lo -j NFQUEUE --queue-num %u --queue-bypass",
			 (unsigned int)nf->queue);
		add_rule(nf, out, rest);
		return;
	}
	add_device_rule(nf, out);
	snprintf(rest, sizeof(rest), "-m mark --mark %#x -j ACCEPT", TIP_MARK_RELEASE);
	add_rule(nf, out, rest);
	snprintf(rest, sizeof(rest), "-m mark --mark %#x -j REJECT --reject-with tcp-reset",
		 TIP_MARK_REFUSE);
	add_rule(nf, out, rest);
	snprintf(rest, sizeof(rest),
		 "-m mark --mark %#x -j REJECT --reject-with icmp-net-unreachable",
		 TIP_MARK_NETUNREACH);
	add_rule(nf, out, rest);
	add_rule(nf, out, "-j REJECT --reject-with icmp-host-unreachable");
}

void tip_netfilter_text(const struct tip_netfilter *nf, const char *table,
			enum tip_netfilter_how how, struct tip_buf *out)
{
	tip_buf_addf(out, "*%s\n", table);
	if (how == TIP_RULES_REMOVE) {
		tip_buf_addf(out, "-D OUTPUT -j %s\n-F %s\n-X %s\nCOMMIT\n", nf->chain, nf->chain,
			     nf->chain);
		return;
	}
	/* -N fails where the chain is; the other form empties it. */
	if (how == TIP_RULES_FRESH)
		tip_buf_addf(out, "-N %s\n", nf->chain);
	else
		tip_buf_addf(out, ":%s - [0:0]\n", nf->chain);
	add_rules(nf, table, out);
	if (how == TIP_RULES_AGAIN)
		tip_buf_addf(out, "-D OUTPUT -j %s\n", nf->chain);
	tip_buf_addf(out, "-I OUTPUT 1 -j %s\nCOMMIT\n", nf->chain);
}

/* ---- the tool ---------------------------------------------------------------------- */

const char *tip_netfilter_tool(unsigned int nth)
{
	static const char *const tools[] = {
		"/usr/sbin/iptables-legacy-restore",
		"/sbin/iptables-legacy-restore",
		"/usr/sbin/iptables-nft-restore",
		"/sbin/iptables-nft-restore",
	};
	struct stat st, last = {0};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(tools); i++) {
		if (stat(tools[i], &st) < 0)
			continue;
		/* With /sbin a link to /usr/sbin, both names are one file; legacy and nft differ.
		 */
		if (st.st_dev == last.st_dev && st.st_ino == last.st_ino)
			continue;
		last = st;
		if (nth-- == 0)
			return tools[i];
	}
	return NULL;
}

/* When a call has to come back. */
static uint64_t end_of_patience(const struct tip_netfilter *nf)
{
	const unsigned int ms = nf->patience_ms ? nf->patience_ms : TOOL_MS;

	return tip_clock_monotonic() + ms * 1000000ULL;
}

/* Waits for the child until `end`. Its exit status, or -1: it did not come to an end by itself. */
static int wait_for(pid_t pid, uint64_t end)
{
	struct pollfd done = {.fd = pidfd_open(pid, 0), .events = POLLIN};
	int status, n = -1;

	while (done.fd >= 0) {
		const uint64_t now = tip_clock_monotonic();

		n = poll(&done, 1, now < end ? (int)((end - now) / 1000000) : 0);
		if (n >= 0 || errno != EINTR)
			break;
	}
	if (done.fd >= 0)
		close(done.fd);
	if (n <= 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -1;
	}
	return n > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The tables that it works on are somebody else's, and its memory and time are ours. */
static void limit(pid_t pid)
{
	const struct rlimit bytes = {TOOL_BYTES, TOOL_BYTES};

	prlimit(pid, RLIMIT_AS, &bytes, NULL);
}

/* What the tool said, on one line. */
static void read_said(int fd, char *said, size_t size)
{
	const ssize_t n = read(fd, said, size - 1);

	said[n > 0 ? n : 0] = '\0';
	said[strcspn(said, "\n")] = '\0';
}

static int spawn(const struct tip_netfilter *nf, int in, int out, pid_t *pid)
{
	const char *const argv[] = {nf->tool, "--noflush", "--wait", LOCK_SECS, NULL};
	char *lock = nf->lock ? tip_sprintf("XTABLES_LOCKFILE=%s", nf->lock) : NULL;
	const char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", lock, NULL};
	const struct tip_spawn child = {
		.path = nf->tool,
		.argv = argv,
		.env = env,
		.fds = {in, out, out, TIP_SPAWN_SAME},
	};
	const int ret = tip_spawn(&child, pid);

	free(lock);
	return ret;
}

/*
 * Has the tool read `text`, in the network namespace that this thread is in: a child begins there.
 * 0, or with `err` -ETIMEDOUT or -EIO.
 */
static int run(const struct tip_netfilter *nf, uint64_t end, const struct tip_buf *text,
	       struct tip_error *err)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, ret = -EIO, n;
	char said[256];
	pid_t pid;

	if (text->len > TEXT_MAX || pipe2(in, O_CLOEXEC) < 0 ||
	    pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0 ||
	    write(in[1], text->data, text->len) != (ssize_t)text->len) {
		tip_error_set(err, "%s: no pipe for it: %s", nf->tool, strerror(errno));
		goto out;
	}
	close(in[1]);
	in[1] = -1;
	n = spawn(nf, in[0], out[1], &pid);
	if (n) {
		tip_error_set(err, "%s: %s", nf->tool, strerror(n));
		goto out;
	}
	limit(pid);
	n = wait_for(pid, end);
	read_said(out[0], said, sizeof(said));
	if (n < 0) {
		tip_error_set(err, "%s: it did not come to an end in time", nf->tool);
		ret = -ETIMEDOUT;
	} else if (n > 0) {
		tip_error_set(err, "%s: exit status %d: %s", nf->tool, n, said);
	} else {
		ret = 0;
	}
out:
	for (int i = 0; i < 2; i++) {
		if (in[i] >= 0)
			close(in[i]);
		if (out[i] >= 0)
			close(out[i]);
	}
	return ret;
}

static int run_as(const struct tip_netfilter *nf, uint64_t end, const char *table,
		  enum tip_netfilter_how how, struct tip_error *err)
{
	struct tip_buf text = {0};
	int ret;

	tip_netfilter_text(nf, table, how, &text);
	ret = run(nf, end, &text, err);
	tip_buf_free(&text);
	return ret;
}

int tip_netfilter_apply(const struct tip_netfilter *nf, struct tip_error *err)
{
	static const enum tip_netfilter_how hows[] = {TIP_RULES_FRESH, TIP_RULES_AGAIN,
						      TIP_RULES_LOOSE};
	const uint64_t end = end_of_patience(nf);

	for (size_t i = 0; i < TIP_ARRAY_SIZE(tables); i++) {
		int ret = -EIO;

		/* A table is replaced in one piece or not at all: a try that fails leaves what was
		 * there. What takes too long takes as long another way. */
		for (size_t j = 0; ret == -EIO && j < TIP_ARRAY_SIZE(hows); j++)
			ret = run_as(nf, end, tables[i], hows[j], err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Whether the legacy tables are in use here: to ask for one makes it, and hooks it in. */
static bool legacy_used(void)
{
	char line[64];
	bool used;
	FILE *f = fopen("/proc/thread-self/net/ip_tables_names", "re");

	if (!f)
		return false;
	used = fgets(line, sizeof(line), f) != NULL;
	fclose(f);
	return used;
}

int tip_netfilter_remove(const struct tip_netfilter *nf)
{
	const uint64_t end = end_of_patience(nf);
	struct tip_netfilter with = *nf;
	struct tip_error err;
	int removed = 0;

	for (unsigned int t = 0; (with.tool = tip_netfilter_tool(t)); t++) {
		if (strstr(with.tool, "legacy") && !legacy_used())
			continue;
		for (size_t i = 0; i < TIP_ARRAY_SIZE(tables); i++)
			removed += run_as(&with, end, tables[i], TIP_RULES_REMOVE, &err) == 0;
	}
	return removed;
}
