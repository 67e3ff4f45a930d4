/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DETECT_SEARCH_H
#define TIP_DETECT_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Many strings looked for in one text at once: all tests of one kind on one field, whichever rules
 * they stand in. What it costs depends on the text, hardly on how many strings there are.
 */
enum tip_search_kind {
	TIP_SEARCH_WHOLE,  /* the text is the string: a hash table */
	TIP_SEARCH_PREFIX, /* the text starts with it: a trie */
	TIP_SEARCH_SUFFIX, /* the text ends with it: a trie, backwards */
	TIP_SEARCH_INSIDE, /* it stands somewhere in the text: Aho and Corasick's automaton */
	TIP_SEARCH_KINDS
};

struct tip_pattern {
	const char *s;
	size_t len;
	uint32_t test;   /* whose answer is yes when the string is found; below 1 << 31 */
	bool components; /* PREFIX: only where a component of a path ends */
};

struct tip_search;

/*
 * Sorts `patterns`; their strings must outlive the search. NULL when the automaton would need more
 * memory than is sensible: then the tests are to be asked one by one.
 */
struct tip_search *tip_search_new(enum tip_search_kind kind, struct tip_pattern *patterns,
				  size_t count);
void tip_search_free(struct tip_search *s);

/* answers[test] = yes for every test that has a string in `text`; others are left as they are. */
void tip_search_run(const struct tip_search *s, const char *text, size_t len, uint64_t *answers,
		    uint64_t yes);

#endif
