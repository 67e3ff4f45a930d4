/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/mem.h"
#include "tipstaff/out.h"

#define MAX_COLUMNS 16
#define GAP         2

struct cell {
	char *text;
	size_t width;
	enum out_style style;
};

struct out_table {
	char *columns; /* the caller's string, cut at its commas */
	const char *names[MAX_COLUMNS];
	bool right[MAX_COLUMNS];
	size_t width[MAX_COLUMNS];
	size_t ncolumns;
	struct cell *cells;
	size_t ncells, cap;
};

struct out_table *out_table_new(const char *columns)
{
	struct out_table *t = tip_alloc(sizeof(*t));
	char *save = NULL;

	t->columns = tip_strdup(columns);
	for (char *name = strtok_r(t->columns, ",", &save); name && t->ncolumns < MAX_COLUMNS;
	     name = strtok_r(NULL, ",", &save)) {
		size_t len = strlen(name);

		t->right[t->ncolumns] = name[len - 1] == '>';
		if (t->right[t->ncolumns])
			name[--len] = '\0';
		t->names[t->ncolumns] = name;
		t->width[t->ncolumns++] = len;
	}
	return t;
}

void out_cell(struct out_table *t, enum out_style style, const char *fmt, ...)
{
	size_t column = t->ncells % t->ncolumns;
	struct tip_buf raw = {0}, safe = {0};
	struct cell *cell;
	va_list ap;

	va_start(ap, fmt);
	tip_buf_addv(&raw, fmt, ap);
	va_end(ap);
	out_safen(&safe, raw.data, raw.len);
	tip_buf_free(&raw);
	if (t->ncells == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->cells = tip_realloc(t->cells, t->cap, sizeof(*t->cells));
	}
	cell = &t->cells[t->ncells++];
	cell->text = tip_strdup(safe.len ? safe.data : "");
	cell->width = out_width(cell->text);
	cell->style = style;
	tip_buf_free(&safe);
	if (cell->width > t->width[column])
		t->width[column] = cell->width;
}

/* The terminal's width, or 0 where nothing is to be cut. */
static size_t terminal_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		return 0;
	return size.ws_col;
}

/* Cuts `text` to `width` columns, with an ellipsis as its end. */
static void cut(char *text, size_t width)
{
	const char *dots = out_sign(OUT_ELLIPSIS);
	size_t keep = width > out_width(dots) ? width - out_width(dots) : 0, used = 0;
	size_t room = strlen(text) + 1;
	mbstate_t state = {0};
	char *p = text;

	while (*p) {
		wchar_t c;
		size_t n = mbrtowc(&c, p, strlen(p), &state);
		int w = n == 0 || n > strlen(p) ? 0 : wcwidth(c);

		if (n == 0 || n > strlen(p) || used + (w > 0 ? (size_t)w : 0) > keep)
			break;
		used += w > 0 ? (size_t)w : 0;
		p += n;
	}
	if ((size_t)(p - text) + strlen(dots) < room)
		strcpy(p, dots);
}

static void put_cell(const struct out_table *t, size_t column, const char *text, size_t width,
		     enum out_style style)
{
	size_t pad = t->width[column] > width ? t->width[column] - width : 0;
	bool last = column + 1 == t->ncolumns;

	if (t->right[column])
		out_print("%*s", (int)pad, "");
	out_print("%s%s%s", out_on(stdout, style), text, style ? out_off(stdout) : "");
	if (last)
		out_print("\n");
	else
		out_print("%*s", (int)((t->right[column] ? 0 : pad) + GAP), "");
}

void out_table_end(struct out_table *t, const char *empty)
{
	size_t last = t->ncolumns - 1, before = 0, screen = terminal_width();

	for (size_t i = 0; i < last; i++)
		before += t->width[i] + GAP;
	if (t->ncells == 0)
		out_print("%s\n", empty);
	for (size_t i = 0; t->ncells > 0 && i < t->ncolumns; i++)
		put_cell(t, i, t->names[i], strlen(t->names[i]), OUT_DIM);
	for (size_t i = 0; i < t->ncells; i++) {
		struct cell *cell = &t->cells[i];

		/* A table that has no room even for the beginning of its last column is better
		 * wrapped. */
		if (i % t->ncolumns == last && screen > before + 10 &&
		    cell->width > screen - before)
			cut(cell->text, screen - before);
		put_cell(t, i % t->ncolumns, cell->text, cell->width, cell->style);
		free(cell->text);
	}
	free(t->cells);
	free(t->columns);
	free(t);
}
