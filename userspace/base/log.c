/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

static const char *process_name = "tipstaff";
static enum tip_log_level threshold = TIP_LOG_INFO;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void tip_log_init(const char *process, enum tip_log_level level)
{
	process_name = process;
	threshold = level;
}

int tip_log_level_parse(const char *name, enum tip_log_level *level)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*level = (enum tip_log_level)i;
			return 0;
		}
	}
	return -1;
}

void tip_log(enum tip_log_level level, const char *room, const char *fmt, ...)
{
	char text[1024], line[2304], stamp[40];
	size_t n;
	va_list ap;

	if (level > threshold)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	tip_clock_iso8601(tip_clock_real(), stamp, sizeof(stamp));
	/* milliseconds are enough here: cut "123456789Z" down to "123Z" */
	strcpy(stamp + 23, "Z");
	n = (size_t)snprintf(line, sizeof(line), "%s %s %s %s: ", stamp, process_name,
			     level_names[level], room);
	for (const char *p = text; *p && n + 6 < sizeof(line); p++) {
		unsigned char c = (unsigned char)*p;

		if (c < 0x20 || c == 0x7f)
			n += (size_t)snprintf(line + n, sizeof(line) - n, "\\x%02x", c);
		else
			line[n++] = (char)c;
	}
	line[n++] = '\n';
	/* One write, so that lines of two processes on one stderr do not mix. Nobody to tell if it
	 * fails. */
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}
