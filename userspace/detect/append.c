/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "detect/loader.h"

/* What the configuration adds to the outputs of rules (Falco's append_output). */

/* Falco asks its plugins what to suggest; container and identity are built in here. */
#define SUGGESTED                                                                                  \
	"container_id=%container.id container_name=%container.name "                               \
	"container_image_repository=%container.image.repository "                                  \
	"container_image_tag=%container.image.tag k8s_pod_name=%k8s.pod.name "                     \
	"k8s_ns_name=%k8s.ns.name spiffe_id=%spiffe.id"

static bool has_tag(const struct tip_rule_def *d, const char *tag)
{
	for (size_t i = 0; i < d->ntags; i++)
		if (strcmp(d->tags[i], tag) == 0)
			return true;
	return false;
}

static bool matches(const struct tip_rule_append *a, const struct tip_rule_def *d)
{
	if ((a->rule && strcmp(a->rule, d->name) != 0) ||
	    (a->source && strcmp(a->source, d->source_name) != 0))
		return false;
	for (size_t i = 0; i < a->ntags; i++)
		if (!has_tag(d, a->tags[i]))
			return false;
	return true;
}

/* Compiles a template of the configuration. An error has the place of its entry. */
static int compile(struct tip_loader *l, struct tip_rules *set, const struct tip_rule_append *a,
		   bool used, const char *text, struct tip_template *out)
{
	struct tip_text t = {0};
	struct tip_cond_error err = {0};
	const char *deprecated;
	bool unknown;
	int ret;

	tip_buf_adds(&t.buf, text);
	ret = tip_template_compile(set, &t, used, out, &deprecated, &unknown, &err);
	if (ret < 0)
		tip_load_say_append(l, a, "'%s': %s", text, err.what);
	tip_text_free(&t);
	return ret;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct tip_named *)a)->name, ((const struct tip_named *)b)->name);
}

static int add_field(struct tip_loader *l, struct tip_rules *set, struct tip_rule *r, bool used,
		     const struct tip_rule_append *a, const struct tip_rule_append_field *f)
{
	struct tip_named *named = &r->named[r->nnamed];
	char *text = f->format ? tip_strdup(f->format) : tip_sprintf("%%%s", f->name);
	int ret = compile(l, set, a, used, text, &named->format);

	/* Without a format it is one field, and the member has that field's type. */
	if (ret == 0 && !f->format && (named->format.count != 1 || named->format.segments->text))
		ret = tip_load_say_append(l, a, "'%s' is no field", f->name);
	if (ret == 0) {
		named->name = tip_arena_strdup(set->arena, f->name);
		named->typed = !f->format;
		r->nnamed++;
	}
	free(text);
	return ret;
}

static int add(struct tip_loader *l, struct tip_rules *set, struct tip_rule *r, bool used,
	       const struct tip_rule_append *a)
{
	const char *const outputs[] = {a->output, a->suggested ? SUGGESTED : NULL};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(outputs); i++) {
		struct tip_template more;

		if (!outputs[i] || !*outputs[i])
			continue;
		if (compile(l, set, a, used, outputs[i], &more) < 0)
			return -1;
		tip_template_join(set, &r->output, &more);
	}
	for (size_t i = 0; i < a->nfields; i++)
		if (add_field(l, set, r, used, a, &a->fields[i]) < 0)
			return -1;
	return 0;
}

int tip_load_append(struct tip_loader *l, struct tip_rules *set, struct tip_rule *r,
		    const struct tip_rule_def *d)
{
	const struct tip_rules_options *o = l->options;
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < o->nappend; i++)
		n += matches(&o->append[i], d) ? o->append[i].nfields : 0;
	r->named = tip_arena_alloc(set->arena, (n + 1) * sizeof(*r->named));
	for (size_t i = 0; i < o->nappend; i++)
		if (matches(&o->append[i], d) && add(l, set, r, d->enabled, &o->append[i]) < 0)
			return -1;
	qsort(r->named, r->nnamed, sizeof(*r->named), by_name);
	for (size_t i = 0; i < r->nnamed; i++)
		if (!kept || strcmp(r->named[kept - 1].name, r->named[i].name) != 0)
			r->named[kept++] = r->named[i];
	r->nnamed = kept;
	return 0;
}
