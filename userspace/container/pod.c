/* SPDX-License-Identifier: Apache-2.0 */
#include "container/pod.h"

#include <stdio.h>
#include <string.h>

#include "container/facts.h"
#include "container/json.h"

#define MOUNTS_MAX 64
#define ID_LEN     64
#define TYPE_MAX   31

/* "containerd://ID": the ID goes into `id`. NULL: it is none; else what the runtime is called. */
static const char *parse_id(const char *text, char id[ID_LEN + 1], char type[TYPE_MAX + 1])
{
	const char *colon = text ? strstr(text, "://") : NULL;
	size_t len = colon ? (size_t)(colon - text) : 0;

	if (!colon || len > TYPE_MAX || !tip_facts_is_id(colon + 3))
		return NULL;
	memcpy(id, colon + 3, ID_LEN + 1);
	memcpy(type, text, len);
	type[len] = '\0';
	return type;
}

/* Does it hold the ID of any container that is wanted? */
static bool mentions(const char *text, size_t len, const struct tip_pod_ops *ops)
{
	const char *end = text + len, *at = text;
	char id[ID_LEN + 1];

	while ((at = memmem(at, (size_t)(end - at), "://", 3))) {
		at += 3;
		if (end - at < ID_LEN)
			return false;
		snprintf(id, sizeof(id), "%.*s", ID_LEN, at);
		if (tip_facts_is_id(id) && ops->wanted(ops->ctx, id))
			return true;
	}
	return false;
}

/* The element of an array that has that name. */
static json_t *named(json_t *array, const char *name)
{
	for (size_t i = 0; name && i < json_array_size(array); i++) {
		json_t *one = json_array_get(array, i);
		const char *called = tip_answer_text(one, "name");

		if (called && strcmp(called, name) == 0)
			return one;
	}
	return NULL;
}

/*
 * The name that the pod asks for, as the CRI tells it too; the status has what the runtime made of
 * it. The image's ID is "name@sha256:...", or "sha256:..." of one that was never pulled, with or
 * without "docker-pullable://".
 */
static void add_image(struct tip_buf *facts, json_t *status, json_t *spec)
{
	const char *name = tip_answer_text(spec, "image");
	const char *id = tip_answer_text(status, "imageID"), *at;

	tip_facts_add_image(facts, name ? name : tip_answer_text(status, "image"));
	if (!id)
		return;
	at = strstr(id, "://");
	id = at ? at + 3 : id;
	at = strchr(id, '@');
	if (at)
		tip_facts_add(facts, TIP_FACT_IMAGE_DIGEST, at + 1);
	else
		tip_facts_add(facts, TIP_FACT_IMAGE_ID,
			      strncmp(id, "sha256:", 7) == 0 ? id + 7 : id);
}

static const char *propagation(const char *name)
{
	if (name && strcmp(name, "HostToContainer") == 0)
		return "rslave";
	return name && strcmp(name, "Bidirectional") == 0 ? "rshared" : "private";
}

/* Of the host's own paths only: where other volumes lie is the kubelet's own affair. */
static void add_mounts(struct tip_buf *facts, json_t *pod, json_t *spec)
{
	json_t *mounts = tip_answer_at(spec, "volumeMounts");
	json_t *volumes = tip_answer_at(pod, "spec.volumes");

	for (size_t i = 0; i < json_array_size(mounts) && i < MOUNTS_MAX; i++) {
		json_t *m = json_array_get(mounts, i);
		const char *source = tip_answer_text(named(volumes, tip_answer_text(m, "name")),
						     "hostPath.path");
		const char *dest = tip_answer_text(m, "mountPath");
		const char *below = tip_answer_text(m, "subPath");

		if (!source || !dest || tip_answer_text(m, "subPathExpr"))
			continue;
		tip_facts_addf(facts, TIP_FACT_MOUNT, "%s%s%s:%s::%s:%s", source, below ? "/" : "",
			       below ? below : "", dest,
			       tip_answer_true(m, "readOnly") ? "false" : "true",
			       propagation(tip_answer_text(m, "mountPropagation")));
	}
}

static void add_pod(struct tip_buf *facts, json_t *pod)
{
	const bool host = tip_answer_true(pod, "spec.hostNetwork");
	const char *ip = tip_answer_text(pod, "status.podIP");

	tip_facts_add(facts, TIP_FACT_POD_NAME, tip_answer_text(pod, "metadata.name"));
	tip_facts_add(facts, TIP_FACT_POD_UID, tip_answer_text(pod, "metadata.uid"));
	tip_facts_add(facts, TIP_FACT_NAMESPACE, tip_answer_text(pod, "metadata.namespace"));
	tip_facts_add_bool(facts, TIP_FACT_HOST_NETWORK, host);
	tip_facts_add_bool(facts, TIP_FACT_HOST_PID, tip_answer_true(pod, "spec.hostPID"));
	tip_facts_add_bool(facts, TIP_FACT_HOST_IPC, tip_answer_true(pod, "spec.hostIPC"));
	/* Runtimes tell none then: it is the node's. */
	if (!host) {
		tip_facts_add(facts, TIP_FACT_IP, ip);
		tip_facts_add(facts, TIP_FACT_POD_IP, ip);
	}
}

struct seen {
	json_t *pod, *status, *spec; /* spec NULL: the pod has none of that name */
	const struct tip_pod_ops *ops;
};

/* `state`: of that container, with a startedAt. `current`: the status is about it. */
static void tell(const struct seen *s, const char *text, json_t *state, bool current)
{
	const bool has_address = tip_answer_true(s->pod, "spec.hostNetwork") ||
				 tip_answer_text(s->pod, "status.podIP");
	char id[ID_LEN + 1], type[TYPE_MAX + 1];
	struct tip_buf facts = {0};
	uint64_t started;

	if (!parse_id(text, id, type) || !s->ops->wanted(s->ops->ctx, id))
		return;
	started = tip_facts_time(tip_answer_text(state, "startedAt"));
	tip_facts_add(&facts, TIP_FACT_TYPE, type);
	tip_facts_add(&facts, TIP_FACT_NAME, tip_answer_text(s->status, "name"));
	if (started)
		tip_facts_addf(&facts, TIP_FACT_STARTED, "%llu", (unsigned long long)started);
	if (current) /* the one before may have been of another */
		add_image(&facts, s->status, s->spec);
	add_pod(&facts, s->pod);
	if (s->spec) {
		tip_facts_add_bool(&facts, TIP_FACT_PRIVILEGED,
				   tip_answer_true(s->spec, "securityContext.privileged"));
		tip_answer_probe_commands(&facts, s->spec);
		add_mounts(&facts, s->pod, s->spec);
	}
	tip_answer_labels(&facts, TIP_FACT_POD_LABEL, tip_answer_at(s->pod, "metadata.labels"));
	s->ops->found(s->ops->ctx, id, &facts, started && has_address);
	tip_buf_free(&facts);
}

static void read_kind(struct seen *s, json_t *statuses, json_t *specs)
{
	for (size_t i = 0; i < json_array_size(statuses); i++) {
		json_t *running, *last;

		s->status = json_array_get(statuses, i);
		s->spec = named(specs, tip_answer_text(s->status, "name"));
		running = tip_answer_at(s->status, "state.running");
		last = tip_answer_at(s->status, "lastState.terminated");
		tell(s, tip_answer_text(s->status, "containerID"),
		     running ? running : tip_answer_at(s->status, "state.terminated"), true);
		tell(s, tip_answer_text(last, "containerID"), last, false);
	}
}

int tip_pod_read(const char *text, size_t len, const struct tip_pod_ops *ops, struct tip_error *err)
{
	static const char *const kinds[][2] = {
		{"status.containerStatuses", "spec.containers"},
		{"status.initContainerStatuses", "spec.initContainers"},
		{"status.ephemeralContainerStatuses", "spec.ephemeralContainers"},
	};
	struct seen s = {.ops = ops};

	if (!mentions(text, len, ops))
		return 0;
	s.pod = tip_answer_parse(text, len, err);
	if (!s.pod)
		return -1;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		read_kind(&s, tip_answer_at(s.pod, kinds[i][0]), tip_answer_at(s.pod, kinds[i][1]));
	json_decref(s.pod);
	return 0;
}
