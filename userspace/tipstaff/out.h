/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFF_OUT_H
#define TIP_TIPSTAFF_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "base/buf.h"

/*
 * The printer behind text and --json. Whatever a workload can choose (names, paths, command
 * lines) goes through out_safe(), so that nothing it writes acts on the operator's terminal.
 */

/* Looks at the terminal, the locale and NO_COLOR. */
void out_init(void);
/* Flushes stdout; false (with errno) when something was lost. */
bool out_end(void);

enum out_style { OUT_PLAIN, OUT_BOLD, OUT_DIM, OUT_RED, OUT_GREEN, OUT_YELLOW, OUT_BLUE };
/* Escape sequences for stdout and stderr; "" where there is no colour. */
const char *out_on(FILE *to, enum out_style style);
const char *out_off(FILE *to);

/* A sign, or what stands for it where the terminal has no UTF-8. */
enum out_sign { OUT_YES, OUT_NO, OUT_DOT, OUT_ELLIPSIS };
const char *out_sign(enum out_sign sign);

/*
 * Appends `s`: printable text stays, control characters, invalid UTF-8 and characters
 * that reorder or hide text become \n, \t, \xNN or \u{NNNN}.
 */
void out_safe(struct tip_buf *b, const char *s);
void out_safen(struct tip_buf *b, const char *s, size_t len);
/* printf where every %s is already safe, and puts() of anything. */
void out_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void out_puts_safe(const char *s);
/* Columns that printable text occupies. */
size_t out_width(const char *s);

/* One JSON document with line breaks, or on one line (for streams). Control and bidi characters are
 * \u-escaped. */
void out_json(const json_t *doc);
void out_json_line(const json_t *doc);

/* "3 h 12 min", "58 s", "2 d 4 h" into `buf`. */
const char *out_duration(uint64_t seconds, char *buf, size_t size);
/* "7.1 MB" from bytes. */
const char *out_bytes(uint64_t bytes, char *buf, size_t size);
/* "12,345" */
const char *out_count(uint64_t n, char *buf, size_t size);

/*
 * "name   value" lines, the names padded to `width`. The value may hold printf output of anything:
 * it is made safe.
 */
void out_field(int width, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void out_heading(const char *text);

/* ---- tables -------------------------------------------------------------------------------- */

/* Columns are as wide as their widest cell; on a terminal the last one is cut at the edge. */
struct out_table;
/* `columns` is "PID>,NAME,STATE": '>' aligns right. */
struct out_table *out_table_new(const char *columns);
/* Adds the next cell of the row (made safe). A row is full after its last column. */
void out_cell(struct out_table *t, enum out_style style, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Prints, or says `empty` when there is no row; frees. */
void out_table_end(struct out_table *t, const char *empty);

#endif
