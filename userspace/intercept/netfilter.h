/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_INTERCEPT_NETFILTER_H
#define TIP_INTERCEPT_NETFILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/*
 * The rules of a served namespace. In mangle OUTPUT a SYN to the worker's port loses its mark and
 * goes to the queue, past it if nobody holds the queue; in filter OUTPUT the mark of the verdict
 * says what becomes of it. What comes without one is rejected: so a mark that an application set is
 * worth nothing, and without a worker connect() says EHOSTUNREACH. A socket that is bound to a
 * device looks for 127.0.0.1 behind it: nothing of that leaves.
 *
 * They are written by iptables, whose xt NFQUEUE all kernels from Debian's 6.1 on have; nft's own
 * `queue` some lack.
 */
#define TIP_MARK_RELEASE    0x7e9a5501u
#define TIP_MARK_REFUSE     0x7e9a5502u
#define TIP_MARK_NETUNREACH 0x7e9a5503u
#define TIP_MARK_NONE       0u /* rejected: host unreachable */

#define TIP_CHAIN_MAX 29 /* XT_EXTENSION_MAXNAMELEN */

struct tip_netfilter {
	const char *tool; /* a program of iptables-restore's kind */
	char chain[TIP_CHAIN_MAX];
	char *lock; /* XTABLES_LOCKFILE; NULL: the tool's own */
	uint16_t port, queue;
	unsigned int patience_ms; /* for one call of the below; 0: what the loop can spare */
};

enum tip_netfilter_how {
	TIP_RULES_FRESH,  /* where no chain of that name is */
	TIP_RULES_AGAIN,  /* where an earlier daemon left chain and jump */
	TIP_RULES_LOOSE,  /* where it left a chain, or somebody removed the jump */
	TIP_RULES_REMOVE, /* chain and jump */
};

/* The name of the chains: at most TIP_CHAIN_MAX - 1 characters for any instance. */
void tip_netfilter_chain(const char *instance, char chain[TIP_CHAIN_MAX]);

/* One table as iptables-restore reads it; `table` is "mangle" or "filter". */
void tip_netfilter_text(const struct tip_netfilter *nf, const char *table,
			enum tip_netfilter_how how, struct tip_buf *out);

/*
 * Makes sure of the rules in the namespace that this thread is in. 0, or with `err` -ETIMEDOUT (its
 * tables are more than the tool can cope with) or -EIO.
 */
int tip_netfilter_apply(const struct tip_netfilter *nf, struct tip_error *err);

/* Removes them there, whichever tool wrote them. How many tables had any. */
int tip_netfilter_remove(const struct tip_netfilter *nf);

/*
 * The programs that there are, best first: iptables-legacy-restore, iptables-nft-restore. NULL:
 * there is no `nth`.
 */
const char *tip_netfilter_tool(unsigned int nth);

#endif
