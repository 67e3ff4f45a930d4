/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/version.h"
#include "tipstaff/out.h"
#include "tipstaff/tipstaff.h"

#define DEFAULT_SOCKET "/run/tipstaff/control.sock"

struct cli cli = {.socket = DEFAULT_SOCKET};

const struct cli_option cli_globals[] = {
	{"json", 'j', NULL, "print JSON: one document, or one a line where the command streams",
	 CLI_COMPLETE_NONE},
	{"socket", 0, "PATH", "the daemon's control socket (TIPSTAFF_SOCKET, " DEFAULT_SOCKET ")",
	 CLI_COMPLETE_FILE},
	{"workload-socket", 0, "ADDR",
	 "the Workload API (SPIFFE_ENDPOINT_SOCKET, workload.sock beside the control socket)",
	 CLI_COMPLETE_FILE},
	{"help", 'h', NULL, "what a command does and takes", CLI_COMPLETE_NONE},
	{"version", 'V', NULL, "the version of this client", CLI_COMPLETE_NONE},
	{NULL, 0, NULL, NULL, CLI_COMPLETE_NONE},
};

/* ---- errors ----------------------------------------------------------------------- */

static void say(const char *label, enum out_style style, const char *text)
{
	struct tip_buf safe = {0};

	out_safe(&safe, text);
	fprintf(stderr, "%s%s:%s %s\n", out_on(stderr, style), label, out_off(stderr),
		safe.len ? safe.data : "");
	tip_buf_free(&safe);
}

static void complain(const char *hint, const char *fmt, va_list ap)
{
	struct tip_buf text = {0};

	fflush(stdout);
	tip_buf_addv(&text, fmt, ap);
	say("tipstaff", OUT_RED, text.data);
	if (hint && *hint)
		say("hint", OUT_BLUE, hint);
	tip_buf_free(&text);
}

int cli_fail(const char *hint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(hint, fmt, ap);
	va_end(ap);
	return CLI_FAIL;
}

int cli_usage(const char *hint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(hint, fmt, ap);
	va_end(ap);
	return CLI_USAGE;
}

int cli_fail_error(const struct tip_error *err, const char *hint)
{
	char text[sizeof(*err) + 32];

	return cli_fail(hint, "%s", tip_error_str(err, text, sizeof(text)));
}

/* ---- version ------------------------------------------------------------------------ */

static int do_version(const struct cli_args *args)
{
	if (cli.json) {
		json_t *doc = json_pack("{s:s}", "version", TIP_VERSION);

		out_json(doc);
		json_decref(doc);
	} else {
		out_print("tipstaff %s\n", TIP_VERSION);
	}
	return CLI_OK;
}

const struct cli_command cmd_version = {
	.name = "version",
	.help = "the version of this client",
	.run = do_version,
};

int main(int argc, char **argv)
{
	const char *env = getenv("TIPSTAFF_SOCKET");
	int ret;

	out_init();
	if (env && *env)
		cli.socket = env;
	ret = cli_main(argc, argv);
	if (!out_end() && ret == CLI_OK)
		ret = cli_fail(NULL, "stdout: %s", strerror(errno));
	return ret;
}
