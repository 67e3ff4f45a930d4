/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/struct.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proto/struct.pb-c.h"

/* ---- writing --------------------------------------------------------------------------- */

static void add_message(const ProtobufCMessage *m, struct tip_buf *out)
{
	const size_t len = protobuf_c_message_get_packed_size(m);

	tip_buf_reserve(out, len);
	protobuf_c_message_pack(m, (uint8_t *)out->data + out->len);
	out->len += len;
	out->data[out->len] = '\0';
}

/* `depth`: of `v` if it is an object or list, counting it; 1 is the outermost. */
static int add_value(const json_t *v, int depth, struct tip_buf *out);

/* The values of an object or list, each packed. `keys` is NULL for a list. */
struct members {
	ProtobufCBinaryData *values;
	const char **keys;
	size_t count;
};

static void members_free(struct members *m)
{
	for (size_t i = 0; i < m->count; i++)
		free(m->values[i].data);
	free(m->values);
	free(m->keys);
}

static int member(struct members *m, const json_t *v, int depth)
{
	struct tip_buf b = {0};

	if (add_value(v, depth + 1, &b) < 0) {
		tip_buf_free(&b);
		return -1;
	}
	m->values[m->count++] = (ProtobufCBinaryData){.len = b.len, .data = (uint8_t *)b.data};
	return 0;
}

static int add_object(const json_t *o, int depth, struct tip_buf *out)
{
	const size_t size = json_object_size(o);
	PbStruct__FieldsEntry *entries = tip_calloc(size + 1, sizeof(*entries));
	PbStruct__FieldsEntry **list = tip_calloc(size + 1, sizeof(*list));
	struct members m = {
		.values = tip_calloc(size + 1, sizeof(*m.values)),
		.keys = tip_calloc(size + 1, sizeof(*m.keys)),
	};
	PbStruct message = PB_STRUCT__INIT;
	const char *key;
	int ret = -1;
	json_t *v;

	json_object_foreach ((json_t *)o, key, v) {
		m.keys[m.count] = key;
		if (member(&m, v, depth) < 0)
			goto out;
	}
	for (size_t i = 0; i < m.count; i++) {
		pb_struct__fields_entry__init(&entries[i]);
		entries[i].key = (char *)m.keys[i];
		entries[i].value = m.values[i];
		list[i] = &entries[i];
	}
	message.n_fields = m.count;
	message.fields = list;
	add_message(&message.base, out);
	ret = 0;
out:
	members_free(&m);
	free(list);
	free(entries);
	return ret;
}

static int add_list(const json_t *array, int depth, struct tip_buf *out)
{
	struct members m = {
		.values = tip_calloc(json_array_size(array) + 1, sizeof(*m.values)),
	};
	PbList message = PB_LIST__INIT;
	const json_t *v;
	int ret = -1;
	size_t i;

	json_array_foreach (array, i, v)
		if (member(&m, v, depth) < 0)
			goto out;
	message.n_values = m.count;
	message.values = m.values;
	add_message(&message.base, out);
	ret = 0;
out:
	members_free(&m);
	return ret;
}

static int add_value(const json_t *v, int depth, struct tip_buf *out)
{
	PbValue message = PB_VALUE__INIT;
	struct tip_buf inner = {0};
	int ret = 0;

	if (depth > TIP_STRUCT_DEPTH && (json_is_object(v) || json_is_array(v)))
		return -1;
	switch (json_typeof(v)) {
	case JSON_NULL: message.kind_case = PB_VALUE__KIND_NULL_VALUE; break;
	case JSON_TRUE:
	case JSON_FALSE:
		message.kind_case = PB_VALUE__KIND_BOOL_VALUE;
		message.bool_value = json_is_true(v);
		break;
	case JSON_INTEGER:
	case JSON_REAL:
		message.kind_case = PB_VALUE__KIND_NUMBER_VALUE;
		message.number_value = json_number_value(v);
		break;
	case JSON_STRING:
		if (strlen(json_string_value(v)) != json_string_length(v))
			return -1;
		message.kind_case = PB_VALUE__KIND_STRING_VALUE;
		message.string_value = (char *)json_string_value(v);
		break;
	case JSON_OBJECT:
		ret = add_object(v, depth, &inner);
		message.kind_case = PB_VALUE__KIND_STRUCT_VALUE;
		message.struct_value.data = (uint8_t *)inner.data;
		message.struct_value.len = inner.len;
		break;
	case JSON_ARRAY:
		ret = add_list(v, depth, &inner);
		message.kind_case = PB_VALUE__KIND_LIST_VALUE;
		message.list_value.data = (uint8_t *)inner.data;
		message.list_value.len = inner.len;
		break;
	}
	if (!ret)
		add_message(&message.base, out);
	tip_buf_free(&inner);
	return ret;
}

int tip_struct_pack(const json_t *object, struct tip_buf *out)
{
	return json_is_object(object) ? add_object(object, 1, out) : -1;
}

/* ---- reading ----------------------------------------------------------------------------- */

/* `depth`: of an object or list, counting it; 1 is the outermost. */
static json_t *read_value(const ProtobufCBinaryData *data, int depth);

/* Puts `v`, which is stolen and may be NULL, into an object in which its name is new. */
static int put(json_t *o, const char *key, json_t *v)
{
	if (!json_object_get(o, key))
		return json_object_set_new(o, key, v);
	json_decref(v);
	return -1;
}

static json_t *read_object(const uint8_t *data, size_t len, int depth)
{
	PbStruct *m = depth <= TIP_STRUCT_DEPTH ? pb_struct__unpack(NULL, len, data) : NULL;
	json_t *o = m ? json_object() : NULL;

	for (size_t i = 0; o && i < m->n_fields; i++) {
		if (put(o, m->fields[i]->key, read_value(&m->fields[i]->value, depth + 1)) < 0) {
			json_decref(o);
			o = NULL;
		}
	}
	pb_struct__free_unpacked(m, NULL);
	return o;
}

static json_t *read_list(const uint8_t *data, size_t len, int depth)
{
	PbList *m = depth <= TIP_STRUCT_DEPTH ? pb_list__unpack(NULL, len, data) : NULL;
	json_t *list = m ? json_array() : NULL;

	for (size_t i = 0; list && i < m->n_values; i++) {
		if (json_array_append_new(list, read_value(&m->values[i], depth + 1)) < 0) {
			json_decref(list);
			list = NULL;
		}
	}
	pb_list__free_unpacked(m, NULL);
	return list;
}

/* A whole number is written as one: 5, not 5.0. */
static json_t *read_number(double n)
{
	const double whole = 9007199254740992.0; /* 2^53: beyond it doubles have gaps */

	if (isfinite(n) && n == trunc(n) && fabs(n) <= whole)
		return json_integer((json_int_t)n);
	return json_real(n); /* NULL for what is not finite */
}

static json_t *read_value(const ProtobufCBinaryData *data, int depth)
{
	PbValue *m = pb_value__unpack(NULL, data->len, data->data);
	json_t *v = NULL;

	if (!m)
		return NULL;
	switch (m->kind_case) {
	case PB_VALUE__KIND_NULL_VALUE: v = json_null(); break;
	case PB_VALUE__KIND_NUMBER_VALUE: v = read_number(m->number_value); break;
	case PB_VALUE__KIND_STRING_VALUE: v = json_string(m->string_value); break;
	case PB_VALUE__KIND_BOOL_VALUE: v = json_boolean(m->bool_value); break;
	case PB_VALUE__KIND_STRUCT_VALUE:
		v = read_object(m->struct_value.data, m->struct_value.len, depth);
		break;
	case PB_VALUE__KIND_LIST_VALUE:
		v = read_list(m->list_value.data, m->list_value.len, depth);
		break;
	default: break;
	}
	pb_value__free_unpacked(m, NULL);
	return v;
}

json_t *tip_struct_unpack(const uint8_t *data, size_t len)
{
	return read_object(data, len, 1);
}
