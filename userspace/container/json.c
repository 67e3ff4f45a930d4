/* SPDX-License-Identifier: Apache-2.0 */
#include "container/json.h"

#include <string.h>

#define LABELS_MAX 64

json_t *tip_answer_parse(const char *text, size_t len, struct tip_error *err)
{
	json_error_t at;
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &at);

	if (json_is_object(root))
		return root;
	tip_error_set(err, "the answer is no JSON object: %s", root ? "something else" : at.text);
	json_decref(root);
	return NULL;
}

json_t *tip_answer_at(json_t *root, const char *path)
{
	char name[64];

	while (root && *path) {
		size_t n = strcspn(path, ".");

		if (n >= sizeof(name))
			return NULL;
		memcpy(name, path, n);
		name[n] = '\0';
		root = json_object_get(root, name);
		path += n;
		path += *path == '.';
	}
	return root;
}

const char *tip_answer_text(json_t *root, const char *path)
{
	return json_string_value(tip_answer_at(root, path));
}

bool tip_answer_true(json_t *root, const char *path)
{
	return json_is_true(tip_answer_at(root, path));
}

void tip_answer_words(struct tip_buf *facts, enum tip_fact kind, json_t *array, size_t first)
{
	struct tip_buf text = {0};

	for (size_t i = first; i < json_array_size(array); i++) {
		const char *word = json_string_value(json_array_get(array, i));

		if (word)
			tip_buf_addf(&text, "%s%s", text.len ? " " : "", word);
	}
	tip_facts_add(facts, kind, text.data);
	tip_buf_free(&text);
}

void tip_answer_labels(struct tip_buf *facts, enum tip_fact kind, json_t *object)
{
	size_t n = 0;
	const char *key;
	json_t *value;

	json_object_foreach (object, key, value) {
		if (json_is_string(value) && n++ < LABELS_MAX)
			tip_facts_addf(facts, kind, "%s=%s", key, json_string_value(value));
	}
}

void tip_answer_probe_commands(struct tip_buf *facts, json_t *container)
{
	tip_answer_words(facts, TIP_FACT_LIVENESS,
			 tip_answer_at(container, "livenessProbe.exec.command"), 0);
	tip_answer_words(facts, TIP_FACT_READINESS,
			 tip_answer_at(container, "readinessProbe.exec.command"), 0);
}

void tip_answer_probes(struct tip_buf *facts, const char *text, const char *name)
{
	json_t *root = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
	json_t *all = tip_answer_at(root, "spec.containers"), *one = json_array_get(all, 0);
	const char *called;

	for (size_t i = 0; name && i < json_array_size(all); i++) {
		one = json_array_get(all, i);
		called = tip_answer_text(one, "name");
		if (called && strcmp(called, name) == 0)
			break;
		one = NULL;
	}
	tip_answer_probe_commands(facts, one);
	json_decref(root);
}
