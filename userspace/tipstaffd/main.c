/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/version.h"
#include "seal/tpm.h"
#include "tipstaffd/capabilities.h"
#include "tipstaffd/config.h"
#include "tipstaffd/front.h"
#include "tipstaffd/keeper.h"
#include "tipstaffd/resolver.h"
#include "tipstaffd/sandbox.h"

#define DEFAULT_CONFIG "/etc/tipstaff/tipstaff.yaml"

static void usage(FILE *out)
{
	fprintf(out,
		"usage: tipstaffd [--config FILE] [--no-prefilter] [--check | --replace]\n"
		"       tipstaffd --capabilities [--json]\n"
		"\n"
		"The Tipstaff node daemon. Runs in the foreground; stop it with SIGTERM. What it "
		"has\n"
		"pinned in the kernel keeps enforcing; `tipstaff detach --all` takes it away.\n"
		"\n"
		"  -c, --config FILE  configuration (default " DEFAULT_CONFIG ")\n"
		"      --check        check configuration, rules and entries, then exit\n"
		"      --replace      take over from the daemon of this configuration that "
		"runs:\n"
		"                     its listeners and held connects are handed on, then it "
		"ends\n"
		"      --no-prefilter have the kernel tell all that happens, whatever the rules "
		"need\n"
		"      --capabilities print what this kernel can do, each thing tried once, then "
		"exit\n"
		"      --json         with --capabilities: as JSON\n"
		"  -V, --version      print the version\n"
		"  -h, --help         this text\n"
		"\n"
		"SIGHUP reloads rules and entries and reopens the alert file; SIGUSR1 does only "
		"the last.\n"
		"See tipstaffd(8), tipstaff.yaml(5), tipstaff(1).\n");
}

/* Whoever started us without them would have a socket of ours stand there, and be written to. */
static int have_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	return fd < 0 ? -1 : close(fd);
}

static int number(const char *s, unsigned int *out)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(s, &end, 10);
	if (errno || end == s || *end || v > 0xfffffffeUL)
		return -1;
	*out = (unsigned int)v;
	return 0;
}

/* Not for people: how the keeper starts the other half. */
static int front_main(int argc, char **argv)
{
	unsigned int uid, gid;

	if (argc != 5 || number(argv[2], &uid) < 0 || number(argv[3], &gid) < 0) {
		fprintf(stderr, "tipstaffd: --front is for the keeper's use only\n");
		return 2;
	}
	return tip_front_run(uid, gid, argv[4]);
}

/* Nor this: how the keeper starts alerts.program. */
static int program_main(int argc, char **argv)
{
	unsigned int uid, gid;

	if (argc < 5 || number(argv[2], &uid) < 0 || number(argv[3], &gid) < 0) {
		fprintf(stderr, "tipstaffd: --program is for the keeper's use only\n");
		return 2;
	}
	return tip_sandbox_program(uid, gid, argv + 4);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'C'},
		{"replace", no_argument, NULL, 'R'},
		{"capabilities", no_argument, NULL, 'p'},
		{"json", no_argument, NULL, 'j'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{"no-prefilter", no_argument, NULL, 'F'},
		{NULL, 0, NULL, 0},
	};
	const char *path = DEFAULT_CONFIG;
	struct tip_config *config;
	struct tip_error err;
	bool check = false, replace = false, capabilities = false, json = false;
	bool prefilter = true;
	char text[1200];
	int c, ret;

	if (have_standard_descriptors() < 0)
		return 1;
	if (argc > 1 && strcmp(argv[1], "--front") == 0)
		return front_main(argc, argv);
	if (argc > 1 && strcmp(argv[1], "--program") == 0)
		return program_main(argc, argv);
	if (argc > 1 && strcmp(argv[1], "--tpm") == 0)
		return tip_tpm_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "--resolve") == 0)
		return tip_resolve_main(argc - 1, argv + 1);
	while ((c = getopt_long(argc, argv, "c:Vh", options, NULL)) != -1) {
		switch (c) {
		case 'c': path = optarg; break;
		case 'C': check = true; break;
		case 'R': replace = true; break;
		case 'p': capabilities = true; break;
		case 'j': json = true; break;
		case 'F': prefilter = false; break;
		case 'V': printf("tipstaffd " TIP_VERSION "\n"); return 0;
		case 'h': usage(stdout); return 0;
		default: usage(stderr); return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "tipstaffd: unexpected argument \"%s\"\n", argv[optind]);
		usage(stderr);
		return 2;
	}
	if (capabilities)
		return tip_capabilities_print(json);
	if (check && replace) {
		fprintf(stderr, "tipstaffd: --check and --replace do not go together\n");
		return 2;
	}
	if (json) {
		fprintf(stderr, "tipstaffd: --json goes with --capabilities\n");
		return 2;
	}
	config = tip_config_load(path, &err);
	if (!config) {
		fprintf(stderr, "tipstaffd: %s\n", tip_error_str(&err, text, sizeof(text)));
		if (!err.line)
			fprintf(stderr, "hint: name the configuration with --config; "
					"tipstaff.yaml(5) says what goes in\n");
		return 1;
	}
	config->prefilter = config->prefilter && prefilter;
	tip_log_init("keeper", config->log_level);
	/* A daemon that runs does not go for one that cannot start. */
	ret = check || replace ? tip_keeper_run(config, TIP_RUN_CHECK) : 0;
	if (!check && ret == 0)
		ret = tip_keeper_run(config, replace ? TIP_RUN_REPLACE : TIP_RUN);
	tip_config_free(config);
	return ret;
}
