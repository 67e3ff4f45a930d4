/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void tip_buf_free(struct tip_buf *b)
{
	free(b->data);
	*b = (struct tip_buf){0};
}

void tip_buf_reset(struct tip_buf *b)
{
	b->len = 0;
	if (b->data)
		b->data[0] = '\0';
}

void tip_buf_reserve(struct tip_buf *b, size_t more)
{
	size_t need, cap = b->cap ? b->cap : 64;

	if (__builtin_add_overflow(b->len, more, &need) || need > SIZE_MAX / 2 - 1)
		abort();
	need++;
	if (need <= b->cap)
		return;
	while (cap < need)
		cap *= 2;
	b->data = tip_realloc(b->data, cap, 1);
	b->cap = cap;
	b->data[b->len] = '\0';
}

void tip_buf_add(struct tip_buf *b, const void *data, size_t len)
{
	tip_buf_reserve(b, len);
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void tip_buf_addc(struct tip_buf *b, char c)
{
	tip_buf_add(b, &c, 1);
}

void tip_buf_adds(struct tip_buf *b, const char *s)
{
	tip_buf_add(b, s, strlen(s));
}

void tip_buf_addv(struct tip_buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		abort();
	tip_buf_reserve(b, (size_t)n);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
}

void tip_buf_addf(struct tip_buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tip_buf_addv(b, fmt, ap);
	va_end(ap);
}

void tip_buf_consume(struct tip_buf *b, size_t len)
{
	if (len >= b->len) {
		tip_buf_reset(b);
		return;
	}
	memmove(b->data, b->data + len, b->len - len);
	b->len -= len;
	b->data[b->len] = '\0';
}

/* Length of the well-formed UTF-8 sequence at `s`, 0 if it is not one (RFC 3629: no overlongs, no
 * surrogates). */
static size_t utf8_len(const unsigned char *s, size_t left)
{
	unsigned char c = s[0];
	size_t n;

	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) ||
	    (c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

void tip_buf_add_json_string(struct tip_buf *b, const char *str, size_t len)
{
	const unsigned char *s = (const unsigned char *)str;
	size_t i = 0, run = 0, n;

	tip_buf_reserve(b, len + 2);
	tip_buf_addc(b, '"');
	while (i < len) {
		unsigned char c = s[i];

		n = utf8_len(s + i, len - i);
		if (n && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
			i += n;
			run += n;
			continue;
		}
		tip_buf_add(b, str + i - run, run);
		run = 0;
		i++;
		if (!n)
			tip_buf_adds(b, "\xef\xbf\xbd");
		else if (c == '"' || c == '\\')
			tip_buf_add(b, (char[]){'\\', (char)c}, 2);
		else if (c == '\n')
			tip_buf_adds(b, "\\n");
		else if (c == '\t')
			tip_buf_adds(b, "\\t");
		else if (c == '\r')
			tip_buf_adds(b, "\\r");
		else if (c == '\b')
			tip_buf_adds(b, "\\b");
		else if (c == '\f')
			tip_buf_adds(b, "\\f");
		else
			tip_buf_addf(b, "\\u%04x", c);
	}
	tip_buf_add(b, str + i - run, run);
	tip_buf_addc(b, '"');
}
