/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/http1.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { STATUS, HEADER, LENGTH, TO_END, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER, DONE };

void tip_http_reader_free(struct tip_http_reader *r)
{
	tip_buf_free(&r->body);
	tip_buf_free(&r->line);
}

/* A number of that base, all of `s` up to blanks or `stop`. -1: none, or beyond any limit. */
static long number(const char *s, int base, char stop)
{
	char *end;
	long v;

	if (!isxdigit((unsigned char)*s))
		return -1;
	errno = 0;
	v = strtol(s, &end, base);
	end += strspn(end, " \t");
	return errno || v < 0 || (*end && *end != stop) ? -1 : v;
}

/* The value of a header, NULL: it is another. */
static const char *header(const char *line, const char *name)
{
	size_t n = strlen(name);

	if (strncasecmp(line, name, n) != 0 || line[n] != ':')
		return NULL;
	return line + n + 1 + strspn(line + n + 1, " \t");
}

static enum tip_http_state on_status(struct tip_http_reader *r, const char *line)
{
	/* "HTTP/1.1 200 OK" */
	if (strncmp(line, "HTTP/1.", 7) != 0 || !isdigit((unsigned char)line[7]) || line[8] != ' ')
		return TIP_HTTP_BAD;
	for (int i = 9; i < 12; i++) {
		if (!isdigit((unsigned char)line[i]))
			return TIP_HTTP_BAD;
		r->status = r->status * 10 + (line[i] - '0');
	}
	if ((line[12] && line[12] != ' ') || r->status < 100)
		return TIP_HTTP_BAD;
	r->last = line[7] == '0';
	r->state = HEADER;
	return TIP_HTTP_MORE;
}

/* "a, b": is it one of these? */
static bool has_word(const char *list, const char *word)
{
	const size_t len = strlen(word);

	while (*list) {
		list += strspn(list, " \t,");
		if (strncasecmp(list, word, len) == 0 && strspn(list + len, " \t,"))
			return true;
		if (strcasecmp(list, word) == 0)
			return true;
		list += strcspn(list, " \t,");
	}
	return false;
}

static enum tip_http_state begin_body(struct tip_http_reader *r)
{
	if (r->status < 200) { /* 100 Continue: the answer comes behind it */
		r->status = 0;
		r->chunked = r->has_length = r->last = false;
		r->retry_after = 0;
		r->state = STATUS;
		return TIP_HTTP_MORE;
	}
	if (r->chunked && r->has_length) /* a way to be read differently by two readers */
		return TIP_HTTP_BAD;
	r->headed = true;
	if (r->status == 204 || r->status == 304 || (r->has_length && !r->left)) {
		r->state = DONE;
		return TIP_HTTP_DONE;
	}
	r->state = r->chunked ? CHUNK_SIZE : r->has_length ? LENGTH : TO_END;
	r->last = r->last || r->state == TO_END;
	return r->left > r->body_max ? TIP_HTTP_TOO_LONG : TIP_HTTP_MORE;
}

static enum tip_http_state on_header(struct tip_http_reader *r, const char *line)
{
	const char *value;
	long n;

	if (!*line)
		return begin_body(r);
	value = header(line, "content-length");
	if (value) {
		n = number(value, 10, '\0');
		if (n < 0 || (r->has_length && (size_t)n != r->left))
			return TIP_HTTP_BAD;
		r->has_length = true;
		r->left = (size_t)n;
	}
	value = header(line, "transfer-encoding");
	if (value) {
		if (strcasecmp(value, "chunked") != 0 || r->chunked)
			return TIP_HTTP_BAD;
		r->chunked = true;
	}
	value = header(line, "connection");
	r->last = r->last || (value && has_word(value, "close"));
	value = header(line, "retry-after");
	n = value ? number(value, 10, '\0') : -1;
	if (n >= 0)
		r->retry_after = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
	/* None was asked for. */
	value = header(line, "content-encoding");
	return value && strcasecmp(value, "identity") != 0 ? TIP_HTTP_BAD : TIP_HTTP_MORE;
}

static enum tip_http_state on_chunk_size(struct tip_http_reader *r, const char *line)
{
	long n = number(line, 16, ';');

	if (n < 0)
		return TIP_HTTP_BAD;
	if ((size_t)n > r->body_max - r->body.len)
		return TIP_HTTP_TOO_LONG;
	r->left = (size_t)n;
	r->state = n ? CHUNK : TRAILER;
	return TIP_HTTP_MORE;
}

static enum tip_http_state on_line(struct tip_http_reader *r, const char *line)
{
	switch (r->state) {
	case STATUS: return on_status(r, line);
	case HEADER: return on_header(r, line);
	case CHUNK_SIZE: return on_chunk_size(r, line);
	case CHUNK_END: r->state = CHUNK_SIZE; return *line ? TIP_HTTP_BAD : TIP_HTTP_MORE;
	default: /* TRAILER */
		if (*line)
			return TIP_HTTP_MORE;
		r->state = DONE;
		return TIP_HTTP_DONE;
	}
}

/* Takes bytes up to the end of a line, which is handled. */
static enum tip_http_state feed_line(struct tip_http_reader *r, const char **data, size_t *len)
{
	const char *lf = memchr(*data, '\n', *len);
	size_t n = lf ? (size_t)(lf - *data) : *len;
	enum tip_http_state res = TIP_HTTP_MORE;

	r->head += n + 1;
	if (r->head > TIP_HTTP_HEAD_MAX)
		return TIP_HTTP_TOO_LONG;
	tip_buf_add(&r->line, *data, n);
	n += lf ? 1 : 0;
	*data += n;
	*len -= n;
	if (!lf)
		return TIP_HTTP_MORE;
	if (r->line.len && r->line.data[r->line.len - 1] == '\r')
		r->line.data[--r->line.len] = '\0';
	if (r->line.len && memchr(r->line.data, '\0', r->line.len))
		return TIP_HTTP_BAD;
	res = on_line(r, r->line.len ? r->line.data : "");
	tip_buf_reset(&r->line);
	return res;
}

static enum tip_http_state feed_body(struct tip_http_reader *r, const char **data, size_t *len)
{
	size_t n = *len;

	if (r->state != TO_END && n > r->left)
		n = r->left;
	if (n > r->body_max - r->body.len)
		return TIP_HTTP_TOO_LONG;
	tip_buf_add(&r->body, *data, n);
	*data += n;
	*len -= n;
	if (r->state == TO_END)
		return TIP_HTTP_MORE;
	r->left -= n;
	if (r->left)
		return TIP_HTTP_MORE;
	r->state = r->state == LENGTH ? DONE : CHUNK_END;
	return r->state == DONE ? TIP_HTTP_DONE : TIP_HTTP_MORE;
}

enum tip_http_state tip_http_feed(struct tip_http_reader *r, const void *data, size_t len)
{
	enum tip_http_state res = r->state == DONE ? TIP_HTTP_DONE : TIP_HTTP_MORE;
	const char *p = data;

	while (len && res == TIP_HTTP_MORE)
		res = r->state == LENGTH || r->state == TO_END || r->state == CHUNK
			      ? feed_body(r, &p, &len)
			      : feed_line(r, &p, &len);
	r->last = r->last || len;
	return res;
}

void tip_http_taken(struct tip_http_reader *r)
{
	if (r->body.len)
		r->head = 0;
	tip_buf_reset(&r->body);
}

enum tip_http_state tip_http_end(const struct tip_http_reader *r)
{
	return r->state == DONE || r->state == TO_END ? TIP_HTTP_DONE : TIP_HTTP_BAD;
}
