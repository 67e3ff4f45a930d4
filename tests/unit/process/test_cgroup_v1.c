/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/cgroup_v1.h"

/* The hierarchy that a mountinfo leads to, NULL: none. */
static struct tip_cgroup_v1 *open_in(const char *text)
{
	char name[] = "/tmp/tip-mountinfo-XXXXXX";
	int fd = mkstemp(name);
	struct tip_cgroup_v1 *v;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	v = tip_cgroup_v1_open(name);
	unlink(name);
	return v;
}

#define CPU    "33 31 0:30 / /tmp rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
#define MEMORY "34 31 0:31 / / rw shared:3 - cgroup cgroup rw,memory\n"
#define OTHERS                                                                                     \
	"30 20 0:27 / /tmp rw - cgroup2 cgroup2 rw\n"                                              \
	"31 20 0:28 / /tmp rw - cgroup cgroup rw,xattr,name=systemd\n"                             \
	"32 20 0:29 /docker/x /tmp rw - cgroup cgroup rw,pids\n"                                   \
	"35 20 0:32 / /does/not/exist rw - cgroup cgroup rw,pids\n"                                \
	"garbage\n - cgroup \n"

static void the_best_hierarchy(void **state)
{
	char text[] = "9:name=systemd:/a\n4:memory:/b\n3:cpu,cpuacct:/c:d\n0::/e\n";
	char again[sizeof(text)], neither[] = "1:name=systemd:/x\nxx\n:\n";
	struct tip_cgroup_v1 *v;

	memcpy(again, text, sizeof(text));
	assert_null(open_in(OTHERS));
	assert_null(open_in(""));
	assert_null(tip_cgroup_v1_open("/does/not/exist"));
	v = open_in(OTHERS CPU);
	assert_non_null(v);
	assert_string_equal(tip_cgroup_v1_path(v, text), "/c:d");
	assert_null(tip_cgroup_v1_path(v, neither));
	tip_cgroup_v1_close(v);
	v = open_in(CPU OTHERS MEMORY CPU);
	assert_string_equal(tip_cgroup_v1_path(v, again), "/b");
	tip_cgroup_v1_close(v);
	tip_cgroup_v1_close(NULL);
}

static void a_process(void **state)
{
	struct tip_containers *all = tip_containers_new(10);
	struct tip_cgroup_v1 *v = open_in(CPU);
	bool gone;

	assert_null(tip_cgroup_v1_get(v, all, UINT32_MAX, &gone));
	assert_true(gone);
	tip_cgroup_v1_get(v, all, (uint32_t)getpid(), &gone);
	assert_false(gone);
	tip_cgroup_v1_close(v);
	tip_containers_free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_best_hierarchy),
		cmocka_unit_test(a_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
