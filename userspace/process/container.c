/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "process/process.h"

#define ID_LEN 64

/*
 * What runtimes put before the id. conmon's own scopes ("libpod-conmon-ID.scope") are left out on
 * purpose: that process runs on the host.
 */
static const char *const prefixes[] = {
	"docker-", "cri-containerd-", "crio-", "nerdctl-", "libpod-", "libpod-payload-",
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

static bool known_prefix(const char *name, size_t len)
{
	static const char cri[] = ":cri-containerd:";

	if (len == 0) /* plain runc: the folder is the id */
		return true;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(prefixes); i++) {
		if (len == strlen(prefixes[i]) && memcmp(name, prefixes[i], len) == 0)
			return true;
	}
	/* containerd with the systemd driver's name but the cgroupfs driver:
	 * "slice:cri-containerd:ID" */
	return len >= sizeof(cri) - 1 &&
	       memcmp(name + len - (sizeof(cri) - 1), cri, sizeof(cri) - 1) == 0;
}

static bool component_id(const char *name, size_t len, char out[65])
{
	static const char scope[] = ".scope";
	const char *id;

	if (len > sizeof(scope) - 1 &&
	    memcmp(name + len - (sizeof(scope) - 1), scope, sizeof(scope) - 1) == 0)
		len -= sizeof(scope) - 1;
	if (len < ID_LEN)
		return false;
	id = name + len - ID_LEN;
	if (!is_id(id) || !known_prefix(name, len - ID_LEN))
		return false;
	memcpy(out, id, ID_LEN);
	out[ID_LEN] = '\0';
	return true;
}

bool tip_container_id_from_cgroup(const char *path, char out[65])
{
	while (*path) {
		size_t len = strcspn(path, "/");

		if (component_id(path, len, out))
			return true;
		path += len;
		path += strspn(path, "/");
	}
	out[0] = '\0';
	return false;
}
