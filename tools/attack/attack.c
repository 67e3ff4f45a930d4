/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attack: acts out, without harm, what the shipped rules are about. One file of acts/ is one act.
 */
#include "act.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* An act that takes longer hangs: none waits for anything that long. */
#define ACT_SECONDS 60
#define ACTS_MAX    256

/* Installed, it is tipstaff-attack. */
static void usage(FILE *to)
{
	const char *me = program_invocation_short_name;

	fprintf(to,
		"usage: %s list [--json]\n"
		"       %s run NAME...|all [--innocent] [--hold]\n"
		"\n"
		"Acts out what the shipped rules are about, without harm: files are covered by "
		"private\n"
		"ones, connections stay on this host, and nothing is left behind.\n"
		"\n"
		"  list         the acts: the rule that fires, the technique of MITRE ATT&CK, the "
		"needs\n"
		"  run NAME...  do these, or all of them\n"
		"  --innocent   do the innocent neighbour of each instead: no rule fires\n"
		"  --hold       after each act, wait for a line before its container and processes "
		"end\n"
		"  --json       one JSON document\n"
		"  -h, --help   this text\n"
		"\n"
		"exit status of run: 0 done (of all: none failed), 77 skipped, 1 failed, 2 wrong "
		"usage\n",
		me, me);
}

/* ---- the table ------------------------------------------------------------------------------ */

/* The linker's: the bounds of what ACT() entered. */
extern const struct act *const acts_begin[] __asm__("__start_acts");
extern const struct act *const acts_end[] __asm__("__stop_acts");

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct act *const *)a)->name, (*(const struct act *const *)b)->name);
}

/* The table in alphabetical order; how many. */
static size_t acts_sorted(const struct act *out[ACTS_MAX])
{
	size_t n = 0;

	for (const struct act *const *p = acts_begin; p != acts_end && n < ACTS_MAX; p++)
		out[n++] = *p;
	qsort(out, n, sizeof(out[0]), by_name);
	return n;
}

const struct act *act_find(const char *name)
{
	for (const struct act *const *p = acts_begin; p != acts_end; p++)
		if (strcmp((*p)->name, name) == 0)
			return *p;
	return NULL;
}

static const struct {
	unsigned int bit;
	const char *name;
} needs[] = {
	{NEED_ROOT, "root"},
	{NEED_CGROUP, "cgroup2"},
	{NEED_IDENTITY, "identity"},
	{NEED_QUARANTINE, "quarantine"},
};
#define NEEDS (sizeof(needs) / sizeof(needs[0]))

static void list_text(const struct act *const acts[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *comma = "";

		printf("%s\n    %s\n    innocent: %s\n    rule: %s (%s)\n    needs: ",
		       acts[i]->name, acts[i]->does, acts[i]->innocent, acts[i]->rule,
		       acts[i]->technique);
		for (size_t k = 0; k < NEEDS; k++) {
			if (!(acts[i]->needs & needs[k].bit))
				continue;
			printf("%s%s", comma, needs[k].name);
			comma = ", ";
		}
		printf("%s\n", *comma ? "" : "nothing");
	}
}

static void json_string(const char *s, size_t len)
{
	putchar('"');
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '"' || s[i] == '\\')
			putchar('\\');
		putchar(s[i]);
	}
	putchar('"');
}

static void json_member(const char *key, const char *value)
{
	printf("\"%s\":", key);
	json_string(value, strlen(value));
	putchar(',');
}

static void list_json(const struct act *const acts[], size_t count)
{
	printf("{\"acts\":[");
	for (size_t i = 0; i < count; i++) {
		const char *comma = "";

		printf("%s{", i ? "," : "");
		json_member("name", acts[i]->name);
		json_member("does", acts[i]->does);
		json_member("innocent", acts[i]->innocent);
		json_member("rule", acts[i]->rule);
		json_member("technique", acts[i]->technique);
		printf("\"needs\":[");
		for (size_t k = 0; k < NEEDS; k++) {
			if (!(acts[i]->needs & needs[k].bit))
				continue;
			printf("%s\"%s\"", comma, needs[k].name);
			comma = ",";
		}
		printf("],\"shows\":{");
		for (size_t k = 0; k < ACT_SHOWS && acts[i]->shows[k]; k++) {
			const size_t len = strcspn(acts[i]->shows[k], "=");
			const char *value = acts[i]->shows[k] + len + 1;

			printf("%s", k ? "," : "");
			json_string(acts[i]->shows[k], len);
			putchar(':');
			json_string(value, strlen(value));
		}
		printf("}}");
	}
	printf("]}\n");
}

/* ---- running -------------------------------------------------------------------------------- */

void skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	_exit(SKIPPED);
}

void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	_exit(FAILED);
}

static void in_child(const struct act *a, bool innocent, int why)
{
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* What it says is the reason why it did not do it; it has nothing to hear. */
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    dup2(why, STDERR_FILENO) < 0)
		_exit(FAILED);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(ACT_SECONDS);
	if ((a->needs & NEED_ROOT) && geteuid() != 0)
		skip("needs root");
	if (a->needs & NEED_ROOT)
		stage_set();
	a->run(innocent);
	_exit(DONE);
}

/* A child that lives, 0: there is none. */
static pid_t child(void)
{
	FILE *f = fopen("/proc/thread-self/children", "re");
	pid_t pid = 0;

	if (f && fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

/* Kills and reaps what an act left running: it is all ours, since we are its subreaper. */
static void clear_the_stage(void)
{
	pid_t pid;

	while ((pid = child()) > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

/* `hold`: what the act made stays until a line comes, or none can. */
static int run_act(const struct act *a, bool innocent, bool hold)
{
	char why[256] = "";
	int pipefd[2], status = 0, c;
	const char *word;
	ssize_t len;
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC | O_NONBLOCK)) {
		fprintf(stderr, "attack: pipe: %s\n", strerror(errno));
		return FAILED;
	}
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		in_child(a, innocent, pipefd[1]);
	close(pipefd[1]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	len = read(pipefd[0], why, sizeof(why) - 1);
	close(pipefd[0]);
	why[len > 0 ? strcspn(why, "\n") : 0] = '\0';

	if (pid > 0 && WIFEXITED(status) &&
	    (WEXITSTATUS(status) == DONE || WEXITSTATUS(status) == SKIPPED)) {
		status = WEXITSTATUS(status);
	} else {
		if (pid > 0 && WIFSIGNALED(status))
			snprintf(why, sizeof(why), "ended by signal %d", WTERMSIG(status));
		status = FAILED;
	}
	word = status == DONE ? "done" : status == SKIPPED ? "skipped" : "failed";
	printf("%-8s%s%s%s%s\n", word, a->name, innocent ? " (innocent)" : "", *why ? ": " : "",
	       why);
	fflush(stdout);
	while (hold && (c = getchar()) != EOF && c != '\n')
		;
	clear_the_stage();
	if (pid > 0 && (a->needs & NEED_CGROUP))
		container_remove(pid);
	return status;
}

static int list(const struct act *const acts[], size_t count, int argc, char **argv)
{
	if (argc > 1 || (argc == 1 && strcmp(argv[0], "--json") != 0)) {
		fprintf(stderr, "attack: list takes --json and nothing else\n");
		return 2;
	}
	if (argc)
		list_json(acts, count);
	else
		list_text(acts, count);
	return 0;
}

static int run(const struct act *const acts[], size_t count, int argc, char **argv)
{
	int worst = DONE, done = 0, named = 0, ran = 0;
	bool innocent = false, hold = false, all = false;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--innocent") == 0) {
			innocent = true;
		} else if (strcmp(argv[i], "--hold") == 0) {
			hold = true;
		} else if (strcmp(argv[i], "all") == 0) {
			all = true;
		} else if (act_find(argv[i])) {
			named++;
		} else {
			fprintf(stderr,
				"attack: there is no act \"%s\"; `attack list` names them\n",
				argv[i]);
			return 2;
		}
	}
	if (all == (named > 0)) {
		fprintf(stderr, "attack: run takes names of acts, or all\n");
		return 2;
	}
	/* Whatever an act leaves behind becomes our child, and ends with it. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (size_t i = 0; i < count; i++) {
		bool chosen = all;
		int status;

		for (int k = 0; k < argc && !chosen; k++)
			chosen = strcmp(argv[k], acts[i]->name) == 0;
		if (!chosen)
			continue;
		status = run_act(acts[i], innocent, hold);
		ran++;
		done += status == DONE;
		if (worst != FAILED && status != DONE)
			worst = status;
	}
	if (ran > 1)
		printf("%d of %d done\n", done, ran);
	return all && worst == SKIPPED ? DONE : worst;
}

int main(int argc, char **argv)
{
	const char *verb = getenv(STEP_VERB), *arg = getenv(STEP_ARG);
	const struct act *acts[ACTS_MAX];
	size_t count;

	if (verb && arg) {
		do_step(verb, arg);
		return DONE;
	}
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
			usage(stdout);
			return 0;
		}
	}
	count = acts_sorted(acts);
	if (argc > 1 && strcmp(argv[1], "list") == 0)
		return list(acts, count, argc - 2, argv + 2);
	if (argc > 1 && strcmp(argv[1], "run") == 0)
		return run(acts, count, argc - 2, argv + 2);
	usage(stderr);
	return 2;
}
