/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "detect/field.h"

/*
 * The environment at exec. Gathered by the kernel while a rule reads it: later nobody could say
 * what it was, and reading a process's memory can be made to wait without end.
 */

/* The value of NAME in "A=1\0NAME=x\0", NULL: it is not there. */
static const char *variable(const struct tip_process *p, const char *name, size_t *len)
{
	size_t want = strlen(name);

	for (size_t at = 0; at < p->env_len;) {
		const char *entry = p->env + at;
		size_t n = strnlen(entry, p->env_len - at);

		if (n > want && entry[want] == '=' && memcmp(entry, name, want) == 0) {
			*len = n - want - 1;
			return entry + want + 1;
		}
		at += n + 1;
	}
	return NULL;
}

/* All of it, with blanks between. */
void tip_extract_env(struct tip_extract *x, const struct tip_process *p, struct tip_value *out)
{
	size_t len = p->env_len;
	char *s;

	if (len && !p->env[len - 1])
		len--;
	if (!len)
		return;
	s = tip_scratch_alloc(x->scratch, len + 1);
	for (size_t i = 0; i < len; i++)
		s[i] = p->env[i] ? p->env[i] : ' ';
	s[len] = '\0';
	tip_value_strn(out, s, len);
}

static bool one(const struct tip_process *p, const char *name, struct tip_value *out)
{
	size_t len = 0;
	const char *value = variable(p, name, &len);

	if (value)
		tip_value_strn(out, value, len);
	return value;
}

static void proc_env(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const struct tip_process *p = x->in->proc;

	if (!p)
		return;
	if (ref->arg)
		one(p, ref->arg, out);
	else
		tip_extract_env(x, p, out);
}

/* The environments of all ancestors. */
static void any_ancestor(struct tip_extract *x, struct tip_value *out)
{
	struct tip_value found[TIP_ANCESTORS_MAX] = {0};
	const struct tip_process *p;
	uint32_t n = 0;

	for (int64_t up = 1; up <= TIP_ANCESTORS_MAX; up++) {
		p = tip_extract_ancestor(x, up);
		if (!p)
			break;
		tip_extract_env(x, p, &found[n]);
		n += found[n].set;
	}
	if (n)
		memcpy(tip_value_items(x, out, n), found, n * sizeof(found[0]));
}

/* [2]: one of them; [NAME]: the nearest that has it; without argument: any. */
static void proc_aenv(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const struct tip_process *p;

	if (!ref->arg) {
		any_ancestor(x, out);
	} else if (isdigit((unsigned char)ref->arg[0])) {
		p = tip_extract_ancestor(x, strtol(ref->arg, NULL, 10));
		if (p)
			tip_extract_env(x, p, out);
	} else {
		for (int64_t up = 1; up <= TIP_ANCESTORS_MAX; up++) {
			p = tip_extract_ancestor(x, up);
			if (!p || one(p, ref->arg, out))
				break;
		}
	}
}

#define ALL TIP_CODES_ALL

static const struct tip_field fields[] = {
	TIP_FIELD("proc.env", TIP_T_STRING, TIP_ARG_NAME, ALL, proc_env, 0, 0,
		  "environment at exec, 'NAME=value' with blanks between, or the value of one "
		  "variable: proc.env[PATH]. The first 4095 bytes; gathered while a rule reads it, "
		  "so a process that was executed before has none"),
	TIP_FIELD("proc.aenv", TIP_T_STRING, TIP_ARG_NAME, ALL, proc_aenv, 0, 0,
		  "proc.env of the ancestors: any of them, [2] one of them, [NAME] the variable of "
		  "the nearest that has it"),
};

const struct tip_field_table tip_fields_env = {fields, TIP_ARRAY_SIZE(fields)};
