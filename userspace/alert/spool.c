/* SPDX-License-Identifier: Apache-2.0 */
#include "alert/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#define SEGMENTS    8                /* a full spool has about so many */
#define READ_AHEAD  (64u << 10)      /* bytes that are read at once */
#define POSITION_NS TIP_NSEC_PER_SEC /* how often the position is written while lines are taken */

struct segment {
	uint64_t number;
	uint64_t bytes;
};

struct tip_spool {
	char *folder;
	uint64_t max, bytes;
	struct segment *segments; /* the oldest first */
	size_t count;
	uint64_t next_number;
	int out; /* the last segment, if it is of this process; -1: the next line begins one */

	int in;             /* the first segment, -1: not open */
	uint64_t offset;    /* in it, of the line that is next */
	struct tip_buf buf; /* what was read from there on */
	size_t used;        /* of the record of that line */
	uint64_t saved_ns;
	bool moved; /* since the position was written */

	uint64_t lines, damaged;
};

/* ---- records -----------------------------------------------------------------------------------
 */

static void put32(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> 8 * i);
}

static uint32_t get32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Over length, priority and text: a zero page is no record. */
static uint32_t checksum(const unsigned char *head, const char *text, size_t len)
{
	uLong sum = crc32(0, head, 4);

	sum = crc32(sum, head + 8, 1);
	return (uint32_t)crc32(sum, (const unsigned char *)text, (uInt)len);
}

void tip_spool_head(const struct tip_line *line, unsigned char head[TIP_SPOOL_HEAD])
{
	put32(head, (uint32_t)(line->len - 1));
	head[8] = line->priority;
	put32(head + 4, checksum(head, line->text, line->len - 1));
}

int64_t tip_spool_record(const unsigned char *data, size_t size, const char **text, size_t *len,
			 uint8_t *priority)
{
	uint32_t n;

	if (size < TIP_SPOOL_HEAD)
		return 0;
	n = get32(data);
	if (n == 0 || n > TIP_SPOOL_LINE_MAX)
		return -1;
	if (size - TIP_SPOOL_HEAD < n)
		return 0;
	*text = (const char *)data + TIP_SPOOL_HEAD;
	*len = n;
	*priority = data[8];
	if (checksum(data, *text, n) != get32(data + 4))
		return -1;
	return (int64_t)TIP_SPOOL_HEAD + n;
}

/* ---- files --------------------------------------------------------------------------------------
 */

static char *segment_path(const struct tip_spool *s, uint64_t number)
{
	return tip_sprintf("%s/%016" PRIx64 ".spool", s->folder, number);
}

static char *position_path(const struct tip_spool *s)
{
	return tip_sprintf("%s/position", s->folder);
}

static void save_position(struct tip_spool *s)
{
	char *path = position_path(s), text[64];
	struct tip_error err;
	int n;

	n = snprintf(text, sizeof(text), "%016" PRIx64 " %" PRIu64 "\n",
		     s->count ? s->segments[0].number : s->next_number, s->offset);
	if (tip_file_write(path, text, (size_t)n, 0600, &err) < 0)
		tip_err("alert", "the position in the spool cannot be kept: %s", err.text);
	s->moved = false;
	s->saved_ns = tip_clock_monotonic();
	free(path);
}

static void close_in(struct tip_spool *s)
{
	if (s->in >= 0)
		close(s->in);
	s->in = -1;
	tip_buf_reset(&s->buf);
	s->used = 0;
}

/* The first segment has been read. */
static void drop_segment(struct tip_spool *s)
{
	char *path = segment_path(s, s->segments[0].number);

	close_in(s);
	if (s->count == 1 && s->out >= 0) {
		close(s->out);
		s->out = -1;
	}
	s->bytes -= s->segments[0].bytes;
	s->count--;
	memmove(s->segments, s->segments + 1, s->count * sizeof(*s->segments));
	s->offset = 0;
	/* The position first: it must never be that of a segment that is no longer there and whose
	 * number means another one. Numbers are not used twice, so the order is free. */
	save_position(s);
	if (unlink(path) < 0)
		tip_err("alert", "%s: %s", path, strerror(errno));
	free(path);
}

static int begin_segment(struct tip_spool *s)
{
	char *path = segment_path(s, s->next_number);
	int error = 0;

	s->out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->out < 0) {
		error = errno;
	} else {
		s->segments = tip_realloc(s->segments, s->count + 1, sizeof(*s->segments));
		s->segments[s->count++] = (struct segment){.number = s->next_number};
		s->next_number++;
	}
	free(path);
	return error;
}

/* ---- reading ------------------------------------------------------------------------------------
 */

static bool read_more(struct tip_spool *s, size_t want)
{
	const size_t had = s->buf.len;
	ssize_t n;

	tip_buf_reserve(&s->buf, want);
	do
		n = pread(s->in, s->buf.data + s->buf.len, want, (off_t)(s->offset + s->buf.len));
	while (n < 0 && errno == EINTR);
	if (n > 0)
		s->buf.len += (size_t)n;
	return s->buf.len > had;
}

/* The record at the position in the first segment: its size; 0: there is no more; -1: damaged. */
static int64_t look(struct tip_spool *s, const char **text, size_t *len, uint8_t *priority)
{
	for (;;) {
		const unsigned char *data = (const unsigned char *)s->buf.data;
		size_t want = READ_AHEAD;
		int64_t n = tip_spool_record(data, s->buf.len, text, len, priority);

		if (n)
			return n;
		if (s->buf.len >= TIP_SPOOL_HEAD)
			want = TIP_SPOOL_HEAD + get32(data) - s->buf.len;
		if (!read_more(s, want < READ_AHEAD ? READ_AHEAD : want))
			return s->buf.len ? -1 : 0; /* torn off, or the end */
	}
}

static bool open_in(struct tip_spool *s)
{
	char *path = segment_path(s, s->segments[0].number);

	s->in = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (s->in < 0)
		tip_err("alert", "%s: %s", path, strerror(errno));
	free(path);
	return s->in >= 0;
}

struct tip_line *tip_spool_next(struct tip_spool *s)
{
	while (s->count) {
		uint8_t priority = 0;
		const char *text = NULL;
		size_t len = 0;
		int64_t n = -1;

		if (s->in >= 0 || open_in(s))
			n = look(s, &text, &len, &priority);
		if (n > 0) {
			s->used = (size_t)n;
			return tip_line_new(text, len, priority);
		}
		/* Behind the last record of the segment that is written to there will be more. */
		if (n == 0 && s->count == 1 && s->out >= 0 && s->offset == 0)
			return NULL;
		if (n < 0) {
			s->damaged++;
			tip_warn("alert",
				 "%s: the end of segment %016" PRIx64
				 " cannot be read: a crash tore it off, or it was changed",
				 s->folder, s->segments[0].number);
		}
		drop_segment(s);
	}
	return NULL;
}

void tip_spool_take(struct tip_spool *s)
{
	if (!s->used)
		return;
	s->offset += s->used;
	tip_buf_consume(&s->buf, s->used);
	s->used = 0;
	if (s->lines)
		s->lines--;
	s->moved = true;
	if (tip_clock_monotonic() - s->saved_ns >= POSITION_NS)
		save_position(s);
}

/* ---- writing ------------------------------------------------------------------------------------
 */

static int write_record(int fd, const struct tip_line *line)
{
	unsigned char head[TIP_SPOOL_HEAD];
	struct tip_buf b = {0};
	size_t at = 0;
	int error = 0;

	tip_spool_head(line, head);
	tip_buf_add(&b, head, sizeof(head));
	tip_buf_add(&b, line->text, line->len - 1);
	while (at < b.len && !error) {
		ssize_t n = write(fd, b.data + at, b.len - at);

		if (n > 0)
			at += (size_t)n;
		else if (n == 0 || errno != EINTR)
			error = n == 0 ? EIO : errno;
	}
	tip_buf_free(&b);
	return error;
}

int tip_spool_put(struct tip_spool *s, const struct tip_line *line)
{
	const uint64_t size = TIP_SPOOL_HEAD + line->len - 1;
	struct segment *last;
	int error = 0;

	if (line->len < 2 || line->len - 1 > TIP_SPOOL_LINE_MAX)
		return EMSGSIZE;
	if (s->bytes + size > s->max)
		return ENOSPC;
	if (s->out >= 0 && s->count && s->segments[s->count - 1].bytes + size > s->max / SEGMENTS) {
		tip_spool_sync(s);
		close(s->out);
		s->out = -1;
	}
	if (s->out < 0)
		error = begin_segment(s);
	if (error || !s->count)
		return error;
	last = &s->segments[s->count - 1];
	error = write_record(s->out, line);
	if (error) {
		/* Half a record ends the segment: the reader goes on with the next one. */
		if (ftruncate(s->out, (off_t)last->bytes) < 0)
			tip_debug("alert", "%s: %s", s->folder, strerror(errno));
		close(s->out);
		s->out = -1;
		return error;
	}
	last->bytes += size;
	s->bytes += size;
	s->lines++;
	return 0;
}

void tip_spool_sync(struct tip_spool *s)
{
	if (s->out >= 0 && fdatasync(s->out) < 0)
		tip_err("alert", "%s: %s", s->folder, strerror(errno));
}

/* ---- life ---------------------------------------------------------------------------------------
 */

static int by_number(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static int find_segments(struct tip_spool *s, struct tip_error *err)
{
	DIR *dir = opendir(s->folder);
	const struct dirent *e;

	if (!dir)
		return tip_error_at(err, s->folder, 0, 0, "%s", strerror(errno));
	while ((e = readdir(dir))) {
		uint64_t number;
		struct stat st;
		int end = 0;

		if (sscanf(e->d_name, "%16" SCNx64 ".spool%n", &number, &end) != 1 || end != 22 ||
		    e->d_name[22] || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		s->segments = tip_realloc(s->segments, s->count + 1, sizeof(*s->segments));
		s->segments[s->count++] = (struct segment){number, (uint64_t)st.st_size};
		s->bytes += (uint64_t)st.st_size;
		if (number >= s->next_number)
			s->next_number = number + 1;
	}
	closedir(dir);
	if (s->count)
		qsort(s->segments, s->count, sizeof(*s->segments), by_number);
	return 0;
}

/* Where the last process stopped. Without a position, or with a wrong one, from the beginning: a
 * line twice is better than none. */
static void find_position(struct tip_spool *s)
{
	char *path = position_path(s);
	struct tip_buf b = {0};
	struct tip_error err;
	uint64_t number, offset;

	if (access(path, F_OK) == 0 && tip_file_read(path, 256, &b, &err) == 0 &&
	    sscanf(b.data, "%" SCNx64 " %" SCNu64, &number, &offset) == 2) {
		if (number > s->next_number)
			s->next_number = number;
		while (s->count && s->segments[0].number < number)
			drop_segment(s);
		if (s->count && s->segments[0].number == number && offset <= s->segments[0].bytes)
			s->offset = offset;
	}
	tip_buf_free(&b);
	free(path);
}

/* Counts what there is to be read: once, at the start. */
static void count_lines(struct tip_spool *s)
{
	struct tip_spool reader = *s;
	struct tip_buf none = {0};

	reader.buf = none;
	reader.in = -1;
	for (size_t i = 0; i < s->count; i++) {
		const char *text;
		uint8_t priority;
		int64_t n;
		size_t len;

		reader.segments = s->segments + i;
		reader.offset = i ? 0 : s->offset;
		if (!open_in(&reader))
			continue;
		while ((n = look(&reader, &text, &len, &priority)) > 0) {
			s->lines++;
			reader.offset += (uint64_t)n;
			tip_buf_consume(&reader.buf, (size_t)n);
		}
		close_in(&reader);
	}
	tip_buf_free(&reader.buf);
}

struct tip_spool *tip_spool_open(const char *folder, uint64_t max, struct tip_error *err)
{
	struct tip_spool *s = tip_alloc(sizeof(*s));

	s->folder = tip_strdup(folder);
	s->max = max;
	s->in = s->out = -1;
	s->next_number = 1;
	if (tip_mkdir_p(folder, 0700, err) < 0 || find_segments(s, err) < 0) {
		tip_spool_close(s);
		return NULL;
	}
	find_position(s);
	count_lines(s);
	return s;
}

void tip_spool_close(struct tip_spool *s)
{
	if (!s)
		return;
	if (s->moved)
		save_position(s);
	tip_spool_sync(s);
	close_in(s);
	if (s->out >= 0)
		close(s->out);
	tip_buf_free(&s->buf);
	free(s->segments);
	free(s->folder);
	free(s);
}

void tip_spool_stats(const struct tip_spool *s, struct tip_spool_stats *out)
{
	*out = (struct tip_spool_stats){s->lines, s->bytes, s->damaged};
}
