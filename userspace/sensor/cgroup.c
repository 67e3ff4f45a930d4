/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/sensor.h"

/* Undoes the octal escapes (\040 and so on) of mountinfo, in place. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

int tip_cgroup2_mount(char *buf, size_t size)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t cap = 0;
	int ret = -1;

	if (!f)
		return -1;
	/* "36 35 98:0 /root /mount/point options optional... - type source options" */
	while (ret && getline(&line, &cap, f) > 0) {
		const char *type = strstr(line, " - ");
		char *at = line;

		if (!type || strncmp(type + 3, "cgroup2 ", 8) != 0)
			continue;
		for (int i = 0; i < 4 && at; i++) {
			at = strchr(at, ' ');
			if (at)
				at++;
		}
		if (!at)
			continue;
		at[strcspn(at, " ")] = '\0';
		unescape(at);
		if (strlen(at) >= size)
			continue;
		strcpy(buf, at);
		ret = 0;
	}
	free(line);
	fclose(f);
	return ret;
}
