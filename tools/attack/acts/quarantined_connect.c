/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <errno.h>

#include "../../../tests/attacks/attack.h"

/* Nobody listens there: who gets this far is refused, and not by a quarantine. */
#define NOBODY "127.0.0.1:9"

static void step(const char *arg)
{
	if (*arg) {
		await_identity();
		if (dial_tcp(NOBODY) == EPERM)
			skip("the identity of " STAGE "/workload is quarantined");
		return;
	}
	/* Who is quarantined gets no SVID that it could wait for. */
	for (int tries = 0; dial_tcp(NOBODY) != EPERM; tries++) {
		if (tries == 100)
			skip("quarantine the identity of " STAGE "/workload first");
		sleep_ms(100);
	}
}

static void run(bool innocent)
{
	run_as("workload", "quarantined-connect", innocent ? "innocent" : "");
}

ACT("quarantined-connect", .does = "a quarantined workload tries to connect",
    .innocent = "the same workload, not quarantined, connects",
    .rule = "Quarantined workload tried to connect", .technique = "T1071",
    .needs = NEED_ROOT | NEED_IDENTITY | NEED_QUARANTINE,
    .shows = {"fd.name=127.0.0.1:9", "evt.res=EPERM"}, .run = run, .step = step);
