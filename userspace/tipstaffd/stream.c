/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/keeper.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

/* The alert stream as the configuration wants it. */

int tip_stream_find_user(struct tip_keeper *k, struct tip_error *err)
{
	const struct tip_config *c = k->config;
	const struct passwd *pw;

	if (!c->program)
		return 0;
	if (access(c->program[0], X_OK) < 0)
		return tip_error_at(err, c->file, 0, 0,
				    "alerts.program.command: %s cannot be executed", c->program[0]);
	pw = tip_find_user(c->program_user, true);
	if (!pw)
		return tip_error_at(err, c->file, 0, 0,
				    "alerts.program.user: there is no user \"%s\"",
				    c->program_user);
	/* Who has the front's uid may stop it, and send it signals. */
	if (pw->pw_uid == 0 || pw->pw_gid == 0 || pw->pw_uid == k->front.uid)
		return tip_error_at(err, c->file, 0, 0,
				    "alerts.program.user: \"%s\" is %s; give the program a user "
				    "of its own",
				    c->program_user,
				    pw->pw_uid == k->front.uid ? "the front's user" : "root");
	k->program_uid = pw->pw_uid;
	k->program_gid = pw->pw_gid;
	return 0;
}

/* "tipstaffd --program UID GID COMMAND...": it gives up what it has, then executes the command. */
static const char **program_argv(const struct tip_keeper *k, char *uid, char *gid, size_t size)
{
	const struct tip_config *c = k->config;
	const char **argv = tip_calloc(c->nprogram + 5, sizeof(*argv));

	snprintf(uid, size, "%u", (unsigned int)k->program_uid);
	snprintf(gid, size, "%u", (unsigned int)k->program_gid);
	argv[0] = "/proc/self/exe";
	argv[1] = "--program";
	argv[2] = uid;
	argv[3] = gid;
	memcpy(argv + 4, c->program, c->nprogram * sizeof(*argv));
	return argv;
}

int tip_stream_open(struct tip_keeper *k, struct tip_error *err)
{
	const struct tip_config *c = k->config;
	char uid[16], gid[16];
	const char **argv = c->program ? program_argv(k, uid, gid, sizeof(uid)) : NULL;
	char *spool = tip_sprintf("%s/spool", c->state_dir);
	const struct tip_alerts_config ac = {
		.stdout_enabled = c->alerts_stdout,
		.file = c->alerts_file,
		.syslog = c->syslog ? c->syslog_socket : NULL,
		.facility = c->syslog_facility,
		.program = argv,
		.program_keep_alive = c->program_keep_alive,
		.json = c->alerts_json,
		.form = {.no_output = !c->include_output,
			 .no_fields = !c->include_fields,
			 .no_tags = !c->include_tags,
			 .message = c->include_message,
			 .iso8601 = c->time_iso8601},
		.fields = c->alert_fields,
		.nfields = c->nalert_fields,
		.queue = c->alert_queue,
		.timeout_ns = c->alert_timeout * 1000000ULL,
		.buffered = c->buffered,
		.hostname = k->hostname,
		.spooled = c->spooled,
		.nspooled = c->nspooled,
		.spool = spool,
		.spool_max = (uint64_t)c->spool_mib << 20,
	};

	k->alerts = tip_alerts_new(&ac, err);
	free(spool);
	free(argv);
	return k->alerts ? 0 : -1;
}

struct tip_rules_options tip_stream_rules_options(const struct tip_keeper *k)
{
	const struct tip_config *c = k->config;

	return (struct tip_rules_options){
		.min_priority = c->min_priority,
		.append = c->append,
		.nappend = c->nappend,
		.base64 = c->base64,
	};
}
