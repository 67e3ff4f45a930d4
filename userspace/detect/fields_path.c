/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "detect/field.h"

/* fs.path.*: the paths that a call names, whichever of its arguments they are. */

enum { PATH_NAME, PATH_SOURCE, PATH_TARGET };

#define OPEN   TIP_CODES_OPEN
#define UMOUNT (TIP_CODE_BIT(TIP_CODE_UMOUNT) | TIP_CODE_BIT(TIP_CODE_UMOUNT2))
#define TWO    (TIP_CODE_BIT(TIP_CODE_MOUNT) | TIP_CODE_BIT(TIP_CODE_MOVE_MOUNT))

/* The argument as it was given, NULL: the call has none such. `*base`: what it is relative to. */
static const char *argument(const struct tip_extract *x, uint32_t which, const char **base)
{
	const struct tip_event *ev = x->in->ev;
	tip_codes bit = TIP_CODE_BIT(x->code);

	*base = "";
	if (which == PATH_NAME && (bit & OPEN) && x->code != TIP_CODE_OPEN_BY_HANDLE_AT) {
		*base = ev->open.base;
		return ev->open.name;
	}
	if (which == PATH_NAME && (bit & UMOUNT))
		return ev->call.text[0];
	if (which != PATH_NAME && (bit & TWO))
		return ev->call.text[which == PATH_TARGET];
	return NULL;
}

static void fs_path(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const char *base, *name = argument(x, ref->field->a, &base);

	if (!name || !*name)
		return;
	if (ref->field->b)
		tip_value_str(out, name);
	else
		tip_extract_path(x, base, name, out);
}

static const struct tip_field fields[] = {
	TIP_FIELD("fs.path.name", TIP_T_PATH, 0, OPEN | UMOUNT, fs_path, PATH_NAME, 0,
		  "the path that the call names, made absolute as fd.name is"),
	TIP_FIELD("fs.path.nameraw", TIP_T_PATH, 0, OPEN | UMOUNT, fs_path, PATH_NAME, 1,
		  "the same as it was given"),
	TIP_FIELD("fs.path.source", TIP_T_PATH, 0, TWO, fs_path, PATH_SOURCE, 0,
		  "of a call with two paths, where from; made absolute as fd.name is"),
	TIP_FIELD("fs.path.sourceraw", TIP_T_PATH, 0, TWO, fs_path, PATH_SOURCE, 1,
		  "the same as it was given"),
	TIP_FIELD("fs.path.target", TIP_T_PATH, 0, TWO, fs_path, PATH_TARGET, 0,
		  "of a call with two paths, where to; made absolute as fd.name is"),
	TIP_FIELD("fs.path.targetraw", TIP_T_PATH, 0, TWO, fs_path, PATH_TARGET, 1,
		  "the same as it was given"),
};

const struct tip_field_table tip_fields_path = {fields, TIP_ARRAY_SIZE(fields)};
