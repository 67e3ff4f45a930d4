/* SPDX-License-Identifier: Apache-2.0 */
#include "container/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

/* What labels and mounts leave for the facts that come behind them. */
#define SINGLE_ROOM 6144

bool tip_facts_add(struct tip_buf *facts, enum tip_fact kind, const char *text)
{
	size_t room = kind < TIP_FACT_SINGLE ? TIP_FACTS_MAX : TIP_FACTS_MAX - SINGLE_ROOM;
	size_t len;

	if (!text || !*text)
		return true;
	len = strlen(text);
	if (len > TIP_FACT_TEXT_MAX || facts->len + len + 2 > room)
		return false;
	tip_buf_addc(facts, (char)kind);
	tip_buf_add(facts, text, len + 1);
	return true;
}

void tip_facts_add_bool(struct tip_buf *facts, enum tip_fact kind, bool value)
{
	tip_facts_add(facts, kind, value ? "true" : "false");
}

void tip_facts_addf(struct tip_buf *facts, enum tip_fact kind, const char *fmt, ...)
{
	struct tip_buf text = {0};
	va_list ap;

	va_start(ap, fmt);
	tip_buf_addv(&text, fmt, ap);
	va_end(ap);
	tip_facts_add(facts, kind, text.data);
	tip_buf_free(&text);
}

void tip_facts_add_image(struct tip_buf *facts, const char *name)
{
	const char *at, *slash, *colon, *end;

	if (!name || !*name)
		return;
	tip_facts_add(facts, TIP_FACT_IMAGE, name);
	/* An id in a name's place says nothing of a repository. */
	if (strncmp(name, "sha256:", 7) == 0)
		return;
	at = strchr(name, '@');
	end = at ? at : name + strlen(name);
	slash = memrchr(name, '/', (size_t)(end - name));
	colon = slash ? slash : name;
	colon = memchr(colon, ':', (size_t)(end - colon));
	tip_facts_addf(facts, TIP_FACT_IMAGE_REPOSITORY, "%.*s",
		       (int)((colon ? colon : end) - name), name);
	if (colon)
		tip_facts_addf(facts, TIP_FACT_IMAGE_TAG, "%.*s", (int)(end - colon - 1),
			       colon + 1);
	else if (!at)
		tip_facts_add(facts, TIP_FACT_IMAGE_TAG, "latest");
	if (at)
		tip_facts_add(facts, TIP_FACT_IMAGE_DIGEST, at + 1);
}

bool tip_facts_is_id(const char *text)
{
	return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* What follows the seconds: ".123456789". ns; `*end` is behind it. */
static uint64_t fraction(const char *s, const char **end)
{
	uint64_t ns = 0;
	unsigned int digits = 0;

	*end = s;
	if (*s != '.')
		return 0;
	for (s++; *s >= '0' && *s <= '9'; s++) {
		if (digits < 9) {
			ns = ns * 10 + (uint64_t)(*s - '0');
			digits++;
		}
	}
	for (; digits < 9; digits++)
		ns *= 10;
	*end = s;
	return ns;
}

uint64_t tip_facts_time(const char *text)
{
	struct tm tm = {0};
	int hours, minutes;
	const char *rest;
	uint64_t ns;
	int64_t s;

	rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	if (!rest)
		return 0;
	ns = fraction(rest, &rest);
	s = timegm(&tm);
	if ((*rest == '+' || *rest == '-') && sscanf(rest + 1, "%2d:%2d", &hours, &minutes) == 2)
		s -= (*rest == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	if (s <= 0 || s > INT32_MAX * 4LL)
		return 0;
	return (uint64_t)s * TIP_NSEC_PER_SEC + ns;
}
