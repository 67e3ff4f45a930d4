/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/entry.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

/* The longest selector: a path of 4095 bytes after "cgroup:path:". */
#define SELECTOR_TEXT_MAX 4128

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void tip_entry_id(const struct tip_entry *e, char out[33])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char digest[EVP_MAX_MD_SIZE];
	char **texts = tip_calloc(e->nselectors + 1, sizeof(*texts));
	char text[SELECTOR_TEXT_MAX];
	struct tip_buf b = {0};

	for (size_t i = 0; i < e->nselectors; i++)
		texts[i] = tip_strdup(tip_selector_str(&e->selectors[i], text, sizeof(text)));
	qsort(texts, e->nselectors, sizeof(*texts), by_text);
	/* Neither IDs nor selectors hold control characters, so the lines cannot run together. */
	tip_buf_addf(&b, "%s\n", e->spiffe_id);
	for (size_t i = 0; i < e->nselectors; i++) {
		tip_buf_addf(&b, "%s\n", texts[i]);
		free(texts[i]);
	}
	free(texts);
	/* openssl.cnf has no say in what an id is. */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	if (EVP_Digest(b.data, b.len, digest, NULL, EVP_sha256(), NULL) != 1)
		abort(); /* SHA-256 in memory fails only where libcrypto is broken */
	tip_buf_free(&b);
	for (size_t i = 0; i < 16; i++) {
		out[2 * i] = hex[digest[i] >> 4];
		out[2 * i + 1] = hex[digest[i] & 15];
	}
	out[32] = '\0';
}

bool tip_entry_wants_digest(const struct tip_entry *e)
{
	for (size_t i = 0; i < e->nselectors; i++)
		if (e->selectors[i].kind == TIP_SEL_UNIX_SHA256)
			return true;
	return false;
}

int tip_entry_matches(const struct tip_entry *e, const struct tip_attested *a)
{
	for (size_t i = 0; i < e->nselectors; i++)
		if (!tip_selector_matches(&e->selectors[i], a))
			return 0;
	return e->nselectors > 0;
}

/* Decodes one character of UTF-8; broken input is U+FFFD, a byte at a time. */
static uint32_t next_char(const unsigned char **p)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
		int more;
	} forms[] = {
		{0x80, 0x00, 0, 0},
		{0xe0, 0xc0, 0x80, 1},
		{0xf0, 0xe0, 0x800, 2},
		{0xf8, 0xf0, 0x10000, 3},
	};
	const unsigned char *s = *p;

	*p = s + 1;
	for (size_t f = 0; f < TIP_ARRAY_SIZE(forms); f++) {
		uint32_t c = s[0] & (unsigned char)~forms[f].mask;
		int i;

		if ((s[0] & forms[f].mask) != forms[f].lead)
			continue;
		for (i = 1; i <= forms[f].more && (s[i] & 0xc0) == 0x80; i++)
			c = c << 6 | (s[i] & 0x3f);
		if (i <= forms[f].more || c < forms[f].least || c > 0x10ffff ||
		    (c >= 0xd800 && c < 0xe000))
			break;
		*p = s + i;
		return c;
	}
	return 0xfffd;
}

/*
 * A double-quoted YAML scalar in ASCII. JSON's quoting would not do: YAML folds U+2028 and its like
 * as line breaks and refuses other characters that JSON lets through.
 */
static void write_quoted(struct tip_buf *out, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	tip_buf_addc(out, '"');
	while (*p) {
		uint32_t c = next_char(&p);

		if (c == '"' || c == '\\')
			tip_buf_addf(out, "\\%c", (char)c);
		else if (c >= ' ' && c < 0x7f)
			tip_buf_addc(out, (char)c);
		else
			tip_buf_addf(out, "\\U%08x", c);
	}
	tip_buf_addc(out, '"');
}

void tip_entry_write(const struct tip_entry *e, struct tip_buf *out)
{
	char text[SELECTOR_TEXT_MAX];

	tip_buf_adds(out, "- spiffe_id: ");
	write_quoted(out, e->spiffe_id);
	tip_buf_adds(out, "\n  selectors:\n");
	for (size_t i = 0; i < e->nselectors; i++) {
		tip_buf_adds(out, "    - ");
		write_quoted(out, tip_selector_str(&e->selectors[i], text, sizeof(text)));
		tip_buf_addc(out, '\n');
	}
	if (e->x509_ttl)
		tip_buf_addf(out, "  x509_ttl: %u\n", e->x509_ttl);
	if (e->jwt_ttl)
		tip_buf_addf(out, "  jwt_ttl: %u\n", e->jwt_ttl);
	if (e->hint[0]) {
		tip_buf_adds(out, "  hint: ");
		write_quoted(out, e->hint);
		tip_buf_addc(out, '\n');
	}
	if (e->ndns_names)
		tip_buf_adds(out, "  dns_names:\n");
	for (size_t i = 0; i < e->ndns_names; i++) {
		tip_buf_adds(out, "    - ");
		write_quoted(out, e->dns_names[i]);
		tip_buf_addc(out, '\n');
	}
}
