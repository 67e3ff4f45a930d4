/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_RESOLVER_H
#define TIP_TIPSTAFFD_RESOLVER_H

/* `tipstaffd --resolve NAME...`: what the keeper starts to have names of hosts resolved. */
int tip_resolve_main(int argc, char **argv);

#endif
