/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that resolves names of hosts. What comes back from the network is parsed here, by the
 * C library and whatever /etc/nsswitch.conf adds to it, so this process has no rights: it becomes
 * nobody, says what it found, and ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tipstaffd/resolver.h"

#define NOBODY        65534
#define LIFE_S        60 /* a name server that is silent must not keep it alive */
#define ADDRESSES_MAX 32 /* of one name and family */

static int give_up_rights(void)
{
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		fprintf(stderr, "tipstaffd: --resolve cannot become nobody: %s\n", strerror(errno));
		return -1;
	}
	return 0;
}

/* " ADDRESS" for each. One family at a time: for both, the library sends with a call that the
 * keeper's filter does not know. */
static void put_addresses(const char *name, int family)
{
	const struct addrinfo want = {.ai_family = family, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	char text[INET6_ADDRSTRLEN];
	int n = 0;

	if (getaddrinfo(name, NULL, &want, &found) != 0)
		return;
	for (struct addrinfo *a = found; a && n < ADDRESSES_MAX; a = a->ai_next, n++)
		if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0,
				NI_NUMERICHOST) == 0)
			printf(" %s", text);
	freeaddrinfo(found);
}

int tip_resolve_main(int argc, char **argv)
{
	alarm(LIFE_S);
	if (give_up_rights() < 0)
		return 1;
	for (int i = 1; i < argc; i++) {
		printf("%s", argv[i]);
		put_addresses(argv[i], AF_INET);
		put_addresses(argv[i], AF_INET6);
		printf("\n");
		fflush(stdout); /* what is known counts, also if the next name takes too long */
	}
	return 0;
}
