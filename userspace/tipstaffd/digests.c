/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests of executables, while some entry selects by one. Where IMA works the kernel hashes what
 * it executes, during the exec, and its word is there before the exec is told. Otherwise, and for
 * what was executed when nobody asked, the daemon reads the file; then the exec waits for its
 * digest before the front hears of it: an answer without it would be an answer about somebody else.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "base/log.h"
#include "base/mem.h"
#include "tipstaffd/keeper.h"

/* What is known of an exec. */
struct known {
	bool answered;
	char sha256[TIP_DIGEST_TEXT]; /* "": it has none */
};

static void on_done(void *ctx, uint64_t exec_id, const char *sha256, const char *why)
{
	struct tip_keeper *k = ctx;
	struct known *known = tip_map_getu(k->digests.known, exec_id);
	struct tip_process *p = tip_process_by_exec_id(k->table, exec_id);

	/* It ended meanwhile. */
	if (!known)
		return;
	known->answered = true;
	snprintf(known->sha256, sizeof(known->sha256), "%s", sha256);
	if (!sha256[0])
		tip_warn("digest", "no digest of %s (pid %u): %s",
			 p ? p->exe_path : "an executable", p ? p->key.tgid : 0, why);
	if (p && k->digests.wanted)
		tip_front_send_exec(k, p);
}

static uint64_t limit(const struct tip_keeper *k)
{
	return (uint64_t)k->config->digest_mib << 20;
}

int tip_digests_open(struct tip_keeper *k, struct tip_error *err)
{
	const struct tip_digest_ops ops = {on_done, k};

	k->digests.known = tip_map_new();
	k->digests.digester = tip_digester_new(k->base, limit(k), &ops);
	if (!k->digests.digester)
		return tip_error_set(err, "cannot start the thread that hashes executables: %s",
				     strerror(errno));
	return 0;
}

void tip_digests_close(struct tip_keeper *k)
{
	tip_digester_free(k->digests.digester);
	tip_map_free(k->digests.known, free);
	k->digests = (struct tip_keeper_digests){0};
}

void tip_digests_entries(struct tip_keeper *k)
{
	k->digests.wanted = false;
	for (size_t i = 0; i < k->entries.count && !k->digests.wanted; i++)
		k->digests.wanted = tip_entry_wants_digest(&k->entries.list[i]);
}

uint64_t tip_digests_limit(const struct tip_keeper *k)
{
	return k->digests.wanted || k->digests.by_rules ? limit(k) : 0;
}

void tip_digests_rules(struct tip_keeper *k)
{
	bool by_rules = tip_rules_use_field(k->rules.active, "proc.exe.sha256");

	if (by_rules == k->digests.by_rules)
		return;
	k->digests.by_rules = by_rules;
	if (k->sensor &&
	    tip_sensor_entries_changed(k->sensor, !k->digests.wanted, tip_digests_limit(k)))
		tip_warn("digest", "cannot tell the kernel that rules ask for digests");
}

void tip_digests_gone(struct tip_keeper *k, uint64_t exec_id)
{
	free(tip_map_delu(k->digests.known, exec_id));
}

/*
 * Is this open file what the kernel saw at the exec? A process in a user namespace of its own can
 * have /proc/PID/exe say something else (PR_SET_MM_EXE_FILE). Overlays give their files' device
 * and inode number in two ways; there the times, to the nanosecond, have to do.
 */
static bool is_the_executed(int fd, const struct tip_process *p)
{
	struct stat st;
	struct statfs fs;

	if (fstat(fd, &st) || fstatfs(fd, &fs) || !p->exe_ctime_ns)
		return false;
	if ((uint64_t)st.st_ctim.tv_sec * 1000000000 + (uint64_t)st.st_ctim.tv_nsec !=
		    p->exe_ctime_ns ||
	    (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec !=
		    p->exe_mtime_ns)
		return false;
	return st.st_ino == p->exe_ino || fs.f_type == OVERLAYFS_SUPER_MAGIC;
}

/* Opens the executable, or says why not. */
static int open_executable(const struct tip_process *p, const char **why)
{
	char path[32];
	int fd;

	if (p->flags & TIP_PROC_EXE_MEMFD) {
		*why = "it lies in memory only";
		return -1;
	}
	if (!(p->flags & TIP_PROC_EXE_INIT_MNT)) {
		*why = "it was mounted in a user namespace";
		return -1;
	}
	snprintf(path, sizeof(path), "/proc/%u/exe", p->key.tgid);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		*why = strerror(errno);
		return -1;
	}
	if (is_the_executed(fd, p))
		return fd;
	*why = "it is not, or no longer, what was executed";
	close(fd);
	return -1;
}

/* The kernel's word, in hexadecimal. */
static bool ask_kernel(struct tip_keeper *k, uint64_t exec_id, char sha256[TIP_DIGEST_TEXT])
{
	uint8_t raw[TIP_SHA256];

	if (tip_sensor_digest(k->sensor, exec_id, raw) < 0)
		return false;
	for (size_t i = 0; i < sizeof(raw); i++)
		snprintf(sha256 + 2 * i, 3, "%02x", raw[i]);
	k->digests.by_kernel++;
	return true;
}

/* As tip_digests_of(), whoever asks: "" if it has none, NULL while it is hashed. */
static const char *find_digest(struct tip_keeper *k, const struct tip_process *p)
{
	struct known *known;
	const char *why = "";
	int fd;

	known = tip_map_getu(k->digests.known, p->exec_id);
	if (known)
		return known->answered ? known->sha256 : NULL;
	known = tip_alloc(sizeof(*known));
	tip_map_putu(k->digests.known, p->exec_id, known);
	if (ask_kernel(k, p->exec_id, known->sha256)) {
		known->answered = true;
		return known->sha256;
	}
	fd = open_executable(p, &why);
	if (fd < 0) {
		known->answered = true;
		tip_debug("digest", "no digest of %s (pid %u): %s", p->exe_path, p->key.tgid, why);
		return known->sha256;
	}
	known->answered = tip_digester_ask(k->digests.digester, fd, p->exec_id, known->sha256);
	close(fd);
	return known->answered ? known->sha256 : NULL;
}

const char *tip_digests_of(struct tip_keeper *k, const struct tip_process *p)
{
	return k->digests.wanted ? find_digest(k, p) : "";
}

const char *tip_digests_for_rule(struct tip_keeper *k, const struct tip_process *p)
{
	const char *sha256;

	/* of an exec that is over nobody would forget the answer */
	if (p->exit_time_ns)
		return NULL;
	sha256 = find_digest(k, p);
	return sha256 && *sha256 ? sha256 : NULL;
}

json_t *tip_digests_tier(const struct tip_keeper *k)
{
	const bool kernel = tip_sensor_hashes(k->sensor);
	const char *why = k->config->digest == TIP_DIGEST_USER ? "digest: user in the configuration"
							       : k->caps[TIP_CAP_IMA].detail;
	char detail[256];

	if (!k->digests.wanted && !k->digests.by_rules)
		snprintf(detail, sizeof(detail),
			 "no entry selects by unix:sha256: nothing is hashed");
	else if (kernel)
		snprintf(detail, sizeof(detail),
			 "hashed by the kernel during the exec; by the daemon what was executed "
			 "before");
	else
		snprintf(detail, sizeof(detail),
			 "read once by the daemon, off the event thread; IMA: %s", why);
	return json_pack("{s:s, s:s, s:s}", "concern", "executable digest", "tier",
			 kernel ? "ima" : "sha256", "detail", detail);
}

json_t *tip_digests_counts(struct tip_keeper *k)
{
	struct tip_digest_stats s;

	tip_digester_stats(k->digests.digester, &s);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "kernel",
			 (json_int_t)k->digests.by_kernel, "read", (json_int_t)s.hashed,
			 "remembered", (json_int_t)s.remembered, "refused", (json_int_t)s.refused,
			 "bytes_read", (json_int_t)s.bytes, "waiting", (json_int_t)s.waiting);
}
