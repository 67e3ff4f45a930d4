/* SPDX-License-Identifier: Apache-2.0 */
#include "container/cri.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "container/facts.h"
#include "container/json.h"
#include "proto/cri.pb-c.h"

#define ENTRIES_MAX 64
#define NODE        2 /* NamespaceMode of the host */

enum { CREATED = 0, STARTED = 1 }; /* ContainerEventType */

/* ---- answers -------------------------------------------------------------------------------- */

static int no_answer(struct tip_error *err)
{
	return tip_error_set(err, "the answer is no message of the CRI");
}

int tip_cri_list(const uint8_t *msg, size_t len, const char *id, struct tip_cri_seen *seen,
		 struct tip_error *err)
{
	Runtime__V1__ListContainersResponse *m =
		runtime__v1__list_containers_response__unpack(NULL, len, msg);

	*seen = (struct tip_cri_seen){0};
	if (!m)
		return no_answer(err);
	for (size_t i = 0; i < m->n_containers; i++) {
		const Runtime__V1__Container *c = m->containers[i];

		if (strcmp(c->id, id) == 0 && tip_facts_is_id(c->pod_sandbox_id))
			snprintf(seen->sandbox, sizeof(seen->sandbox), "%s", c->pod_sandbox_id);
	}
	runtime__v1__list_containers_response__free_unpacked(m, NULL);
	return 0;
}

static const char *propagation(int32_t number)
{
	static const char *const names[] = {"private", "rslave", "rshared"};

	return number >= 0 && number < 3 ? names[number] : "unknown";
}

static void add_mounts(struct tip_buf *facts, const Runtime__V1__ContainerStatus *s)
{
	for (size_t i = 0; i < s->n_mounts && i < ENTRIES_MAX; i++) {
		const Runtime__V1__Mount *m = s->mounts[i];

		tip_facts_addf(facts, TIP_FACT_MOUNT, "%s:%s::%s:%s", m->host_path,
			       m->container_path, m->readonly ? "false" : "true",
			       propagation(m->propagation));
	}
}

/*
 * What a runtime adds under "info" when it is asked to be verbose, a JSON text; NULL: nothing that
 * can be read. Of no standard, so each runtime's way is looked for.
 */
static json_t *parse_info(const char *text)
{
	struct tip_error ignored;

	return text ? tip_answer_parse(text, strlen(text), &ignored) : NULL;
}

static const char *image_name(const Runtime__V1__ContainerStatus *s, json_t *info)
{
	static const char *const annotations[] = {"io.kubernetes.cri.image-name",
						  "io.kubernetes.cri-o.ImageName",
						  "io.kubernetes.cri-o.Image"};
	json_t *known = tip_answer_at(info, "runtimeSpec.annotations");
	const char *name = s->image ? s->image->image : "";

	if (s->image && *s->image->user_specified_image)
		name = s->image->user_specified_image;
	/* A bare id: the kubelet had pulled it by another name. */
	for (size_t i = 0; i < 3 && (!*name || strncmp(name, "sha256:", 7) == 0); i++) {
		const char *other = json_string_value(json_object_get(known, annotations[i]));

		name = other ? other : name;
	}
	return name;
}

static void add_image(struct tip_buf *facts, const Runtime__V1__ContainerStatus *s, json_t *info)
{
	const char *id = s->image_id, *at = strstr(s->image_ref, "sha256:");

	if (!*id)
		id = tip_answer_text(info, "config.image.image");
	if (id && strncmp(id, "sha256:", 7) == 0)
		id += 7;
	tip_facts_add_image(facts, image_name(s, info));
	tip_facts_add(facts, TIP_FACT_IMAGE_ID, id);
	tip_facts_add(facts, TIP_FACT_IMAGE_DIGEST, at);
}

static bool privileged(json_t *info)
{
	return tip_answer_true(info, "config.linux.security_context.privileged") ||
	       tip_answer_true(info, "privileged");
}

static void add_status(struct tip_buf *facts, const Runtime__V1__ContainerStatus *s, json_t *info,
		       struct tip_cri_seen *seen)
{
	if (s->metadata) {
		tip_facts_add(facts, TIP_FACT_NAME, s->metadata->name);
		snprintf(seen->name, sizeof(seen->name), "%s", s->metadata->name);
	}
	add_image(facts, s, info);
	if (s->started_at > 0)
		tip_facts_addf(facts, TIP_FACT_STARTED, "%lld", (long long)s->started_at);
	seen->settled = s->started_at > 0;
	add_mounts(facts, s);
	for (size_t i = 0; i < s->n_labels && i < ENTRIES_MAX; i++)
		tip_facts_addf(facts, TIP_FACT_LABEL, "%s=%s", s->labels[i]->key,
			       s->labels[i]->value);
}

int tip_cri_status(const uint8_t *msg, size_t len, const char *id, struct tip_buf *facts,
		   struct tip_cri_seen *seen, struct tip_error *err)
{
	Runtime__V1__ContainerStatusResponse *m =
		runtime__v1__container_status_response__unpack(NULL, len, msg);
	const Runtime__V1__ContainerStatus *s = m ? m->status : NULL;
	json_t *info = NULL;

	if (!s || strcmp(s->id, id) != 0) {
		runtime__v1__container_status_response__free_unpacked(m, NULL);
		return m ? tip_error_set(err, "the answer is about another container")
			 : no_answer(err);
	}
	for (size_t i = 0; i < m->n_info && !info; i++)
		if (strcmp(m->info[i]->key, "info") == 0)
			info = parse_info(m->info[i]->value);
	tip_facts_add_bool(facts, TIP_FACT_PRIVILEGED, privileged(info));
	add_status(facts, s, info, seen);
	json_decref(info);
	runtime__v1__container_status_response__free_unpacked(m, NULL);
	return 0;
}

static void add_namespaces(struct tip_buf *facts, const Runtime__V1__PodSandboxStatus *s)
{
	const Runtime__V1__NamespaceOption *o =
		s->on_linux && s->on_linux->namespaces ? s->on_linux->namespaces->options : NULL;

	if (!o)
		return;
	tip_facts_add_bool(facts, TIP_FACT_HOST_NETWORK, o->network == NODE);
	tip_facts_add_bool(facts, TIP_FACT_HOST_PID, o->pid == NODE);
	tip_facts_add_bool(facts, TIP_FACT_HOST_IPC, o->ipc == NODE);
}

/* What the network plugin answered: in containerd's info, in cri-o's annotations. */
static void add_cni(struct tip_buf *facts, const Runtime__V1__PodSandboxStatus *s, json_t *info)
{
	json_t *interfaces = tip_answer_at(info, "cniResult.Interfaces");
	char *text = interfaces ? json_dumps(interfaces, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	const char *cni = text;

	for (size_t i = 0; i < s->n_annotations && !cni; i++)
		if (strcmp(s->annotations[i]->key, "io.kubernetes.cri-o.CNIResult") == 0)
			cni = s->annotations[i]->value;
	tip_facts_add(facts, TIP_FACT_CNI_JSON, cni);
	tip_facts_add(facts, TIP_FACT_POD_CNI_JSON, cni);
	free(text);
}

static void add_sandbox(struct tip_buf *facts, const Runtime__V1__PodSandboxStatus *s, json_t *info,
			const char *container)
{
	tip_facts_add(facts, TIP_FACT_POD_SANDBOX, s->id);
	if (s->metadata) {
		tip_facts_add(facts, TIP_FACT_POD_NAME, s->metadata->name);
		tip_facts_add(facts, TIP_FACT_POD_UID, s->metadata->uid);
		tip_facts_add(facts, TIP_FACT_NAMESPACE, s->metadata->namespace_);
	}
	if (s->network) {
		tip_facts_add(facts, TIP_FACT_IP, s->network->ip);
		tip_facts_add(facts, TIP_FACT_POD_IP, s->network->ip);
	}
	add_namespaces(facts, s);
	add_cni(facts, s, info);
	for (size_t i = 0; i < s->n_annotations; i++)
		if (strcmp(s->annotations[i]->key,
			   "kubectl.kubernetes.io/last-applied-configuration") == 0)
			tip_answer_probes(facts, s->annotations[i]->value, container);
	for (size_t i = 0; i < s->n_labels && i < ENTRIES_MAX; i++)
		tip_facts_addf(facts, TIP_FACT_POD_LABEL, "%s=%s", s->labels[i]->key,
			       s->labels[i]->value);
}

/* Of the sandbox's own container. */
static void add_own(struct tip_buf *facts, const Runtime__V1__PodSandboxStatus *s, json_t *info,
		    struct tip_cri_seen *seen)
{
	tip_facts_add_image(facts, tip_answer_text(info, "image"));
	if (s->created_at > 0)
		tip_facts_addf(facts, TIP_FACT_STARTED, "%lld", (long long)s->created_at);
	seen->settled = s->network && *s->network->ip;
}

int tip_cri_sandbox(const uint8_t *msg, size_t len, const char *id, bool own, struct tip_buf *facts,
		    struct tip_cri_seen *seen, struct tip_error *err)
{
	Runtime__V1__PodSandboxStatusResponse *m =
		runtime__v1__pod_sandbox_status_response__unpack(NULL, len, msg);
	const Runtime__V1__PodSandboxStatus *s = m ? m->status : NULL;
	json_t *info = NULL;

	if (!s || strcmp(s->id, id) != 0) {
		runtime__v1__pod_sandbox_status_response__free_unpacked(m, NULL);
		return m ? tip_error_set(err, "the answer is about another sandbox")
			 : no_answer(err);
	}
	for (size_t i = 0; i < m->n_info && !info; i++)
		if (strcmp(m->info[i]->key, "info") == 0)
			info = parse_info(m->info[i]->value);
	if (own) {
		tip_facts_add_bool(facts, TIP_FACT_PRIVILEGED, privileged(info));
		add_own(facts, s, info, seen);
	}
	add_sandbox(facts, s, info, seen->name);
	json_decref(info);
	runtime__v1__pod_sandbox_status_response__free_unpacked(m, NULL);
	return 0;
}

/* "v2.0.1", "1.7.24-k3s1" is of that version, or a later one. */
static bool is_since(const char *version, unsigned int major, unsigned int minor)
{
	unsigned int a, b;

	version += *version == 'v';
	if (sscanf(version, "%9u.%9u", &a, &b) != 2)
		return false;
	return a > major || (a == major && b >= minor);
}

int tip_cri_version(const uint8_t *msg, size_t len, struct tip_cri_runtime *out,
		    struct tip_error *err)
{
	Runtime__V1__VersionResponse *m = runtime__v1__version_response__unpack(NULL, len, msg);

	if (!m)
		return no_answer(err);
	snprintf(out->name, sizeof(out->name), "%s", m->runtime_name);
	out->shares_events =
		(strcmp(m->runtime_name, "containerd") == 0 &&
		 is_since(m->runtime_version, 2, 0)) ||
		(strcmp(m->runtime_name, "cri-o") == 0 && is_since(m->runtime_version, 1, 28));
	runtime__v1__version_response__free_unpacked(m, NULL);
	return 0;
}

int tip_cri_event(const uint8_t *msg, size_t len, char id[65], struct tip_buf *facts,
		  struct tip_error *err)
{
	Runtime__V1__ContainerEventResponse *m =
		runtime__v1__container_event_response__unpack(NULL, len, msg);
	const Runtime__V1__PodSandboxStatus *pod = m ? m->pod_sandbox_status : NULL;
	struct tip_cri_seen seen = {0};
	int ret = 0;

	if (!m)
		return no_answer(err);
	if (m->container_event_type != CREATED && m->container_event_type != STARTED)
		goto out;
	if (!tip_facts_is_id(m->container_id)) {
		ret = tip_error_set(err, "an event about no container");
		goto out;
	}
	memcpy(id, m->container_id, 65);
	for (size_t i = 0; i < m->n_containers_statuses; i++)
		if (strcmp(m->containers_statuses[i]->id, id) == 0)
			add_status(facts, m->containers_statuses[i], NULL, &seen);
	if (pod && strcmp(pod->id, id) == 0)
		add_own(facts, pod, NULL, &seen);
	if (pod)
		add_sandbox(facts, pod, NULL, seen.name);
	ret = 1;
out:
	runtime__v1__container_event_response__free_unpacked(m, NULL);
	return ret;
}
