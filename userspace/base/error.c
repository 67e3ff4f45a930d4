/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fill(struct tip_error *err, const char *file, int line, int column, const char *fmt,
		 va_list ap)
{
	snprintf(err->file, sizeof(err->file), "%s", file ? file : "");
	err->line = line;
	err->column = column;
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
}

int tip_error_set(struct tip_error *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(err, NULL, 0, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int tip_error_at(struct tip_error *err, const char *file, int line, int column, const char *fmt,
		 ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(err, file, line, column, fmt, ap);
	va_end(ap);
	return -1;
}

const char *tip_error_str(const struct tip_error *err, char *buf, unsigned long size)
{
	if (err->file[0] && err->line && err->column)
		snprintf(buf, size, "%s:%d:%d: %s", err->file, err->line, err->column, err->text);
	else if (err->file[0] && err->line)
		snprintf(buf, size, "%s:%d: %s", err->file, err->line, err->text);
	else if (err->file[0])
		snprintf(buf, size, "%s: %s", err->file, err->text);
	else
		snprintf(buf, size, "%s", err->text);
	return buf;
}
