/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/version.h"
#include "control/request.h"

static int known_members(json_t *root, struct tip_error *err)
{
	const char *key;
	json_t *value;

	json_object_foreach (root, key, value) {
		if (strcmp(key, "version") && strcmp(key, "method") && strcmp(key, "params"))
			return tip_error_set(err, "the request has an unknown member \"%.64s\"",
					     key);
	}
	return 0;
}

int tip_control_request_parse(const char *line, size_t len, struct tip_control_request *out,
			      struct tip_error *err)
{
	json_error_t jerr;
	json_t *params;

	memset(out, 0, sizeof(*out));
	out->root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &jerr);
	if (!out->root)
		return tip_error_at(err, "request", jerr.line, jerr.column > 0 ? jerr.column : 1,
				    "not a JSON document: %s", jerr.text);
	if (!json_is_object(out->root)) {
		tip_error_set(err, "the request is not a JSON object");
		goto fail;
	}
	if (known_members(out->root, err))
		goto fail;
	out->version = json_string_value(json_object_get(out->root, "version"));
	out->method = json_string_value(json_object_get(out->root, "method"));
	if (!out->version || !out->method) {
		tip_error_set(err, "the request lacks the string \"%s\"",
			      out->version ? "method" : "version");
		goto fail;
	}
	params = json_object_get(out->root, "params");
	if (!params) {
		params = json_object();
		if (!params || json_object_set_new(out->root, "params", params)) {
			tip_error_set(err, "out of memory");
			goto fail;
		}
	}
	if (!json_is_object(params)) {
		tip_error_set(err, "\"params\" of the request is not an object");
		goto fail;
	}
	out->params = params;
	return 0;
fail:
	tip_control_request_free(out);
	return -1;
}

void tip_control_request_free(struct tip_control_request *r)
{
	json_decref(r->root);
	memset(r, 0, sizeof(*r));
}

static void begin(struct tip_buf *out)
{
	tip_buf_adds(out, "{\"version\":");
	tip_buf_add_json_string(out, TIP_VERSION, strlen(TIP_VERSION));
}

static int dump(const char *data, size_t len, void *out)
{
	tip_buf_add(out, data, len);
	return 0;
}

void tip_control_write_result(struct tip_buf *out, json_t *result)
{
	size_t start = out->len;
	struct tip_error err = {0};

	begin(out);
	tip_buf_adds(out, ",\"result\":");
	if (json_dump_callback(result, dump, out, JSON_COMPACT | JSON_ENCODE_ANY)) {
		/* Only memory, or a tree deeper than jansson walks, can bring us here: never half
		 * an answer. */
		out->len = start;
		tip_error_set(&err, "the answer cannot be written as JSON");
		tip_control_write_error(out, &err, NULL);
		return;
	}
	tip_buf_adds(out, "}\n");
}

static void member(struct tip_buf *out, const char *name, const char *value)
{
	tip_buf_addf(out, "\"%s\":", name);
	tip_buf_add_json_string(out, value, strlen(value));
}

void tip_control_write_error(struct tip_buf *out, const struct tip_error *err, const char *hint)
{
	begin(out);
	tip_buf_adds(out, ",\"error\":{");
	member(out, "text", err->text);
	if (hint && *hint) {
		tip_buf_addc(out, ',');
		member(out, "hint", hint);
	}
	if (*err->file) {
		tip_buf_addc(out, ',');
		member(out, "file", err->file);
	}
	if (err->line > 0)
		tip_buf_addf(out, ",\"line\":%d", err->line);
	if (err->column > 0)
		tip_buf_addf(out, ",\"column\":%d", err->column);
	tip_buf_adds(out, "}}\n");
}

void tip_control_write_stream(struct tip_buf *out)
{
	begin(out);
	tip_buf_adds(out, ",\"stream\":true}\n");
}

void tip_control_write_event(struct tip_buf *out, const char *json, size_t len)
{
	tip_buf_adds(out, "{\"event\":");
	tip_buf_add(out, json, len);
	tip_buf_adds(out, "}\n");
}
