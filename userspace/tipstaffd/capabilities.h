/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_CAPABILITIES_H
#define TIP_TIPSTAFFD_CAPABILITIES_H

#include <stdbool.h>

#include <jansson.h>

#include "sensor/sensor.h"

/* As in `tipstaff status --json`: [{"name", "works", "detail"}, ...]. A new reference. */
json_t *tip_capabilities_json(const struct tip_capability_result caps[TIP_CAP_MAX]);

/*
 * `tipstaffd --capabilities`: tries everything once, as a start would, and prints it to standard
 * output, as a table or (`json`) as {"capabilities": [...]}. Needs no configuration and leaves
 * nothing behind. The exit status of the program: 1 when output fails, else 0, whatever the kernel
 * lacks.
 */
int tip_capabilities_print(bool json);

#endif
