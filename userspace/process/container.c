/* SPDX-License-Identifier: Apache-2.0 */
#include "process/container.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "process/process.h"

#define ID_LEN 64

/* Seconds until a container that nobody knew is worth another question. */
#define RETRY_NS (10ULL * 1000 * 1000 * 1000)

/* ---- names ---------------------------------------------------------------------------------- */

/*
 * What runtimes put before the id. conmon's own scopes ("libpod-conmon-ID.scope") are left out on
 * purpose: that process runs on the host.
 */
static const struct {
	const char *text;
	enum tip_runtime runtime;
	const char *type;
} prefixes[] = {
	{"docker-", TIP_RUNTIME_DOCKER, "docker"},
	{"cri-containerd-", TIP_RUNTIME_CRI, "containerd"},
	{"crio-", TIP_RUNTIME_CRI, "cri-o"},
	{"nerdctl-", TIP_RUNTIME_CRI, "containerd"},
	{"libpod-", TIP_RUNTIME_PODMAN, "podman"},
	{"libpod-payload-", TIP_RUNTIME_PODMAN, "podman"},
};

static bool is_id(const char *s)
{
	for (size_t i = 0; i < ID_LEN; i++) {
		bool hex = (s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f');

		if (!hex)
			return false;
	}
	return true;
}

/* Not a name in an id's place. */
static bool has_id(const struct tip_container *k)
{
	return strlen(k->id) == ID_LEN && is_id(k->id);
}

static bool known_prefix(const char *name, size_t len, struct tip_container_name *out)
{
	static const char cri[] = ":cri-containerd:";

	if (len == 0) /* plain runc, docker with cgroupfs: the folder is the id */
		return true;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(prefixes); i++) {
		if (len == strlen(prefixes[i].text) && memcmp(name, prefixes[i].text, len) == 0) {
			out->runtime = prefixes[i].runtime;
			out->type = prefixes[i].type;
			return true;
		}
	}
	/* containerd with the systemd driver's name but the cgroupfs driver:
	 * "slice:cri-containerd:ID" */
	if (len < sizeof(cri) - 1 ||
	    memcmp(name + len - (sizeof(cri) - 1), cri, sizeof(cri) - 1) != 0)
		return false;
	out->runtime = TIP_RUNTIME_CRI;
	out->type = "containerd";
	return true;
}

static bool component_id(const char *name, size_t len, struct tip_container_name *out)
{
	static const char scope[] = ".scope";
	const char *id;

	if (len > sizeof(scope) - 1 &&
	    memcmp(name + len - (sizeof(scope) - 1), scope, sizeof(scope) - 1) == 0)
		len -= sizeof(scope) - 1;
	if (len < ID_LEN)
		return false;
	id = name + len - ID_LEN;
	if (!is_id(id) || !known_prefix(name, len - ID_LEN, out))
		return false;
	memcpy(out->id, id, ID_LEN);
	out->id[ID_LEN] = '\0';
	return true;
}

static bool starts(const char *name, size_t len, const char *with)
{
	return len > strlen(with) && memcmp(name, with, strlen(with)) == 0;
}

static bool ends(const char *name, size_t len, const char *with)
{
	return len > strlen(with) && memcmp(name + len - strlen(with), with, strlen(with)) == 0;
}

/*
 * Those that have a name for an id: lxc, libvirt's and BOSH's (bpm). `before`: the component above.
 * No runtime is asked about them.
 */
static bool component_name(const char *before, size_t before_len, const char *name, size_t len,
			   struct tip_container_name *out)
{
	static const char lxc[] = "lxc.payload.", machine[] = "machine-lxc\\x2d", bpm[] = "bpm-";
	static const char libvirt[] = ".libvirt-lxc", scope[] = ".scope";

	if ((before_len == 3 && memcmp(before, "lxc", 3) == 0) ||
	    (before_len == 11 && memcmp(before, lxc, 11) == 0)) {
		out->type = "lxc";
	} else if (starts(name, len, lxc)) {
		out->type = "lxc";
		name += strlen(lxc);
		len -= strlen(lxc);
	} else if (starts(name, len, machine) && ends(name, len, scope)) {
		out->type = "libvirt-lxc";
		name += strlen(machine);
		len -= strlen(machine) + strlen(scope);
	} else if (ends(name, len, libvirt)) {
		out->type = "libvirt-lxc";
		len -= strlen(libvirt);
	} else if (starts(name, len, bpm)) {
		out->type = "bpm";
		name += strlen(bpm);
		len -= strlen(bpm);
		len -= ends(name, len, scope) ? strlen(scope) : 0;
	} else {
		return false;
	}
	len = len < ID_LEN ? len : ID_LEN;
	memcpy(out->id, name, len);
	out->id[len] = '\0';
	return len > 0;
}

bool tip_container_name_parse(const char *path, struct tip_container_name *out)
{
	const char *at = path, *before = path;
	size_t before_len = 0;

	*out = (struct tip_container_name){.runtime = TIP_RUNTIME_ANY};
	while (*at) {
		size_t len = strcspn(at, "/");

		if (component_id(at, len, out) ||
		    component_name(before, before_len, at, len, out)) {
			out->end = (size_t)(at - path) + len;
			return true;
		}
		before = at;
		before_len = len;
		at += len;
		at += strspn(at, "/");
	}
	return false;
}

bool tip_container_id_from_cgroup(const char *path, char out[65])
{
	struct tip_container_name name;
	bool found = tip_container_name_parse(path, &name);

	memcpy(out, name.id, sizeof(name.id));
	return found;
}

/* ---- facts ---------------------------------------------------------------------------------- */

const char *tip_container_fact(const struct tip_container *c, enum tip_fact which)
{
	return which < TIP_FACT_SINGLE ? c->fact[which] : NULL;
}

const char *tip_container_fact_next(const struct tip_container *c, enum tip_fact which,
				    const char *at)
{
	const char *end = c->facts + c->facts_len, *p;

	/* From a text to the kind of the next one. */
	p = at ? at + strlen(at) + 1 : c->facts;
	while (p && p < end) {
		if ((unsigned char)*p == which)
			return p + 1;
		p += strlen(p + 1) + 2;
	}
	return NULL;
}

static bool well_formed(const char *facts, size_t len)
{
	const char *p = facts, *end = facts + len;

	if (len > TIP_FACTS_MAX)
		return false;
	while (p < end) {
		const char *nul = memchr(p + 1, '\0', (size_t)(end - p - 1));
		unsigned char kind = (unsigned char)*p;

		if (!nul || nul - p - 1 > TIP_FACT_TEXT_MAX || kind == 0 || kind >= TIP_FACT_MAX ||
		    (kind >= TIP_FACT_SINGLE && kind < TIP_FACT_LABEL))
			return false;
		p = nul + 1;
	}
	return true;
}

static void take_facts(struct tip_container *c, const char *facts, size_t len)
{
	free(c->facts);
	memset(c->fact, 0, sizeof(c->fact));
	c->facts = tip_alloc(len + 1);
	memcpy(c->facts, facts, len);
	c->facts_len = len;
	for (const char *p = c->facts; p < c->facts + len; p += strlen(p + 1) + 2) {
		unsigned char kind = (unsigned char)*p;

		if (kind < TIP_FACT_SINGLE && !c->fact[kind])
			c->fact[kind] = p + 1;
	}
}

/* ---- the table ------------------------------------------------------------------------------ */

struct tip_containers {
	struct tip_map *by_path;
	size_t max_known;
	size_t asked; /* records that are ASKED or KNOWN */
	uint64_t overflow, untrusted, answers, malformed;
};

struct tip_containers *tip_containers_new(size_t max_known)
{
	struct tip_containers *c = tip_alloc(sizeof(*c));

	c->by_path = tip_map_new();
	c->max_known = max_known;
	return c;
}

static void record_free(void *p)
{
	struct tip_container *k = p;

	free(k->facts);
	free((char *)k->path);
	free(k);
}

void tip_containers_free(struct tip_containers *c)
{
	if (!c)
		return;
	tip_map_free(c->by_path, record_free);
	free(c);
}

void tip_containers_limit(struct tip_containers *c, size_t max_known)
{
	c->max_known = max_known;
}

struct tip_container *tip_containers_get(struct tip_containers *c, const char *path,
					 bool (*trusted)(void *ctx, const char *path), void *ctx)
{
	struct tip_container_name name;
	struct tip_container *k;

	if (!tip_container_name_parse(path, &name))
		return NULL;
	k = tip_map_get(c->by_path, path, name.end);
	if (!k) {
		k = tip_alloc(sizeof(*k));
		k->path = tip_strndup(path, name.end);
		memcpy(k->id, name.id, sizeof(k->id));
		k->runtime = name.runtime;
		k->type = name.type;
		k->trusted = !trusted || trusted(ctx, k->path);
		if (!k->trusted || !has_id(k))
			k->state = TIP_CONTAINER_UNKNOWN;
		c->untrusted += !k->trusted;
		tip_map_put(c->by_path, path, name.end, k);
	}
	k->refs++;
	return k;
}

struct tip_container *tip_container_ref(struct tip_container *k)
{
	if (k)
		k->refs++;
	return k;
}

static bool counted(const struct tip_container *k)
{
	return k->state == TIP_CONTAINER_ASKED || k->state == TIP_CONTAINER_KNOWN;
}

void tip_containers_put(struct tip_containers *c, struct tip_container *k)
{
	if (!k || --k->refs)
		return;
	if (counted(k))
		c->asked--;
	tip_map_del(c->by_path, k->path, strlen(k->path));
	record_free(k);
}

bool tip_containers_want(struct tip_containers *c, struct tip_container *k, uint64_t now_ns)
{
	if (!k->trusted || counted(k) || !has_id(k) ||
	    (k->state == TIP_CONTAINER_UNKNOWN && now_ns < k->retry_ns))
		return false;
	if (c->asked >= c->max_known) {
		c->overflow++;
		k->state = TIP_CONTAINER_UNKNOWN;
		k->retry_ns = now_ns + RETRY_NS;
		return false;
	}
	k->state = TIP_CONTAINER_ASKED;
	k->asked_ns = now_ns;
	c->asked++;
	return true;
}

bool tip_containers_answer(struct tip_containers *c, const char *id, const void *facts, size_t len,
			   uint64_t now_ns)
{
	bool taken = false;
	size_t it = 0;
	struct tip_container *k;

	if (facts && !well_formed(facts, len)) {
		c->malformed++;
		return false;
	}
	while ((k = tip_map_next(c->by_path, &it))) {
		if (!counted(k) || strcmp(k->id, id) != 0)
			continue;
		taken = true;
		if (facts) {
			take_facts(k, facts, len);
			k->state = TIP_CONTAINER_KNOWN;
		} else if (k->state == TIP_CONTAINER_ASKED) {
			k->state = TIP_CONTAINER_UNKNOWN;
			k->retry_ns = now_ns + RETRY_NS;
			c->asked--;
		}
	}
	c->answers += taken && facts;
	return taken;
}

void tip_containers_told(struct tip_containers *c, const char *id, const void *facts, size_t len)
{
	size_t it = 0;
	struct tip_container *k;

	if (!well_formed(facts, len)) {
		c->malformed++;
		return;
	}
	while ((k = tip_map_next(c->by_path, &it)))
		if (k->state == TIP_CONTAINER_ASKED && strcmp(k->id, id) == 0)
			take_facts(k, facts, len);
}

struct tip_container *tip_containers_next(const struct tip_containers *c, size_t *it)
{
	return tip_map_next(c->by_path, it);
}

void tip_containers_stats(const struct tip_containers *c, struct tip_container_stats *out)
{
	size_t it = 0;
	struct tip_container *k;

	*out = (struct tip_container_stats){
		.count = tip_map_count(c->by_path),
		.overflow = c->overflow,
		.untrusted = c->untrusted,
		.malformed = c->malformed,
		.answers = c->answers,
	};
	while ((k = tip_map_next(c->by_path, &it)))
		out->known += k->state == TIP_CONTAINER_KNOWN;
}
