/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/frame.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void tip_rpc_wipe_free(void *p, size_t len)
{
	if (!p)
		return;
	explicit_bzero(p, len);
	free(p);
}

static enum tip_grpc_read prefix_done(struct tip_grpc_reader *r)
{
	r->len = (size_t)r->prefix[1] << 24 | (size_t)r->prefix[2] << 16 |
		 (size_t)r->prefix[3] << 8 | r->prefix[4];
	if (r->prefix[0] == 1)
		return TIP_GRPC_READ_COMPRESSED;
	if (r->prefix[0])
		return TIP_GRPC_READ_BAD_FLAG;
	if (r->len > r->max)
		return TIP_GRPC_READ_TOO_LONG;
	/*
	 * The whole length at once: growing by realloc() would leave copies of a key behind. One
	 * more byte, so that an empty message has an address too.
	 */
	r->msg = tip_alloc(r->len + 1);
	r->got = 0;
	return TIP_GRPC_READ_MESSAGE;
}

enum tip_grpc_read tip_grpc_reader_feed(struct tip_grpc_reader *r, const uint8_t **data,
					size_t *len)
{
	enum tip_grpc_read res;
	size_t n;

	if (!r->msg) {
		n = TIP_GRPC_PREFIX - r->have;
		n = *len < n ? *len : n;
		if (n)
			memcpy(r->prefix + r->have, *data, n);
		r->have += n;
		*data += n;
		*len -= n;
		if (r->have < TIP_GRPC_PREFIX)
			return TIP_GRPC_READ_MORE;
		res = prefix_done(r);
		if (res != TIP_GRPC_READ_MESSAGE)
			return res;
	}
	n = r->len - r->got;
	n = *len < n ? *len : n;
	if (n)
		memcpy(r->msg + r->got, *data, n);
	r->got += n;
	*data += n;
	*len -= n;
	return r->got == r->len ? TIP_GRPC_READ_MESSAGE : TIP_GRPC_READ_MORE;
}

void tip_grpc_reader_next(struct tip_grpc_reader *r)
{
	tip_rpc_wipe_free(r->msg, r->got);
	r->msg = NULL;
	r->have = r->len = r->got = 0;
}

bool tip_grpc_reader_clean(const struct tip_grpc_reader *r)
{
	return !r->have;
}

void tip_grpc_prefix(uint8_t out[TIP_GRPC_PREFIX], size_t len)
{
	out[0] = 0;
	out[1] = (uint8_t)(len >> 24);
	out[2] = (uint8_t)(len >> 16);
	out[3] = (uint8_t)(len >> 8);
	out[4] = (uint8_t)len;
}

int tip_grpc_timeout_parse(const char *s, uint64_t *ns)
{
	static const struct {
		char unit;
		uint64_t ns;
	} units[] = {
		{'H', 3600000000000ULL}, {'M', 60000000000ULL}, {'S', 1000000000ULL},
		{'m', 1000000ULL},       {'u', 1000ULL},        {'n', 1ULL},
	};
	uint64_t value = 0;
	int digits = 0;

	for (; *s >= '0' && *s <= '9' && digits < 8; s++, digits++)
		value = value * 10 + (uint64_t)(*s - '0');
	if (!digits || !s[0] || s[1])
		return -1;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(units); i++) {
		if (units[i].unit != *s)
			continue;
		/* 99999999 hours do not fit in 64 bits of ns: 146 years are enough. */
		*ns = value > (1ULL << 62) / units[i].ns ? 1ULL << 62 : value * units[i].ns;
		return 0;
	}
	return -1;
}

size_t tip_grpc_message_encode(const char *text, char *out)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;

	for (size_t i = 0; text[i] && i < TIP_GRPC_MESSAGE; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= ' ' && c <= '~' && c != '%') {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '%';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	out[n] = '\0';
	return n;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

void tip_grpc_message_decode(const char *s, size_t len, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < size; i++) {
		int hi = -1, lo = -1;

		if (s[i] == '%' && len - i > 2) {
			hi = hex_value(s[i + 1]);
			lo = hex_value(s[i + 2]);
		}
		if (hi < 0 || lo < 0) {
			out[n++] = s[i];
			continue;
		}
		out[n++] = (char)(hi << 4 | lo);
		i += 2;
	}
	out[n] = '\0';
}
