/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_URL_H
#define TIP_TIPSTAFFD_URL_H

#include <stdbool.h>
#include <stdint.h>

/* Where a server is: "https://host:port/path?query" (RFC 3986, without what is of no use here). */
struct tip_url {
	bool tls;
	uint16_t port;
	char host[256];      /* a name, or an address without brackets */
	char authority[272]; /* as it stands in the URL: what Host says */
	char target[2048];   /* path and query, at least "/" */
};

/* 0; or -1 and `*why`, which holds nothing of the URL: there may be a secret in it. */
int tip_url_parse(const char *text, struct tip_url *out, const char **why);

#endif
