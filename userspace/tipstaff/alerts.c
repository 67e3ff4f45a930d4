/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "tipstaff/out.h"
#include "tipstaff/tipstaff.h"

static enum out_style priority_style(const char *priority)
{
	static const struct {
		const char *name;
		enum out_style style;
	} styles[] = {
		{"Emergency", OUT_RED}, {"Alert", OUT_RED},      {"Critical", OUT_RED},
		{"Error", OUT_RED},     {"Warning", OUT_YELLOW}, {"Notice", OUT_BLUE},
	};

	for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++)
		if (!strcasecmp(priority, styles[i].name))
			return styles[i].style;
	return OUT_DIM;
}

/*
 * Falco's `output` starts with "12:34:56.123456789: Warning ", which the line above it already
 * says. Anything else is left whole.
 */
static const char *without_prefix(const char *output, const char *priority)
{
	const char *p = output + strspn(output, "0123456789:.");
	size_t len = strlen(priority);

	if (p == output || p[-1] != ':' || *p != ' ' || strncasecmp(p + 1, priority, len) ||
	    p[1 + len] != ' ')
		return output;
	return p + 1 + len + 1;
}

/* "2026-11-22T05:04:03.123456789Z" -> "2026-11-22 05:04:03.123"; other forms stay. */
static void put_time(const char *time)
{
	if (strlen(time) >= 23 && time[10] == 'T' && time[19] == '.')
		out_print("%.10s %.12s", time, time + 11);
	else
		out_puts_safe(time);
}

static void put_alert(json_t *alert)
{
	const char *priority = get_string(alert, "priority", "?");

	out_print("%s", out_on(stdout, OUT_DIM));
	put_time(get_string(alert, "time", "-"));
	out_print("%s  %s", out_off(stdout), out_on(stdout, priority_style(priority)));
	out_puts_safe(priority);
	out_print("%s%*s%s", out_off(stdout),
		  strlen(priority) < 13 ? 15 - (int)strlen(priority) : 2, "",
		  out_on(stdout, OUT_BOLD));
	out_puts_safe(get_string(alert, "rule", "?"));
	out_print("%s\n    ", out_off(stdout));
	out_puts_safe(without_prefix(get_string(alert, "output", ""), priority));
	out_print("\n");
}

static void show(json_t *alert)
{
	if (cli.json)
		out_json_line(alert);
	else
		put_alert(alert);
}

static bool follow_one(void *ctx, json_t *alert)
{
	show(alert);
	/* A reader on a pipe wants each alert now; a reader that left ends the stream. */
	return out_end();
}

static int recent(long count)
{
	json_t *result = cli_call("alerts.recent", json_pack("{s:i}", "count", (int)count));
	json_t *list = json_object_get(result, "alerts"), *alert;
	size_t i;

	if (!result)
		return CLI_FAIL;
	if (cli.json)
		out_json(result);
	else if (json_array_size(list) == 0 && count > 0)
		out_print("no alerts since the daemon started\n");
	else
		json_array_foreach (list, i, alert)
			show(alert);
	json_decref(result);
	return CLI_OK;
}

static int do_alerts(const struct cli_args *args)
{
	bool follow = cli_given(args, "follow");
	const char *text = cli_value(args, "recent", follow ? "10" : "20");
	long count;
	int ret;

	ret = cli_number("--recent", text, 0, 100000, &count);
	if (ret)
		return ret;
	if (!follow)
		return recent(count);
	return cli_follow("alerts.follow", json_pack("{s:i}", "recent", (int)count), follow_one,
			  NULL);
}

static const struct cli_option options[] = {
	{"follow", 'f', NULL, "go on with new alerts until interrupted; JSON lines with --json",
	 CLI_COMPLETE_NONE},
	{"recent", 'n', "N", "how many of the latest to show first (20; with --follow 10)",
	 CLI_COMPLETE_NONE},
	{.name = NULL},
};

const struct cli_command cmd_alerts = {
	.name = "alerts",
	.help = "the latest alerts, or new ones as they come",
	.options = options,
	.run = do_alerts,
};
