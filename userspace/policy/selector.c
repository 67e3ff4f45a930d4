/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/selector.h"

#include <stdio.h>
#include <string.h>

#define PATH_BYTES_MAX 4095

static const struct kind {
	const char *prefix;
	enum { NUMBER, PATH, DIGEST } value;
} kinds[] = {
	[TIP_SEL_UNIX_UID] = {"unix:uid:", NUMBER},
	[TIP_SEL_UNIX_GID] = {"unix:gid:", NUMBER},
	[TIP_SEL_UNIX_PATH] = {"unix:path:", PATH},
	[TIP_SEL_UNIX_SHA256] = {"unix:sha256:", DIGEST},
	[TIP_SEL_CGROUP_PATH] = {"cgroup:path:", PATH},
};

#define SHA256_DIGITS 64

static int parse_number(const char *text, uint32_t *out, struct tip_error *err)
{
	uint64_t n = 0;

	if (!*text || strspn(text, "0123456789") != strlen(text))
		return tip_error_set(err,
				     "\"%.40s\" is not a number: uid and gid are given in "
				     "digits, names are not looked up",
				     text);
	if (text[0] == '0' && text[1])
		return tip_error_set(err, "\"%.40s\": no zeros in front", text);
	/* The largest value means "no change" to the kernel and belongs to nobody. */
	for (const char *p = text; *p; p++) {
		n = n * 10 + (uint64_t)(*p - '0');
		if (n >= UINT32_MAX)
			return tip_error_set(err, "%.40s is too large for a uid or gid", text);
	}
	*out = (uint32_t)n;
	return 0;
}

/* Paths are compared byte by byte, so only the one normal form of each can be written. */
static int check_path(const char *path, bool root_allowed, struct tip_error *err)
{
	if (path[0] != '/')
		return tip_error_set(err, "the path has to start with '/'");
	if (strlen(path) > PATH_BYTES_MAX)
		return tip_error_set(err, "the path is longer than %d bytes", PATH_BYTES_MAX);
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return tip_error_set(err, "control character 0x%02x in the path",
					     (unsigned char)*p);
	if (!path[1] && root_allowed)
		return 0;
	while (*path) {
		const char *segment = path + 1;
		size_t len = strcspn(segment, "/");

		if (!len)
			return tip_error_set(err, "no \"//\" in the path, and no '/' at its end");
		if ((len == 1 && segment[0] == '.') || (len == 2 && !memcmp(segment, "..", 2)))
			return tip_error_set(err, "no \".\" and \"..\" in the path");
		path = segment + len;
	}
	return 0;
}

/* One spelling of each digest, so that two entries with the same selectors are seen to be the same.
 */
static int check_digest(const char *text, struct tip_error *err)
{
	if (strlen(text) != SHA256_DIGITS || strspn(text, "0123456789abcdef") != SHA256_DIGITS)
		return tip_error_set(
			err,
			"\"%.80s\" is no SHA-256: 64 hexadecimal digits in lower case, "
			"as sha256sum prints them",
			text);
	return 0;
}

int tip_selector_parse(struct tip_arena *arena, const char *text, struct tip_selector *out,
		       struct tip_error *err)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(kinds); i++) {
		size_t len = strlen(kinds[i].prefix);
		const char *value = text + len;

		if (strncmp(text, kinds[i].prefix, len))
			continue;
		*out = (struct tip_selector){.kind = (enum tip_selector_kind)i};
		if (kinds[i].value == NUMBER)
			return parse_number(value, &out->number, err);
		if (kinds[i].value == DIGEST ? check_digest(value, err)
					     : check_path(value, i == TIP_SEL_CGROUP_PATH, err))
			return -1;
		out->path = tip_arena_strdup(arena, value);
		return 0;
	}
	return tip_error_set(err,
			     "unknown selector \"%.80s\": there are unix:uid:N, unix:gid:N, "
			     "unix:path:/P, unix:sha256:DIGEST and cgroup:path:/P",
			     text);
}

/* `cgroup` is `path` or lies below it. */
static bool cgroup_within(const char *cgroup, const char *path)
{
	size_t len = strlen(path);

	if (!path[1])
		return cgroup[0] == '/';
	return !strncmp(cgroup, path, len) && (!cgroup[len] || cgroup[len] == '/');
}

bool tip_selector_matches(const struct tip_selector *s, const struct tip_attested *a)
{
	switch (s->kind) {
	case TIP_SEL_UNIX_UID: return a->uid == s->number;
	case TIP_SEL_UNIX_GID: return a->gid == s->number;
	case TIP_SEL_UNIX_PATH: return a->path[0] && !strcmp(a->path, s->path);
	case TIP_SEL_UNIX_SHA256: return a->sha256 && !strcmp(a->sha256, s->path);
	case TIP_SEL_CGROUP_PATH: return cgroup_within(a->cgroup, s->path);
	}
	return false;
}

const char *tip_selector_str(const struct tip_selector *s, char *buf, unsigned long size)
{
	if (kinds[s->kind].value != NUMBER)
		snprintf(buf, size, "%s%s", kinds[s->kind].prefix, s->path);
	else
		snprintf(buf, size, "%s%u", kinds[s->kind].prefix, s->number);
	return buf;
}
