/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

static uint64_t now(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * TIP_NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

uint64_t tip_clock_boot(void)
{
	return now(CLOCK_BOOTTIME);
}

uint64_t tip_clock_real(void)
{
	return now(CLOCK_REALTIME);
}

uint64_t tip_clock_monotonic(void)
{
	return now(CLOCK_MONOTONIC);
}

/* How long the distance between the two clocks is believed; after that a clock that was set shows.
 */
#define OFFSET_NS (TIP_NSEC_PER_SEC / 10)

uint64_t tip_clock_boot_to_real(uint64_t boot_ns)
{
	static _Thread_local uint64_t taken, offset;

	/* Times of a storm of events come close together: two clocks read once for all of them. */
	if (!taken || boot_ns + OFFSET_NS < taken || boot_ns > taken + OFFSET_NS) {
		taken = tip_clock_boot();
		offset = tip_clock_real() - taken;
	}
	return boot_ns + offset;
}

char *tip_clock_iso8601(uint64_t real_ns, char *buf, size_t size)
{
	time_t sec = (time_t)(real_ns / TIP_NSEC_PER_SEC);
	struct tm tm;

	/* Not strftime(): it looks at the time zone's file, and the front has no files. */
	gmtime_r(&sec, &tm);
	snprintf(buf, size, "%04d-%02d-%02dT%02d:%02d:%02d.%09uZ", tm.tm_year + 1900, tm.tm_mon + 1,
		 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		 (unsigned int)(real_ns % TIP_NSEC_PER_SEC));
	return buf;
}

int tip_duration_parse(const char *s, uint64_t *ns)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = {{"ms", 1000000ULL},
		     {"s", TIP_NSEC_PER_SEC},
		     {"m", 60 * TIP_NSEC_PER_SEC},
		     {"h", 3600 * TIP_NSEC_PER_SEC},
		     {"d", 86400 * TIP_NSEC_PER_SEC}};
	uint64_t total = 0, n, part;

	if (!isdigit((unsigned char)*s))
		return -1;
	while (*s) {
		size_t i, len;

		if (!isdigit((unsigned char)*s))
			return -1;
		for (n = 0; isdigit((unsigned char)*s); s++)
			if (__builtin_mul_overflow(n, 10, &n) ||
			    __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
				return -1;
		for (len = 0; isalpha((unsigned char)s[len]); len++)
			;
		if (len == 0) {
			/* a bare number is seconds, and stands alone */
			if (*s || total || __builtin_mul_overflow(n, TIP_NSEC_PER_SEC, ns))
				return -1;
			return 0;
		}
		for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
			size_t k = 0;

			while (units[i].unit[k] && k < len && units[i].unit[k] == s[k])
				k++;
			if (k == len && !units[i].unit[k])
				break;
		}
		if (i == sizeof(units) / sizeof(units[0]) ||
		    __builtin_mul_overflow(n, units[i].ns, &part) ||
		    __builtin_add_overflow(total, part, &total))
			return -1;
		s += len;
	}
	*ns = total;
	return 0;
}
