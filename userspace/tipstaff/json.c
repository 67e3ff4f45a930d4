/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tipstaff/out.h"

/*
 * JSON for --json. jansson's own writer leaves DEL, C1 controls and bidi marks as they are: legal
 * JSON, but a terminal obeys them. They are \u-escaped here; all other UTF-8 stays readable.
 */

/* Decodes one character of a jansson string, which is always valid UTF-8. */
static unsigned int next_char(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s;
	unsigned int c;
	int more;

	if (p[0] < 0x80) {
		*s += 1;
		return p[0];
	}
	more = p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : 1;
	c = p[0] & (0x3fu >> more);
	for (int i = 1; i <= more; i++)
		c = c << 6 | (p[i] & 0x3f);
	*s += 1 + more;
	return c;
}

static bool must_escape(unsigned int c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

static void put_string(const char *s, size_t len)
{
	const char *end = s + len;

	putchar('"');
	while (s < end) {
		const char *from = s;
		unsigned int c = next_char(&s);

		if (c == '"' || c == '\\')
			printf("\\%c", (int)c);
		else if (c == '\n')
			fputs("\\n", stdout);
		else if (c == '\t')
			fputs("\\t", stdout);
		else if (must_escape(c))
			printf("\\u%04x", c);
		else
			fwrite(from, 1, (size_t)(s - from), stdout);
	}
	putchar('"');
}

static void new_line(int depth)
{
	if (depth >= 0)
		printf("\n%*s", depth * 2, "");
}

/* `depth` < 0: on one line. */
static void put_value(const json_t *v, int depth)
{
	int inner = depth < 0 ? depth : depth + 1;
	const char *key;
	json_t *item;
	size_t i;

	switch (json_typeof(v)) {
	case JSON_OBJECT:
		putchar('{');
		i = 0;
		json_object_foreach ((json_t *)v, key, item) {
			if (i++ > 0)
				putchar(',');
			new_line(inner);
			put_string(key, strlen(key));
			fputs(depth < 0 ? ":" : ": ", stdout);
			put_value(item, inner);
		}
		if (i > 0)
			new_line(depth);
		putchar('}');
		break;
	case JSON_ARRAY:
		putchar('[');
		json_array_foreach (v, i, item) {
			if (i > 0)
				putchar(',');
			new_line(inner);
			put_value(item, inner);
		}
		if (json_array_size(v) > 0)
			new_line(depth);
		putchar(']');
		break;
	case JSON_STRING: put_string(json_string_value(v), json_string_length(v)); break;
	case JSON_INTEGER: printf("%lld", (long long)json_integer_value(v)); break;
	case JSON_REAL: printf("%.17g", json_real_value(v)); break;
	case JSON_TRUE: fputs("true", stdout); break;
	case JSON_FALSE: fputs("false", stdout); break;
	case JSON_NULL: fputs("null", stdout); break;
	}
}

void out_json(const json_t *doc)
{
	put_value(doc, 0);
	putchar('\n');
}

void out_json_line(const json_t *doc)
{
	put_value(doc, -1);
	putchar('\n');
}
