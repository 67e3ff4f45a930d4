/* SPDX-License-Identifier: Apache-2.0 */
#include "telemetry/gzip.h"

#include <zlib.h>

/* An alert is a kilobyte or two: a window of 4 KB takes 50 KB while it works instead of 256. */
#define WINDOW_BITS 12
#define GZIP        16 /* added to them: with the head and the sum of gzip */
#define MEM_LEVEL   5

int tip_gzip(const void *data, size_t len, struct tip_buf *out)
{
	z_stream z = {.next_in = (unsigned char *)data, .avail_in = (unsigned int)len};
	size_t room;
	int ret;

	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS + GZIP, MEM_LEVEL,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return -1;
	room = deflateBound(&z, len);
	tip_buf_reserve(out, room);
	z.next_out = (unsigned char *)out->data + out->len;
	z.avail_out = (unsigned int)room;
	ret = deflate(&z, Z_FINISH);
	if (ret == Z_STREAM_END) {
		out->len += z.total_out;
		out->data[out->len] = '\0';
	}
	deflateEnd(&z);
	return ret == Z_STREAM_END ? 0 : -1;
}
