/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_POLICY_SELECTOR_H
#define TIP_POLICY_SELECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"

enum tip_selector_kind {
	TIP_SEL_UNIX_UID,    /* unix:uid:N   effective uid, initial user namespace */
	TIP_SEL_UNIX_GID,    /* unix:gid:N */
	TIP_SEL_UNIX_PATH,   /* unix:path:P  absolute, normalised */
	TIP_SEL_UNIX_SHA256, /* unix:sha256:H  of the executable's content, 64 hex digits */
	TIP_SEL_CGROUP_PATH, /* cgroup:path:P  below the cgroup2 mount: the cgroup itself or any
				below it */
};

struct tip_selector {
	enum tip_selector_kind kind;
	uint32_t number;  /* uid, gid */
	const char *path; /* path kinds; the digest in lower case */
};

/*
 * What is known of a process when selectors are held against it. `path` is "" when the path is not
 * to be trusted: then no path selector matches.
 */
struct tip_attested {
	uint32_t uid, gid;
	const char *path;
	const char *cgroup;
	const char *sha256; /* NULL or "": not known */
};

/* Parses "unix:uid:1000". Strings go to the arena. 0, or -1 with `err` (unknown kinds are named,
 * with those that exist). */
int tip_selector_parse(struct tip_arena *arena, const char *text, struct tip_selector *out,
		       struct tip_error *err);
bool tip_selector_matches(const struct tip_selector *s, const struct tip_attested *a);
/* "unix:uid:1000" into `buf`. Returns `buf`. */
const char *tip_selector_str(const struct tip_selector *s, char *buf, unsigned long size);

#endif
