/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/cgroup.h"
#include "process/process.h"

/* The table's file is linked as well; nothing here gets as far as these. */
int tip_sensor_proc(struct tip_sensor *s, const struct tip_proc_key *key, struct tip_proc *out)
{
	return -1;
}
int tip_sensor_binding(struct tip_sensor *s, uint64_t exec_id, struct tip_binding *b)
{
	return -1;
}
int tip_sensor_bind(struct tip_sensor *s, uint64_t exec_id, const struct tip_binding *b)
{
	return -1;
}
int tip_sensor_name_set(struct tip_sensor *s, uint32_t number, const char *spiffe_id)
{
	return -1;
}
void tip_sensor_names(struct tip_sensor *s, void (*fn)(void *ctx, uint32_t number, const char *id),
		      void *ctx)
{
}

#define ID    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

static void container_ids(void **state)
{
	static const char *const with[] = {
		"/system.slice/docker-" ID ".scope",
		"/docker/" ID,
		"/docker-" ID,
		"/kubepods.slice/kubepods-pod1.slice/cri-containerd-" ID ".scope",
		"/kubepods.slice/kubepods-pod1.slice/crio-" ID ".scope",
		"/kubepods/besteffort/pod12345678-1234-1234-1234-123456789012/" ID,
		"/system.slice/kubepods-pod1.slice:cri-containerd:" ID,
		"/machine.slice/libpod-" ID ".scope/container",
		"/machine.slice/libpod-payload-" ID,
		"/user.slice/nerdctl-" ID ".scope",
		/* what a container makes below its own cgroup is not believed */
		"/system.slice/docker-" ID ".scope/init.scope",
		"/system.slice/docker-" ID ".scope/docker-" OTHER ".scope",
		ID,
	};
	static const char *const without[] = {
		"",
		"/",
		"/system.slice/ssh.service",
		"/machine.slice/libpod-conmon-" ID ".scope",
		"/crio-conmon-" ID ".scope",
		"/x-" ID,
		"/docker-" ID "0.scope",
		"/docker-0" ID ".scope",
		"/docker-" ID ".scopes",
		"/docker-0123456789abcdef.scope",
		"/docker-0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF",
		"/" ID ".slice",
		"/.scope",
		"/lxc",
		"/lxc.payload.",
		"/bpm-",
		"/.libvirt-lxc",
	};
	static const struct {
		const char *path, *id;
	} named[] = {
		{"/lxc/web", "web"},
		{"/lxc/web/below", "web"},
		{"/lxc.payload/web", "web"},
		{"/lxc.payload.web/init.scope", "web"},
		{"/machine/web.libvirt-lxc", "web"},
		{"/machine.slice/machine-lxc\\x2d123\\x2dweb.scope", "123\\x2dweb"},
		{"/system.slice/bpm-web.scope", "web"},
	};
	char out[65];

	for (size_t i = 0; i < sizeof(named) / sizeof(*named); i++) {
		assert_true(tip_container_id_from_cgroup(named[i].path, out));
		assert_string_equal(out, named[i].id);
	}
	for (size_t i = 0; i < sizeof(with) / sizeof(*with); i++) {
		assert_true(tip_container_id_from_cgroup(with[i], out));
		assert_string_equal(out, ID);
	}
	for (size_t i = 0; i < sizeof(without) / sizeof(*without); i++) {
		assert_false(tip_container_id_from_cgroup(without[i], out));
		assert_string_equal(out, "");
	}
}

static void paths_by_id(void **state)
{
	char mount[256], dir[512], name[128];
	struct tip_cgroup *g, *again, *root;
	struct tip_cgroups *c;
	struct stat st, root_st;
	FILE *f = fopen("/proc/self/mounts", "r");
	char line[1024];

	mount[0] = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		if (strstr(line, " cgroup2 "))
			sscanf(line, "%*s %255s", mount);
	}
	if (f)
		fclose(f);
	if (!*mount || geteuid() != 0)
		skip();
	snprintf(name, sizeof(name), "/tip-unit-process-%d", getpid());
	snprintf(dir, sizeof(dir), "%s%s", mount, name);
	if (mkdir(dir, 0755) != 0)
		skip();
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(stat(mount, &root_st), 0);

	c = tip_cgroups_new(mount);
	g = tip_cgroup_get(c, st.st_ino);
	root = tip_cgroup_get(c, root_st.st_ino);
	again = tip_cgroup_get(c, st.st_ino);
	assert_int_equal(rmdir(dir), 0);
	assert_string_equal(g->path, name);
	assert_null(g->container);
	assert_string_equal(root->path, "/");
	assert_ptr_equal(g, again);
	/* gone, but remembered while somebody holds it, and for some time after */
	tip_cgroup_put(c, g);
	tip_cgroup_put(c, again);
	again = tip_cgroup_get(c, st.st_ino);
	assert_string_equal(again->path, name);
	tip_cgroup_put(c, again);
	for (uint64_t i = 0; i < TIP_CGROUPS_IDLE; i++) {
		g = tip_cgroup_get(c, 0xffff000000000000 + i);
		assert_string_equal(g->path, "");
		tip_cgroup_put(c, g);
	}
	again = tip_cgroup_get(c, st.st_ino);
	assert_string_equal(again->path, "");
	tip_cgroup_put(c, again);
	tip_cgroup_put(c, root);
	tip_cgroups_free(c);
}

static void no_mount_no_paths(void **state)
{
	struct tip_cgroups *c = tip_cgroups_new("");
	struct tip_cgroup *g = tip_cgroup_get(c, 1);

	assert_string_equal(g->path, "");
	tip_cgroup_put(c, g);
	tip_cgroups_free(c);
	c = tip_cgroups_new("/tmp");
	g = tip_cgroup_get(c, 1);
	assert_string_equal(g->path, "");
	tip_cgroup_put(c, g);
	tip_cgroups_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(container_ids),
		cmocka_unit_test(paths_by_id),
		cmocka_unit_test(no_mount_no_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
