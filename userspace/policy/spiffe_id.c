/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/spiffe_id.h"

#include <string.h>

#define SCHEME     "spiffe://"
#define SCHEME_LEN (sizeof(SCHEME) - 1)
#define ID_MAX     2048
#define DOMAIN_MAX 255

static bool is_lower_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_domain_char(char c)
{
	return is_lower_or_digit(c) || c == '.' || c == '-' || c == '_';
}

static bool is_path_char(char c)
{
	return is_domain_char(c) || (c >= 'A' && c <= 'Z');
}

static int bad_char(struct tip_error *err, const char *what, char c, const char *allowed)
{
	unsigned char u = (unsigned char)c;

	if (u > ' ' && u < 0x7f)
		return tip_error_set(err, "'%c' in the %s: allowed are %s", c, what, allowed);
	return tip_error_set(err, "byte 0x%02x in the %s: allowed are %s", u, what, allowed);
}

static int check_domain(const char *name, size_t len, struct tip_error *err)
{
	if (!len)
		return tip_error_set(err, "the trust domain is empty");
	if (len > DOMAIN_MAX)
		return tip_error_set(err, "the trust domain is longer than %d bytes", DOMAIN_MAX);
	for (size_t i = 0; i < len; i++)
		if (!is_domain_char(name[i]))
			return bad_char(err, "trust domain", name[i],
					"lower-case letters, digits, '.', '-' and '_'");
	return 0;
}

static int check_segment(const char *s, size_t len, struct tip_error *err)
{
	if (!len)
		return tip_error_set(err, "empty path segment: no \"//\", and no '/' at the end");
	if ((len == 1 && s[0] == '.') || (len == 2 && s[0] == '.' && s[1] == '.'))
		return tip_error_set(err, "the path segments \".\" and \"..\" are not allowed");
	for (size_t i = 0; i < len; i++)
		if (!is_path_char(s[i]))
			return bad_char(err, "path", s[i], "letters, digits, '.', '-' and '_'");
	return 0;
}

int tip_trust_domain_check(const char *name, struct tip_error *err)
{
	if (!strncmp(name, SCHEME, SCHEME_LEN))
		return tip_error_set(err, "a trust domain is a bare name, without " SCHEME);
	return check_domain(name, strlen(name), err);
}

int tip_spiffe_id_check(const char *id, bool need_path, struct tip_error *err)
{
	const char *domain, *path;

	if (strnlen(id, ID_MAX + 1) > ID_MAX)
		return tip_error_set(err, "a SPIFFE ID has at most %d bytes", ID_MAX);
	if (strncmp(id, SCHEME, SCHEME_LEN))
		return tip_error_set(err, "a SPIFFE ID starts with " SCHEME);
	domain = id + SCHEME_LEN;
	path = strchrnul(domain, '/');
	if (check_domain(domain, (size_t)(path - domain), err) < 0)
		return -1;
	if (!*path && need_path)
		return tip_error_set(err, "a path is missing after the trust domain");
	while (*path) {
		const char *segment = path + 1;

		path = strchrnul(segment, '/');
		if (check_segment(segment, (size_t)(path - segment), err) < 0)
			return -1;
	}
	return 0;
}

bool tip_spiffe_id_in(const char *id, const char *trust_domain)
{
	size_t len;
	const char *domain = tip_spiffe_id_domain(id, &len);

	return strlen(trust_domain) == len && !memcmp(domain, trust_domain, len);
}

const char *tip_spiffe_id_domain(const char *id, size_t *len)
{
	const char *domain = id + SCHEME_LEN;

	*len = strcspn(domain, "/");
	return domain;
}

const char *tip_spiffe_id_path(const char *id)
{
	return strchrnul(id + SCHEME_LEN, '/');
}
