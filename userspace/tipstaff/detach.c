/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "control/control.h"
#include "intercept/intercept.h"
#include "sensor/sensor.h"
#include "tipstaff/out.h"
#include "tipstaff/tipstaff.h"

static void show(json_t *result, bool by_daemon, const char *instance)
{
	long long removed = get_int(result, "removed");

	if (cli.json) {
		out_json(result);
		return;
	}
	if (by_daemon)
		out_print("the daemon removed %lld pins and stops\n", removed);
	else
		out_print("no daemon of instance %s is on %s: removed %lld pins directly\n",
			  instance, cli.socket, removed);
	out_print("nothing of that instance is enforced or observed any more\n");
}

/* Without a daemon the pins still enforce; this is the only other way to lift them, and it is
 * logged. */
static int detach_directly(const char *instance)
{
	struct tip_error err = {0};
	json_t *result;
	int removed;

	if (geteuid() != 0)
		return cli_fail("run it with sudo", "only root may remove the pins");
	if (tip_sensor_daemon_runs(instance))
		return cli_fail("name its socket with --socket or TIPSTAFF_SOCKET",
				"a daemon of instance %s runs, but not on %s", instance,
				cli.socket);
	removed = tip_sensor_detach(instance, &err);
	if (removed >= 0)
		removed += tip_intercept_remove_rules(instance);
	openlog("tipstaff", LOG_PID, LOG_AUTHPRIV);
	if (removed < 0)
		syslog(LOG_ERR, "detach of instance %s by uid %u failed: %s", instance, getuid(),
		       err.text);
	else
		syslog(LOG_NOTICE,
		       "detach: removed %d pins of instance %s, by uid %u, no daemon running",
		       removed, instance, getuid());
	closelog();
	if (removed < 0)
		return cli_fail_error(&err, NULL);
	result =
		json_pack("{s:i, s:s, s:b}", "removed", removed, "instance", instance, "daemon", 0);
	show(result, false, instance);
	json_decref(result);
	return CLI_OK;
}

/* True when the daemon on the socket serves another instance than the one asked for. 1, 0, or -1:
 * error. */
static int other_instance(const char *instance)
{
	json_t *status = cli_call("status", NULL);
	int ret;

	if (!status)
		return -1;
	ret = strcmp(get_string(status, "instance", ""), instance) != 0;
	json_decref(status);
	return ret;
}

static int do_detach(const struct cli_args *args)
{
	const char *instance = cli_value(args, "instance", NULL);
	json_t *result;
	int running, other = 0;

	if (!cli_given(args, "all"))
		return cli_usage("it lifts every protection of the instance, and is logged",
				 "detach wants --all");
	/* It becomes part of a path. */
	if (instance && (!*instance || *instance == '.' || strchr(instance, '/')))
		return cli_usage(NULL, "\"%s\" is not the name of an instance", instance);
	running = tip_control_probe(cli.socket);
	if (running < 0)
		return cli_fail("only root may control the daemon: run it with sudo", "%s: %m",
				cli.socket);
	if (running && instance)
		other = other_instance(instance);
	if (other < 0)
		return CLI_FAIL;
	if (!running || other)
		return detach_directly(instance ? instance : "default");
	result = cli_call("detach", json_pack("{s:b}", "all", 1));
	if (!result)
		return CLI_FAIL;
	show(result, true, instance);
	json_decref(result);
	return CLI_OK;
}

static const struct cli_option options[] = {
	{"all", 0, NULL, "yes, everything (required)", CLI_COMPLETE_NONE},
	{"instance", 0, "NAME", "whose pins, when no daemon runs (default)", CLI_COMPLETE_NONE},
	{.name = NULL},
};

const struct cli_command cmd_detach = {
	.name = "detach",
	.operands = "--all",
	.help = "remove every program and pin from the kernel, and stop the daemon",
	.more = "Enforcement outlives the daemon on purpose: stopping or killing it lifts nothing. "
		"This\n"
		"does. The daemon does it if one listens; otherwise the pins are removed from "
		"here,\n"
		"and syslog says so.",
	.options = options,
	.run = do_detach,
};
