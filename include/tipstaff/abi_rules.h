/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIPSTAFF_ABI_RULES_H
#define TIPSTAFF_ABI_RULES_H

/* The part of abi.h for rules that enforce: its group is TIP_ABI_POLICY. */

/*
 * Rules with an action, compiled by the keeper into sets of bits: one bit for each rule, in the
 * order of the rules. For each dimension of an act (who, which file, where to) a map says of a
 * value which rules' conditions it meets; what is left after all dimensions are asked are the rules
 * that hold, and the first of them decides. A set is written whole beside the one in force, then
 * settings.rule_generation is switched, then the old one is deleted.
 */
#define TIP_RULES_MAX 256 /* rules with an action that are in force at once */
/*
 * Entries of `rule_values`, and of each of the two tries. A set may take half of a trie, since two
 * are there for a moment; of the values a quarter, since identities that are bound later take some.
 */
#define TIP_RULE_VALUES_MAX   65536
#define TIP_RULE_PREFIXES_MAX 16384
struct tip_rule_bits {
	__u64 word[TIP_RULES_MAX / 64];
};

/* What is judged. An open is both of the first two at once, if it asks for both. */
enum tip_judged {
	TIP_JUDGED_READ,
	TIP_JUDGED_WRITE,
	TIP_JUDGED_EXEC,
	TIP_JUDGED_CONNECT, /* datagrams to an address as well */
	TIP_JUDGED_BIND,
	TIP_JUDGED_MAX
};
#define TIP_ACCESS_READ   (1u << TIP_JUDGED_READ)
#define TIP_ACCESS_WRITE  (1u << TIP_JUDGED_WRITE)
#define TIP_JUDGED_SOCKET (1u << TIP_JUDGED_CONNECT | 1u << TIP_JUDGED_BIND)

enum tip_rule_dim {
	/* numbers, in `rule_values` */
	TIP_DIM_IDENTITY,
	TIP_DIM_INO,     /* of the file that is opened or executed */
	TIP_DIM_DEV,     /* of its file system, kernel encoding */
	TIP_DIM_EXE_INO, /* of the executable of who acts */
	/* texts, in `rule_texts` */
	TIP_DIM_PATH, /* of the file */
	TIP_DIM_EXE,
	TIP_DIM_CGROUP,
	/* in `rule_nets` */
	TIP_DIM_ADDR, /* dialled, or bound to */
	TIP_DIM_PORT,
	TIP_DIM_MAX
};

/*
 * What a value says of each rule: that it meets the condition that the rule has in this dimension,
 * or that it is one of those which the rule spares ("not ..."). In a trie shorter prefixes are
 * flattened in: one lookup is the whole answer.
 */
struct tip_rule_match {
	struct tip_rule_bits meets, spared;
};

/* Value of `rule_sets` (array of two, by the lowest bit of the generation). */
struct tip_rule_set {
	struct tip_rule_bits acts[TIP_JUDGED_MAX]; /* rules about that act */
	struct tip_rule_bits needs[TIP_DIM_MAX];   /* rules with a condition that must be met */
	struct tip_rule_bits spares[TIP_DIM_MAX];  /* rules that spare some values */
	struct tip_rule_bits kill;                 /* rules that end the process as well */
};

struct tip_rule_value_key {
	__u64 value;
	__u32 generation; /* settings.rule_generation */
	__u32 dim;        /* enum tip_rule_dim */
};

#define TIP_RULE_TEXT 240
struct tip_rule_text_key {
	__u32 prefixlen; /* bits: 64 + 8 * (length, plus 1 for the NUL of an exact text) */
	__u32 generation;
	__u32 dim;
	char text[TIP_RULE_TEXT];
};

#define TIP_RULE_NET4 0
#define TIP_RULE_NET6 1
#define TIP_RULE_PORT 2
struct tip_rule_net_key {
	__u32 prefixlen; /* bits: 64 + those of the address or port */
	__u32 generation;
	__u32 table;   /* TIP_RULE_NET4 ... */
	__u8 addr[16]; /* network order; a port in the first two */
};

/* Places in which acts are judged at once: so many for each CPU, a power of two in all. */
#define TIP_JUDGES_CPU 8
#define TIP_JUDGES_MIN 64
#define TIP_JUDGES_MAX 4096

/* How the kernel names a rule to the keeper: generation, then place in the set. */
#define TIP_RULE_NUMBER(generation, place) ((generation) << 8 | (place))

#endif
