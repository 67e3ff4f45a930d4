/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "detect/field.h"
#include "process/container.h"

/*
 * container.*, and what a runtime knows of pods: k8s.*. The id is part of the cgroup's name and
 * always there; the rest is what a container runtime has answered (docs/containers.md), unset until
 * then.
 */

static const struct tip_container *box(const struct tip_extract *x)
{
	return x->in->proc ? x->in->proc->container : NULL;
}

/* At most `max` characters: a copy, because operators rely on the NUL behind a text. */
static void clipped(struct tip_extract *x, const char *s, size_t max, struct tip_value *out)
{
	size_t len = strnlen(s, max);
	char *copy = tip_scratch_alloc(x->scratch, len + 1);

	memcpy(copy, s, len);
	copy[len] = '\0';
	tip_value_strn(out, copy, len);
}

static void container_id(struct tip_extract *x, const struct tip_field_ref *ref,
			 struct tip_value *out)
{
	const struct tip_process *p = x->in->proc;
	bool full = ref->field->a;

	if (!p)
		return;
	if (!p->container_id[0])
		tip_value_str(out, "host");
	else if (full)
		tip_value_str(out, p->container_id);
	else
		/* a name (lxc) is no id to be cut */
		clipped(x, p->container_id, strlen(p->container_id) < 64 ? 64 : 12, out);
}

/* `b`: characters that are shown of it, 0: all. */
static void text(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const struct tip_container *c = box(x);
	const char *s = c ? tip_container_fact(c, (enum tip_fact)ref->field->a) : NULL;

	if (s && ref->field->b)
		clipped(x, s, ref->field->b, out);
	else if (s)
		tip_value_str(out, s);
}

static bool on_host(const struct tip_extract *x)
{
	return x->in->proc && !x->in->proc->container_id[0];
}

/* Empty outside of containers: unset is what nobody has answered. */
static void text_or_empty(struct tip_extract *x, const struct tip_field_ref *ref,
			  struct tip_value *out)
{
	text(x, ref, out);
	if (!out->set && on_host(x))
		tip_value_str(out, "");
}

/* Those that have a value outside of containers too. */
static void text_or_host(struct tip_extract *x, const struct tip_field_ref *ref,
			 struct tip_value *out)
{
	const struct tip_container *c = box(x);

	text(x, ref, out);
	if (out->set || !x->in->proc)
		return;
	if (!c)
		tip_value_str(out, "host");
	else if (ref->field->a == TIP_FACT_TYPE && c->type)
		tip_value_str(out, c->type);
}

static void flag(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const struct tip_container *c = box(x);
	const char *s = c ? tip_container_fact(c, (enum tip_fact)ref->field->a) : NULL;

	if (s || on_host(x))
		tip_value_int(out, s && strcmp(s, "true") == 0);
}

enum { START, DURATION };

static void times(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const struct tip_container *c = box(x);
	const char *s = c ? tip_container_fact(c, TIP_FACT_STARTED) : NULL;
	const struct tip_process *p = x->in->proc;
	uint64_t started = s ? strtoull(s, NULL, 10) : 0;

	/* Nobody has said it: the first process of the PID namespace is as old as the container, or
	 * the host. */
	if (!started && p && p->pidns_init_ns)
		started = x->in->time_ns - x->in->ev->hdr->time_ns + p->pidns_init_ns;
	if (!started)
		return;
	if (ref->field->a == START)
		tip_value_int(out, (int64_t)started);
	else if (x->in->time_ns >= started)
		tip_value_int(out, (int64_t)(x->in->time_ns - started));
}

/* ---- labels: "key=value" -------------------------------------------------------------------- */

static void label(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const struct tip_container *c = box(x);
	size_t len = strlen(ref->arg);

	for (const char *s = NULL;
	     c && (s = tip_container_fact_next(c, (enum tip_fact)ref->field->a, s));) {
		if (strncmp(s, ref->arg, len) == 0 && s[len] == '=') {
			tip_value_str(out, s + len + 1);
			return;
		}
	}
}

/* All of one kind, joined by `sep`; in labels the first '=' becomes ':'. */
static void joined(struct tip_extract *x, enum tip_fact kind, const char *sep,
		   struct tip_value *out)
{
	const struct tip_container *c = box(x);
	const size_t gap = strlen(sep);
	const char *s = NULL;
	size_t size = 0, n = 0;
	char *all, *eq;

	while (c && (s = tip_container_fact_next(c, kind, s)))
		size += strlen(s) + gap;
	if (!size) {
		if (on_host(x))
			tip_value_str(out, "");
		return;
	}
	all = tip_scratch_alloc(x->scratch, size + 1);
	while ((s = tip_container_fact_next(c, kind, s))) {
		size_t len = strlen(s);

		memcpy(all + n, s, len);
		eq = kind == TIP_FACT_MOUNT ? NULL : memchr(all + n, '=', len);
		if (eq)
			*eq = ':';
		n += len;
		memcpy(all + n, sep, gap);
		n += gap;
	}
	n -= gap;
	all[n] = '\0';
	tip_value_strn(out, all, n);
}

static void labels(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	joined(x, (enum tip_fact)ref->field->a, ", ", out);
}

static void mounts(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	joined(x, TIP_FACT_MOUNT, ",", out);
}

/* ---- mounts: "source:dest:mode:rdw:propagation" --------------------------------------------- */

enum { M_SOURCE, M_DEST, M_MODE, M_RDWR, M_PROPAGATION, M_ALL };

/* Part `n` of a mount. */
static const char *part(const char *mount, int n, size_t *len)
{
	for (; n; n--) {
		mount = strchrnul(mount, ':');
		mount += *mount == ':';
	}
	*len = strcspn(mount, ":");
	return mount;
}

/* A number, or a pattern of the source (container.mount.source: of the destination). */
static bool named(struct tip_extract *x, const char *mount, size_t index,
		  const struct tip_field_ref *ref)
{
	const char *s;
	char *path;
	size_t len;

	if (ref->arg[strspn(ref->arg, "0123456789")] == '\0')
		return strtoul(ref->arg, NULL, 10) == index;
	s = part(mount, ref->field->a == M_SOURCE ? M_DEST : M_SOURCE, &len);
	path = tip_scratch_alloc(x->scratch, len + 1);
	memcpy(path, s, len);
	path[len] = '\0';
	return fnmatch(ref->arg, path, FNM_PATHNAME) == 0;
}

static void mount(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const struct tip_container *c = box(x);
	const char *m = NULL, *s;
	size_t index = 0, len;

	while (c && (m = tip_container_fact_next(c, TIP_FACT_MOUNT, m)) &&
	       !named(x, m, index++, ref))
		;
	if (!c || !m)
		return;
	if (ref->field->a == M_ALL) {
		tip_value_str(out, m);
		return;
	}
	s = part(m, (int)ref->field->a, &len);
	tip_value_strn(out, s, len);
}

/* ---- what the runtime runs in it by itself -------------------------------------------------- */

/* Is that the very command line? `args` has a NUL behind each word. */
static bool runs(const struct tip_process *p, const char *command)
{
	size_t len = strlen(command), n = p->args_len;

	while (n && p->args[n - 1] == '\0')
		n--;
	if (n != len)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((p->args[i] ? p->args[i] : ' ') != command[i])
			return false;
	return true;
}

/* The command itself, or something that it started; its parent is the runtime's, outside. */
static void probe(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const struct tip_container *c = box(x);
	const char *command = c ? tip_container_fact(c, (enum tip_fact)ref->field->a) : NULL;
	const struct tip_process *p = x->in->proc;

	if (!c || c->state != TIP_CONTAINER_KNOWN)
		return;
	tip_value_int(out, 0);
	for (int n = 0; command && p && p->container == c && n < TIP_ANCESTORS_MAX; n++) {
		if (p->vpid != 1 && runs(p, command))
			tip_value_int(out, 1);
		p = x->in->table ? tip_process_parent(x->in->table, p) : NULL;
	}
}

#define ALL TIP_CODES_ALL
#define TEXT(name_, fact_, desc_)                                                                  \
	TIP_FIELD(name_, TIP_T_STRING, 0, ALL, text, TIP_FACT_##fact_, 0, desc_)
#define GIVEN(name_, fact_, desc_)                                                                 \
	TIP_FIELD(name_, TIP_T_STRING, 0, ALL, text_or_empty, TIP_FACT_##fact_, 0, desc_)
#define FLAG(name_, fact_, desc_)                                                                  \
	TIP_FIELD(name_, TIP_T_BOOL, 0, ALL, flag, TIP_FACT_##fact_, 0, desc_)
#define LABEL(name_, fact_, desc_)                                                                 \
	TIP_FIELD(name_, TIP_T_STRING, TIP_ARG_NAME_REQ, ALL, label, TIP_FACT_##fact_, 0, desc_)
#define LABELS(name_, fact_, desc_)                                                                \
	TIP_FIELD(name_, TIP_T_STRING, 0, ALL, labels, TIP_FACT_##fact_, 0, desc_)
#define MOUNT(name_, part_, desc_)                                                                 \
	TIP_FIELD(name_, TIP_T_STRING, TIP_ARG_NAME_REQ, ALL, mount, part_, 0, desc_)
#define PROBE(name_, fact_, desc_)                                                                 \
	TIP_FIELD(name_, TIP_T_BOOL, 0, ALL, probe, TIP_FACT_##fact_, 0, desc_)

static const struct tip_field fields[] = {
	TIP_FIELD("container.id", TIP_T_STRING, 0, ALL, container_id, false, 0,
		  "first 12 characters of the container ID, 'host' outside"),
	TIP_FIELD("container.full_id", TIP_T_STRING, 0, ALL, container_id, true, 0,
		  "the whole container ID"),
	TIP_FIELD("container.name", TIP_T_STRING, 0, ALL, text_or_host, TIP_FACT_NAME, 0,
		  "its name, 'host' outside of containers"),
	TIP_FIELD("container.type", TIP_T_STRING, 0, ALL, text_or_host, TIP_FACT_TYPE, 0,
		  "docker, podman, containerd, cri-o; 'host' outside of containers"),
	GIVEN("container.image", IMAGE, "name of the image, as it was asked for"),
	GIVEN("container.image.repository", IMAGE_REPOSITORY, "the same without the tag"),
	GIVEN("container.image.tag", IMAGE_TAG, "its tag"),
	GIVEN("container.image.id", IMAGE_ID, "ID of the image, in hex"),
	GIVEN("container.image.digest", IMAGE_DIGEST, "digest of the image: sha256:..."),
	FLAG("container.privileged", PRIVILEGED, "started with every privilege"),
	TIP_FIELD("container.start_ts", TIP_T_ABSTIME, 0, ALL, times, START, 0,
		  "when it was started"),
	TIP_FIELD("container.duration", TIP_T_RELTIME, 0, ALL, times, DURATION, 0,
		  "ns since it was started"),
	GIVEN("container.ip", IP, "its address"),
	GIVEN("container.cni.json", CNI_JSON, "what the network plugin said of its pod, JSON"),
	LABEL("container.label", LABEL, "one label: container.label[app]"),
	LABELS("container.labels", LABEL, "its labels: a:b, c:d"),
	MOUNT("container.mount", M_ALL,
	      "one mount, by number or pattern of its source: source:dest:mode:rdw:propagation"),
	TIP_FIELD("container.mounts", TIP_T_STRING, 0, ALL, mounts, 0, 0,
		  "its mounts, with commas between"),
	MOUNT("container.mount.source", M_SOURCE,
	      "source of a mount, by number or pattern of its destination"),
	MOUNT("container.mount.dest", M_DEST,
	      "destination of a mount, by number or pattern of its source"),
	MOUNT("container.mount.mode", M_MODE, "mode of a mount"),
	MOUNT("container.mount.rdwr", M_RDWR, "whether it may be written to: true or false"),
	MOUNT("container.mount.propagation", M_PROPAGATION, "propagation of a mount"),
	TEXT("container.healthcheck", HEALTHCHECK, "command of its health check"),
	TEXT("container.liveness_probe", LIVENESS, "command of its liveness probe"),
	TEXT("container.readiness_probe", READINESS, "command of its readiness probe"),
	FLAG("container.host_pid", HOST_PID, "runs in the host's PID namespace"),
	FLAG("container.host_network", HOST_NETWORK, "runs in the host's network namespace"),
	FLAG("container.host_ipc", HOST_IPC, "runs in the host's IPC namespace"),
	PROBE("proc.is_container_healthcheck", HEALTHCHECK, "part of the health check"),
	PROBE("proc.is_container_liveness_probe", LIVENESS, "part of the liveness probe"),
	PROBE("proc.is_container_readiness_probe", READINESS, "part of the readiness probe"),
	TEXT("k8s.pod.name", POD_NAME, "name of its pod"),
	TEXT("k8s.pod.id", POD_UID, "UID of its pod"),
	TEXT("k8s.pod.uid", POD_UID, "UID of its pod"),
	TIP_FIELD("k8s.pod.sandbox_id", TIP_T_STRING, 0, ALL, text, TIP_FACT_POD_SANDBOX, 12,
		  "first 12 characters of the ID of the pod's sandbox"),
	TEXT("k8s.pod.full_sandbox_id", POD_SANDBOX, "ID of the pod's sandbox"),
	TEXT("k8s.pod.ip", POD_IP, "address of its pod"),
	LABEL("k8s.pod.label", POD_LABEL, "one label of its pod"),
	LABELS("k8s.pod.labels", POD_LABEL, "labels of its pod: a:b, c:d"),
	TEXT("k8s.pod.cni.json", POD_CNI_JSON, "what the network plugin said of its pod, JSON"),
	TEXT("k8s.ns.name", NAMESPACE, "namespace of its pod"),
};

const struct tip_field_table tip_fields_container = {fields, TIP_ARRAY_SIZE(fields)};

bool tip_field_of_container(const struct tip_field *f)
{
	return f >= fields && f < fields + TIP_ARRAY_SIZE(fields) && f->get != container_id;
}
