/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_RUNTIME_PUMP_H
#define TIP_TIPSTAFFD_RUNTIME_PUMP_H

#include <stdbool.h>

#include <event2/event.h>

/*
 * One way only: what a runtime answers goes to whoever holds the other end, and nothing comes back.
 * Bounded in number, and but for endless answers in bytes and time. Nothing is looked at. It ends
 * when either side does.
 */
struct tip_pumps;
struct tip_pumps *tip_pumps_new(struct event_base *base);
void tip_pumps_free(struct tip_pumps *p); /* closes all; NULL is fine */
/* Takes `from`; a descriptor to read its bytes from, or -1 with `errno`. */
int tip_pump_start(struct tip_pumps *all, int from, bool endless);

#endif
