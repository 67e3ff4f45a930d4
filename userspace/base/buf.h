/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_BASE_BUF_H
#define TIP_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

/*
 * A growing byte buffer, always followed by a NUL that `len` does not count.
 * Zero-initialise it, free it with tip_buf_free(). tip_buf_reset() keeps the memory.
 */
struct tip_buf {
	char *data;
	size_t len;
	size_t cap;
};

void tip_buf_free(struct tip_buf *b);
void tip_buf_reset(struct tip_buf *b);
void tip_buf_reserve(struct tip_buf *b, size_t more);
void tip_buf_add(struct tip_buf *b, const void *data, size_t len);
void tip_buf_addc(struct tip_buf *b, char c);
void tip_buf_adds(struct tip_buf *b, const char *s);
void tip_buf_addf(struct tip_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void tip_buf_addv(struct tip_buf *b, const char *fmt, va_list ap);
/* Removes `len` bytes from the front. */
void tip_buf_consume(struct tip_buf *b, size_t len);

/*
 * Appends `len` bytes of `s` as a JSON string with quotes: control characters
 * escaped, invalid UTF-8 replaced by U+FFFD (RFC 8259; as Falco does).
 */
void tip_buf_add_json_string(struct tip_buf *b, const char *s, size_t len);

#endif
