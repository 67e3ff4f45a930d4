/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaff/sources.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

#define MAX_FILE (16u << 20)

void cli_sources_free(struct cli_sources *s)
{
	for (size_t i = 0; i < s->count; i++) {
		tip_buf_free(&s->texts[i]);
		free(s->names[i]);
	}
	free(s->texts);
	free(s->list);
	free(s->names);
}

/* Reads one file, whose name is taken over. */
static int add(struct cli_sources *s, char *name, struct tip_error *err)
{
	size_t n = s->count + 1;

	s->texts = tip_realloc(s->texts, n, sizeof(*s->texts));
	s->list = tip_realloc(s->list, n, sizeof(*s->list));
	s->names = tip_realloc(s->names, n, sizeof(*s->names));
	s->texts[s->count] = (struct tip_buf){0};
	s->names[s->count++] = name;
	return tip_file_read(name, MAX_FILE, &s->texts[n - 1], err);
}

int cli_sources_read(struct cli_sources *s, char *const *paths, int count, struct tip_error *err)
{
	static const char *const endings[] = {".yaml", ".yml", NULL};

	for (int i = 0; i < count; i++) {
		char **files;
		int n = tip_file_list(paths[i], endings, &files, err), ret = 0;

		/* told as any file that cannot be read */
		if (n < 0)
			return add(s, tip_strdup(paths[i]), err);
		for (int k = 0; k < n; k++) {
			if (ret == 0)
				ret = add(s, files[k], err);
			else
				free(files[k]);
		}
		free(files);
		if (ret < 0)
			return -1;
	}
	/* Only now: the arrays no longer move. */
	for (size_t i = 0; i < s->count; i++)
		s->list[i] = (struct tip_rule_source){
			.name = s->names[i],
			.text = s->texts[i].len ? s->texts[i].data : "",
			.len = s->texts[i].len,
		};
	return 0;
}

json_t *cli_text_json(const char *s)
{
	struct tip_buf b = {0};
	json_t *j;

	tip_buf_add_json_string(&b, s, strlen(s));
	j = json_loads(b.data, JSON_DECODE_ANY, NULL);
	tip_buf_free(&b);
	return j ? j : json_string("");
}
