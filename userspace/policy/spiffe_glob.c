/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/spiffe_glob.h"

#include <string.h>

#include "base/mem.h"
#include "policy/spiffe_id.h"

#define SCHEME     "spiffe://"
#define SCHEME_LEN (sizeof(SCHEME) - 1)
#define ID_MAX     2048

/* Checks the stars of one path segment, and makes letters of them. */
static int check_segment(char *s, size_t len, bool last, struct tip_error *err)
{
	if (!memchr(s, '*', len))
		return 0;
	if (len > 2 || s[0] != '*' || s[len - 1] != '*')
		return tip_error_set(err,
				     "'*' stands for a whole path segment, not for a part of "
				     "one: \"%.60s\"",
				     s);
	if (len == 2 && !last)
		return tip_error_set(err, "\"**\" can only be the last path segment");
	memset(s, 'x', len);
	return 0;
}

int tip_spiffe_glob_check(const char *pattern, struct tip_error *err)
{
	char copy[ID_MAX + 2];
	size_t len = strnlen(pattern, ID_MAX + 1);
	char *s;

	/* What is left once the stars are gone has to be an ID: one place knows what an ID is. */
	memcpy(copy, pattern, len);
	copy[len] = '\0';
	if (len > ID_MAX || strncmp(copy, SCHEME, SCHEME_LEN) != 0)
		return tip_spiffe_id_check(copy, true, err);
	s = strchrnul(copy + SCHEME_LEN, '/');
	if (memchr(copy, '*', (size_t)(s - copy)))
		return tip_error_set(err, "a trust domain is never a pattern: name it");
	while (*s) {
		size_t n = strcspn(++s, "/");

		if (check_segment(s, n, !s[n], err) < 0)
			return -1;
		s += n;
	}
	return tip_spiffe_id_check(copy, true, err);
}

bool tip_spiffe_glob_match(const char *pattern, const char *id)
{
	const char *p = tip_spiffe_id_path(pattern), *s = tip_spiffe_id_path(id);

	if (p - pattern != s - id || memcmp(pattern, id, (size_t)(p - pattern)) != 0)
		return false;
	while (*p && *s) {
		size_t plen = strcspn(++p, "/"), slen = strcspn(++s, "/");

		if (plen == 2 && p[0] == '*' && p[1] == '*')
			return true;
		if (plen == 1 && p[0] == '*')
			; /* any one segment */
		else if (plen != slen || memcmp(p, s, plen) != 0)
			return false;
		p += plen;
		s += slen;
	}
	return !*p && !*s;
}
