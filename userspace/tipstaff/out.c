/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#include "tipstaff/out.h"

static bool color_out, color_err, utf8;

void out_init(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	bool may = !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;

	setlocale(LC_CTYPE, "");
	utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	/* Data is UTF-8 whatever the terminal speaks: widths need a locale that knows it. */
	if (!utf8)
		setlocale(LC_CTYPE, "C.UTF-8");
	color_out = may && isatty(STDOUT_FILENO);
	color_err = may && isatty(STDERR_FILENO);
}

bool out_end(void)
{
	errno = 0;
	return fflush(stdout) == 0 && !ferror(stdout);
}

const char *out_on(FILE *to, enum out_style style)
{
	static const char *const codes[] = {
		[OUT_PLAIN] = "",        [OUT_BOLD] = "\033[1m",   [OUT_DIM] = "\033[2m",
		[OUT_RED] = "\033[31m",  [OUT_GREEN] = "\033[32m", [OUT_YELLOW] = "\033[33m",
		[OUT_BLUE] = "\033[34m",
	};

	return (to == stderr ? color_err : color_out) ? codes[style] : "";
}

const char *out_off(FILE *to)
{
	return (to == stderr ? color_err : color_out) ? "\033[0m" : "";
}

const char *out_sign(enum out_sign sign)
{
	static const char *const signs[][2] = {
		[OUT_YES] = {"yes", "✓"},
		[OUT_NO] = {"no ", "✗"},
		[OUT_DOT] = {"-", "·"},
		[OUT_ELLIPSIS] = {"...", "…"},
	};

	return signs[sign][utf8];
}

/* Characters that are "printable" to the C library but hide or reorder their neighbours. */
static bool hides(wint_t c)
{
	return (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c == 0x00ad || c == 0x061c ||
	       (c >= 0xe0000 && c <= 0xe007f);
}

void out_safen(struct tip_buf *b, const char *s, size_t len)
{
	mbstate_t state = {0};

	while (len > 0) {
		wchar_t c;
		size_t n = mbrtowc(&c, s, len, &state);

		if (n == (size_t)-1 || n == (size_t)-2) {
			tip_buf_addf(b, "\\x%02x", (unsigned char)*s);
			memset(&state, 0, sizeof(state));
			n = 1;
		} else if (n == 0) {
			tip_buf_adds(b, "\\0");
			n = 1;
		} else if (c == L'\n') {
			tip_buf_adds(b, "\\n");
		} else if (c == L'\t') {
			tip_buf_adds(b, "\\t");
		} else if (c < 0x80 && !iswprint((wint_t)c)) {
			tip_buf_addf(b, "\\x%02x", (unsigned int)c);
		} else if (!iswprint((wint_t)c) || hides((wint_t)c)) {
			tip_buf_addf(b, "\\u{%x}", (unsigned int)c);
		} else {
			tip_buf_add(b, s, n);
		}
		s += n;
		len -= n;
	}
}

void out_safe(struct tip_buf *b, const char *s)
{
	out_safen(b, s, strlen(s));
}

void out_print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
}

void out_puts_safe(const char *s)
{
	struct tip_buf b = {0};

	out_safe(&b, s);
	fwrite(b.data, 1, b.len, stdout);
	tip_buf_free(&b);
}

size_t out_width(const char *s)
{
	size_t width = 0, len = strlen(s);
	mbstate_t state = {0};

	while (len > 0) {
		wchar_t c;
		size_t n = mbrtowc(&c, s, len, &state);
		int w;

		if (n == 0 || n > len)
			break;
		w = wcwidth(c);
		width += w > 0 ? (size_t)w : 0;
		s += n;
		len -= n;
	}
	return width;
}

/* ---- numbers for people ------------------------------------------------------------ */

const char *out_duration(uint64_t s, char *buf, size_t size)
{
	if (s < 60)
		snprintf(buf, size, "%" PRIu64 " s", s);
	else if (s < 3600 && s % 60)
		snprintf(buf, size, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
	else if (s < 3600)
		snprintf(buf, size, "%" PRIu64 " min", s / 60);
	else if (s < 86400 && s / 60 % 60 == 0)
		snprintf(buf, size, "%" PRIu64 " h", s / 3600);
	else if (s < 86400)
		snprintf(buf, size, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
	else
		snprintf(buf, size, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
	return buf;
}

const char *out_bytes(uint64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	double n = (double)bytes;
	size_t unit = 0;

	while (n >= 1000 && unit < 4) {
		n /= 1000;
		unit++;
	}
	snprintf(buf, size, unit && n < 100 ? "%.1f %s" : "%.0f %s", n, units[unit]);
	return buf;
}

const char *out_count(uint64_t n, char *buf, size_t size)
{
	char digits[24];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, n), o = 0;

	for (size_t i = 0; i < len && o + 2 < size; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			buf[o++] = ',';
		buf[o++] = digits[i];
	}
	buf[o] = '\0';
	return buf;
}

/* ---- fields ------------------------------------------------------------------------- */

void out_heading(const char *text)
{
	out_print("\n%s%s%s\n", out_on(stdout, OUT_BOLD), text, out_off(stdout));
}

void out_field(int width, const char *name, const char *fmt, ...)
{
	struct tip_buf raw = {0}, safe = {0};
	va_list ap;

	va_start(ap, fmt);
	tip_buf_addv(&raw, fmt, ap);
	va_end(ap);
	tip_buf_adds(&safe, "");
	out_safen(&safe, raw.data, raw.len);
	out_print("  %s%-*s%s  %s\n", out_on(stdout, OUT_DIM), width, name, out_off(stdout),
		  safe.data);
	tip_buf_free(&raw);
	tip_buf_free(&safe);
}
