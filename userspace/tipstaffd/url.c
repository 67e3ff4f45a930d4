/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

static int refuse(const char **why, const char *text)
{
	*why = text;
	return -1;
}

/* "host", "1.2.3.4" or "[::1]": its length, 0 if it is none. */
static size_t take_host(const char *text, struct tip_url *out)
{
	unsigned char address[sizeof(struct in6_addr)];
	const bool bracket = text[0] == '[';
	const size_t n = bracket ? strcspn(text + 1, "]") : strspn(text, NAME_BYTES);

	if (!n || n >= sizeof(out->host) || text[0] == '-')
		return 0;
	snprintf(out->host, sizeof(out->host), "%.*s", (int)n, text + bracket);
	if (!bracket)
		return n;
	return text[1 + n] == ']' && inet_pton(AF_INET6, out->host, address) == 1 ? n + 2 : 0;
}

/* ":8080": its length, 0 if it is none. */
static size_t take_port(const char *text, uint16_t *port)
{
	const size_t n = strspn(text + 1, "0123456789");
	const long v = n && n <= 5 ? strtol(text + 1, NULL, 10) : 0;

	*port = (uint16_t)v;
	return v > 0 && v <= UINT16_MAX ? n + 1 : 0;
}

int tip_url_parse(const char *text, struct tip_url *out, const char **why)
{
	const char *authority, *at;
	size_t n;

	*out = (struct tip_url){0};
	if (strncmp(text, "https://", 8) == 0)
		out->tls = true;
	else if (strncmp(text, "http://", 7) != 0)
		return refuse(why, "must begin with http:// or https://");
	out->port = out->tls ? 443 : 80;
	authority = at = text + (out->tls ? 8 : 7);
	n = strcspn(at, "/?#");
	if (memchr(at, '@', n))
		return refuse(why,
			      "must not hold a user or a password: it would be in the "
			      "configuration for all to read; the server can know the daemon by "
			      "its SVID (alerts.http.svid)");
	n = take_host(at, out);
	if (!n)
		return refuse(why, "the host must be a name, an IPv4 address, or an IPv6 address "
				   "in brackets");
	at += n;
	if (*at == ':') {
		n = take_port(at, &out->port);
		if (!n)
			return refuse(why, "the port must be a number from 1 to 65535");
		at += n;
	}
	if (*at && *at != '/' && *at != '?')
		return refuse(why, "there is something behind the host that is neither a port nor "
				   "a path");
	snprintf(out->authority, sizeof(out->authority), "%.*s", (int)(at - authority), authority);
	for (const char *c = at; *c; c++)
		if (*c <= ' ' || *c > '~' || *c == '#')
			return refuse(why, "the path must be of printable ASCII without blanks and "
					   "#; anything else as %20");
	if (strlen(at) + 2 > sizeof(out->target))
		return refuse(why, "the path is longer than 2000 bytes");
	snprintf(out->target, sizeof(out->target), "%s%s", *at == '/' ? "" : "/", at);
	return 0;
}
