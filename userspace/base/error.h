/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_BASE_ERROR_H
#define TIP_BASE_ERROR_H

/*
 * One error, with its place. A function that can fail on input takes a
 * `struct tip_error *` (never NULL), fills it once and returns -1 or NULL.
 * The text is for people: what is wrong, and where it helps, what to do next.
 */
struct tip_error {
	char file[256]; /* name of the input, "" where there is none */
	int line;       /* one-based, 0: unknown */
	int column;     /* one-based, 0: unknown */
	char text[768];
};

/* Fills `err` without a place. Always returns -1, so `return tip_error_set(...)` works. */
int tip_error_set(struct tip_error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Fills `err` with a place; `file` may be NULL. Always returns -1. */
int tip_error_at(struct tip_error *err, const char *file, int line, int column, const char *fmt,
		 ...) __attribute__((format(printf, 5, 6)));

/*
 * Renders "file:line:column: text" (only the known parts) into `buf` of `size`
 * bytes, always terminated. Returns `buf`.
 */
const char *tip_error_str(const struct tip_error *err, char *buf, unsigned long size);

#endif
