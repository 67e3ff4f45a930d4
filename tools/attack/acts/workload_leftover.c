/* SPDX-License-Identifier: Apache-2.0 */
#include "../act.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * A first instance of the workload starts a program and ends, or, of the innocent, stays; a second
 * one starts; then the program of the first starts another. A player is told "PART READY GO": it
 * writes a byte to the descriptor READY when it is so far, and waits for one of GO.
 */
struct player {
	pid_t pid;
	int ready;
};

static void say(int fd)
{
	if (write(fd, "", 1) != 1)
		fail("a pipe: %s", strerror(errno));
}

static bool hear(int fd)
{
	char c;

	return read(fd, &c, 1) == 1;
}

/* Waits for its byte; where none comes, this process ends as it did. */
static void hear_of(const struct player *p)
{
	if (hear(p->ready))
		return;
	await(p->pid);
	fail("a player ended too early");
}

static void play(const char *name, const char *part, int ready, int go)
{
	char *const argv[] = {(char *)name, NULL};
	char path[64], arg[64];

	snprintf(path, sizeof(path), STAGE "/%s", name);
	snprintf(arg, sizeof(arg), "%s %d %d", part, ready, go);
	become(path, "workload-leftover", arg, argv);
}

static struct player start(const char *part, int go)
{
	struct player p;
	int ready[2];

	if (pipe(ready))
		fail("pipe: %s", strerror(errno));
	p = (struct player){fork(), ready[0]};
	if (p.pid < 0)
		fail("fork: %s", strerror(errno));
	if (p.pid == 0)
		play("workload", part, ready[1], go);
	close(ready[1]);
	return p;
}

static void step(const char *arg)
{
	int ready, go;
	char part[16];

	if (sscanf(arg, "%15s %d %d", part, &ready, &go) != 3)
		fail("nobody knows how to play %s", arg);
	if (strcmp(part, "leftover") == 0) {
		say(ready);
		if (!hear(go))
			fail("nobody said go");
		run_as("reporter", "nothing", "");
		say(ready);
		return;
	}
	await_identity();
	if (strcmp(part, "second") == 0)
		say(ready);
	else if (fork() == 0)
		play("collector", "leftover", ready, go);
	while (strcmp(part, "ends") != 0)
		pause();
}

static void run(bool innocent)
{
	struct player first, second;
	int go[2];

	if (pipe(go))
		fail("pipe: %s", strerror(errno));
	copy_to(STAGE "/workload");
	copy_to(STAGE "/collector");
	copy_to(STAGE "/reporter");
	first = start(innocent ? "stays" : "ends", go[0]);
	hear_of(&first);
	if (!innocent)
		await(first.pid);
	second = start("second", go[0]);
	hear_of(&second);
	say(go[1]);
	hear_of(&first);
}

ACT("workload-leftover", .does = "what a workload started acts after the workload was started anew",
    .innocent = "the workload that started it is still there",
    .rule = "Leftover of a replaced workload acts", .technique = "T1564.011",
    .needs = NEED_ROOT | NEED_IDENTITY, .shows = {"proc.name=reporter", "proc.pname=collector"},
    .run = run, .step = step);
