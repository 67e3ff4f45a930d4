/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

static void run(bool innocent)
{
	put("/run/secrets/workload-spiffe-credentials/private_key.pem", "no key\n");
	put("/run/shop/private_key.pem", "no key\n");
	cover("/run");
	run_as("collector", "read",
	       innocent ? "/run/shop/private_key.pem"
			: "/run/secrets/workload-spiffe-credentials/private_key.pem");
}

ACT("read-workload-key", .does = "a program without an identity reads a workload's key",
    .innocent = "it reads a file of another folder",
    .rule = "Workload key material opened by another process", .technique = "T1552.004",
    .needs = NEED_ROOT,
    .shows = {"fd.name=/run/secrets/workload-spiffe-credentials/private_key.pem",
	      "proc.name=collector"},
    .run = run);
