/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_LACKS_H
#define TIP_TIPSTAFFD_LACKS_H

#include <jansson.h>

#include "tipstaffd/keeper.h"

/*
 * What the configuration asks for and this kernel does not give, and what follows from that. A
 * start goes on without it (`require` is for those who want none), so it is said in the log, in
 * `status` and, where something is left unprotected, by an alert: never silently weaker.
 */

/* After the probe: one warning for each. */
void tip_lacks_log(const struct tip_keeper *k);

/* Once alerts are written: one for each that leaves something unprotected. */
void tip_lacks_alert(struct tip_keeper *k);

/* For `status`: [{"capability", "detail", "follows", "unprotected"}, ...]. A new reference. */
json_t *tip_lacks_json(const struct tip_keeper *k);

#endif
