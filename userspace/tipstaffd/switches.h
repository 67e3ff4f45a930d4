/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_SWITCHES_H
#define TIP_TIPSTAFFD_SWITCHES_H

#include "base/yaml.h"
#include "detect/detect.h"

/*
 * Rules that are turned on and off by name or tag, whatever their files say: those of the
 * configuration, then those of the CLI in the order in which they came.
 */
#define TIP_SWITCHES_MAX 256

struct tip_switch {
	struct tip_rule_switch is; /* the pattern or tag is owned */
	bool ephemeral;
};

struct tip_switches {
	struct tip_switch *list;
	size_t count;
};

/*
 * "[{disable: {rule: GLOB}}, {enable: {tag: T}}]" of a YAML tree, whose texts it points to; `*out`
 * lives in `arena`. 0, or -1 with `err`, whose file is `file`.
 */
int tip_switches_read(struct tip_arena *arena, const char *file, const struct tip_yaml *n,
		      const struct tip_rule_switch **out, size_t *count, struct tip_error *err);

/* A copy of `from` with one more at the end, in place of the one for the same pattern or tag. */
int tip_switches_with(const struct tip_switches *from, const struct tip_rule_switch *is,
		      bool ephemeral, struct tip_switches *out, struct tip_error *err);
void tip_switches_free(struct tip_switches *s);

/* Those that are not ephemeral, as a file that tip_file_commit() puts in its place. 0, or -1 with
 * `err`. */
int tip_switches_stage(const struct tip_switches *s, const char *path, struct tip_error *err);
/* What such a file has; none if it is not there. 0, or -1 with `err`. */
int tip_switches_restore(struct tip_switches *s, const char *path, struct tip_error *err);

#endif
