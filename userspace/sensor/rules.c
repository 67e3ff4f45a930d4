/* SPDX-License-Identifier: Apache-2.0 */
/* The maps of the enforcing rules, written. */
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/log.h"
#include "sensor/internal.h"
#include "sensor/rules.h"

/* Bytes of a generation in the number of a rule, see TIP_RULE_NUMBER. */
#define GENERATION_MAX 0xffffffu

static bool value_of_other(struct tip_sensor *s, const void *key, uint64_t generation)
{
	return ((const struct tip_rule_value_key *)key)->generation != generation;
}

static bool text_of_other(struct tip_sensor *s, const void *key, uint64_t generation)
{
	return ((const struct tip_rule_text_key *)key)->generation != generation;
}

static bool net_of_other(struct tip_sensor *s, const void *key, uint64_t generation)
{
	return ((const struct tip_rule_net_key *)key)->generation != generation;
}

/* Deletes everything that is not of `generation`. */
static int purge_others(struct tip_sensor *s, uint32_t generation)
{
	const int values = tip_map_purge(s, TIP_MAP_RULE_VALUES, value_of_other, generation);
	const int texts = tip_map_purge(s, TIP_MAP_RULE_TEXTS, text_of_other, generation);
	const int nets = tip_map_purge(s, TIP_MAP_RULE_NETS, net_of_other, generation);

	return values ? values : texts ? texts : nets;
}

static int write_texts(struct tip_sensor *s, const struct tip_rule_image *image,
		       uint32_t generation)
{
	for (size_t i = 0; i < image->ntexts; i++) {
		const struct tip_rule_prefix *p = &image->texts[i];
		struct tip_rule_text_key key = {
			.prefixlen = 64 + p->bits,
			.generation = generation,
			.dim = p->table,
		};
		int err;

		if (p->bits > 8 * sizeof(key.text))
			return -EINVAL;
		memcpy(key.text, p->bytes, sizeof(key.text));
		err = tip_map_update(s, TIP_MAP_RULE_TEXTS, &key, &p->match, BPF_ANY);
		if (err)
			return err;
	}
	return 0;
}

static int write_nets(struct tip_sensor *s, const struct tip_rule_image *image, uint32_t generation)
{
	for (size_t i = 0; i < image->nnets; i++) {
		const struct tip_rule_prefix *p = &image->nets[i];
		struct tip_rule_net_key key = {
			.prefixlen = 64 + p->bits,
			.generation = generation,
			.table = p->table,
		};
		int err;

		if (p->bits > 8 * sizeof(key.addr))
			return -EINVAL;
		memcpy(key.addr, p->bytes, sizeof(key.addr));
		err = tip_map_update(s, TIP_MAP_RULE_NETS, &key, &p->match, BPF_ANY);
		if (err)
			return err;
	}
	return 0;
}

static int write_value(struct tip_sensor *s, uint32_t generation, uint32_t dim, uint64_t value,
		       const struct tip_rule_match *match)
{
	const struct tip_rule_value_key key = {value, generation, dim};

	return tip_map_update(s, TIP_MAP_RULE_VALUES, &key, match, BPF_ANY);
}

static int write_image(struct tip_sensor *s, const struct tip_rule_image *image,
		       uint32_t generation)
{
	const uint32_t at = generation & 1;
	int err = tip_map_update(s, TIP_MAP_RULE_SETS, &at, &image->set, BPF_ANY);

	for (size_t i = 0; i < image->nvalues && !err; i++)
		err = write_value(s, generation, image->values[i].dim, image->values[i].value,
				  &image->values[i].match);
	if (!err)
		err = write_texts(s, image, generation);
	if (!err)
		err = write_nets(s, image, generation);
	return err;
}

int tip_sensor_rules_install(struct tip_sensor *s, const struct tip_rule_image *image,
			     uint32_t *generation)
{
	const uint32_t old = s->settings.rule_generation, old_count = s->settings.rule_count;
	/* 0 means that there was never a set, and after an odd one comes an even. */
	const uint32_t next = old < GENERATION_MAX ? old + 1 : 2;
	struct tip_error why = {0};
	int err;

	/* What a daemon that died in here left, and what could not be deleted safely before. */
	err = purge_others(s, old);
	if (!err)
		err = write_image(s, image, next);
	s->settings.rule_count = image->count;
	if (!err && tip_attach(s, s->settings.event_mask, &why)) {
		tip_err("sensor", "%s", why.text);
		err = -ENOTSUP;
	}
	if (!err) {
		s->settings.rule_generation = next;
		err = tip_settings_write(s);
	}
	if (err) {
		s->settings.rule_generation = old;
		s->settings.rule_count = old_count;
		purge_others(s, old);
		return err;
	}
	*generation = next;
	/*
	 * A program that runs now may have begun with the old set, and must not find half of it:
	 * where nobody can say that none is left it stays until the next one comes.
	 */
	if (tip_programs_wait() == 0 && purge_others(s, next))
		tip_warn("sensor", "cannot delete all entries of the former rules");
	return 0;
}

int tip_sensor_rules_identity(struct tip_sensor *s, uint32_t number,
			      const struct tip_rule_match *match)
{
	return write_value(s, s->settings.rule_generation, TIP_DIM_IDENTITY, number, match);
}
