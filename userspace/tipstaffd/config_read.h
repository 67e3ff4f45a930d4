/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_CONFIG_READ_H
#define TIP_TIPSTAFFD_CONFIG_READ_H

#include "base/yaml.h"
#include "tipstaffd/config.h"

/* Internal to the reading of the configuration. */

/* What is being read, for errors. */
struct tip_config_reading {
	struct tip_config *c;
	struct tip_error *err;
	uint64_t seen[4]; /* keys that were there, by their place in the table */
};

/* An error at a node. Returns -1. */
int tip_config_bad(const struct tip_config_reading *r, const struct tip_yaml *n, const char *key,
		   const char *what);
int tip_config_want_scalar(const struct tip_config_reading *r, const struct tip_yaml *n,
			   const char *key);

/* config_check.c */
void tip_config_defaults(struct tip_config *c);
/* Defaults that lean on other keys. */
void tip_config_complete(struct tip_config *c, const struct tip_yaml *root);
/* What single keys cannot tell. 0, or -1 with the error said. */
int tip_config_check(struct tip_config_reading *r, const struct tip_yaml *root);

/*
 * config_falco.c: a key that there is not here. 0: it is Falco's, and says what is so anyway; -1
 * with the error said, and what to write instead; 1: nobody knows it.
 */
int tip_config_falco_key(const struct tip_config_reading *r, const char *path,
			 const struct tip_yaml *key, const struct tip_yaml *value);

/* config_require.c */
int tip_config_read_require(struct tip_config_reading *r, const struct tip_yaml *n);

/* config_alerts.c: values that are more than one scalar. 0, or -1 with the error said. */
int tip_config_read_append(struct tip_config_reading *r, const struct tip_yaml *n, const char *key);
int tip_config_read_fields(struct tip_config_reading *r, const struct tip_yaml *n, const char *key);
int tip_config_read_command(struct tip_config_reading *r, const struct tip_yaml *n,
			    const char *key);
int tip_config_read_spooled(struct tip_config_reading *r, const struct tip_yaml *n,
			    const char *key);
/* A number that may have a fraction, between `min` and `max`. */
int tip_config_read_fraction(struct tip_config_reading *r, const struct tip_yaml *n,
			     const char *key, double min, double max, double *out);
int tip_config_read_actions(struct tip_config_reading *r, const struct tip_yaml *n,
			    const char *key);
int tip_config_read_facility(struct tip_config_reading *r, const struct tip_yaml *n,
			     const char *key);

#endif
