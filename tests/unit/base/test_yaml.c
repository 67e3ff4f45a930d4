/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static struct tip_arena *arena;

static int setup(void **state)
{
	arena = tip_arena_new();
	return 0;
}

static int teardown(void **state)
{
	tip_arena_free(arena);
	return 0;
}

static struct tip_yaml *parse_n(const char *text, size_t len)
{
	struct tip_yaml **docs;
	struct tip_error err;
	size_t n;

	if (tip_yaml_parse(arena, "t.yaml", text, len, &docs, &n, &err) < 0)
		fail_msg("%d:%d: %s", err.line, err.column, err.text);
	assert_int_equal(n, 1);
	return docs[0];
}

static struct tip_yaml *parse(const char *text)
{
	return parse_n(text, strlen(text));
}

/* `text` must be refused at line:column, with `part` in the message. */
static void refuse_n(const char *text, size_t len, int line, int column, const char *part)
{
	struct tip_yaml **docs;
	struct tip_error err = {0};
	size_t n;

	assert_int_equal(tip_yaml_parse(arena, "t.yaml", text, len, &docs, &n, &err), -1);
	assert_string_equal(err.file, "t.yaml");
	if (!strstr(err.text, part))
		fail_msg("\"%s\" lacks \"%s\"", err.text, part);
	assert_int_equal(err.line, line);
	assert_int_equal(err.column, column);
	assert_int_equal(n, 0);
}

static void refuse(const char *text, int line, int column, const char *part)
{
	refuse_n(text, strlen(text), line, column, part);
}

static void tree_and_places(void **state)
{
	const char *text = "# head\n"
			   "- rule: shell\n"
			   "  tags: [a, 'b']\n"
			   "  condition: >\n"
			   "    evt.type = execve\n"
			   "    and x\n"
			   "  enabled: yes\n";
	struct tip_yaml *root = parse(text), *map, *n;

	assert_int_equal(root->kind, TIP_YAML_SEQUENCE);
	assert_int_equal(root->count, 1);
	map = root->items[0];
	assert_int_equal(map->kind, TIP_YAML_MAPPING);
	assert_int_equal(map->count, 4);
	assert_int_equal(map->line, 2);
	assert_int_equal(map->column, 3);
	assert_string_equal(map->keys[1]->text, "tags");
	assert_int_equal(map->keys[1]->line, 3);
	assert_int_equal(map->keys[1]->column, 3);

	n = tip_yaml_get(map, "tags");
	assert_int_equal(n->kind, TIP_YAML_SEQUENCE);
	assert_int_equal(n->count, 2);
	assert_true(n->items[0]->plain);
	assert_false(n->items[1]->plain);
	assert_string_equal(n->items[1]->text, "b");
	assert_memory_equal(text + n->items[1]->offset, "'b'", 3);

	n = tip_yaml_get(map, "condition");
	assert_true(n->block);
	assert_false(n->plain);
	assert_string_equal(n->text, "evt.type = execve and x\n");
	assert_int_equal(n->line, 4);
	assert_int_equal(n->column, 14);
	assert_int_equal(text[n->offset], '>');

	assert_null(tip_yaml_get(map, "tag"));
	assert_null(tip_yaml_get(root, "rule"));
	assert_null(tip_yaml_get(NULL, "rule"));
}

static void offsets_count_bytes(void **state)
{
	const char *text = "\xef\xbb\xbf"
			   "\xc3\xa9\xc3\xa9: \"\xe2\x82\xac\"\r\n"
			   "k: [\xf0\x9f\x98\x80, z]\r\n";
	struct tip_yaml *root = parse(text), *n;

	assert_int_equal(root->offset, 3);
	assert_int_equal(root->column, 1);
	assert_memory_equal(text + root->items[0]->offset, "\"\xe2", 2);
	assert_int_equal(root->items[0]->column, 5);
	n = root->items[1]->items[1];
	assert_int_equal(text[n->offset], 'z');
	assert_int_equal(n->line, 2);
	assert_int_equal(n->column, 8);
}

static void documents(void **state)
{
	const char *text = "---\n---\na: 1\n...\n---\n- b\n---\n";
	struct tip_yaml **docs;
	struct tip_error err;
	size_t n;

	assert_int_equal(tip_yaml_parse(arena, "t", text, strlen(text), &docs, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_int_equal(docs[0]->kind, TIP_YAML_MAPPING);
	assert_int_equal(docs[1]->kind, TIP_YAML_SEQUENCE);
	assert_int_equal(tip_yaml_parse(arena, "t", "", 0, &docs, &n, &err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(tip_yaml_parse(arena, "t", NULL, 0, &docs, &n, &err), 0);
	assert_int_equal(n, 0);
	/* An empty string is a document, nothing is not. */
	assert_int_equal(tip_yaml_parse(arena, "t", "''", 2, &docs, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_int_equal(parse("{}")->count, 0);
	assert_int_equal(parse("[]")->count, 0);
}

static void aliases(void **state)
{
	struct tip_yaml *root = parse("- &a {x: [1, 2]}\n- *a\n- &a 7\n- *a\n");

	assert_int_equal(root->count, 4);
	assert_string_equal(tip_yaml_get(root->items[1], "x")->items[1]->text, "2");
	assert_string_equal(root->items[3]->text, "7");
	refuse("- *a\n", 1, 3, "without an anchor");
	refuse("- &a [x, *a]\n", 1, 10, "inside the node");
	/* An earlier anchor of that name does not lend itself. */
	refuse("- &a 1\n- &a {k: *a}\n", 2, 10, "inside the node");
	/* Anchors end with their document. */
	refuse("- &a 1\n---\n- *a\n", 3, 3, "without an anchor");
}

static void limits(void **state)
{
	struct tip_buf b = {0};
	struct tip_error err;
	struct tip_yaml **docs;
	size_t n;

	for (int i = 0; i < 64; i++)
		tip_buf_addc(&b, '[');
	for (int i = 0; i < 64; i++)
		tip_buf_addc(&b, ']');
	assert_int_equal(parse(b.data)->kind, TIP_YAML_SEQUENCE);

	tip_buf_reset(&b);
	for (int i = 0; i < 65; i++)
		tip_buf_addc(&b, '[');
	refuse(b.data, 1, 65, "nested too deeply");

	/* Depth through aliases: 40 levels, inside 40 levels. */
	tip_buf_reset(&b);
	tip_buf_adds(&b, "- &a ");
	for (int i = 0; i < 40; i++)
		tip_buf_addc(&b, '[');
	for (int i = 0; i < 40; i++)
		tip_buf_addc(&b, ']');
	tip_buf_adds(&b, "\n- ");
	for (int i = 0; i < 40; i++)
		tip_buf_addc(&b, '[');
	tip_buf_adds(&b, "*a");
	refuse(b.data, 2, 43, "nested too deeply");

	/* Aliases of aliases: ten to the ninth nodes in two hundred bytes. */
	tip_buf_reset(&b);
	tip_buf_adds(&b, "- &a0 [x,x,x,x,x,x,x,x,x,x]\n");
	for (int i = 1; i < 9; i++) {
		tip_buf_addf(&b, "- &a%d [", i);
		for (int j = 0; j < 10; j++)
			tip_buf_addf(&b, "%s*a%d", j ? "," : "", i - 1);
		tip_buf_adds(&b, "]\n");
	}
	assert_int_equal(tip_yaml_parse(arena, "t", b.data, b.len, &docs, &n, &err), -1);
	assert_non_null(strstr(err.text, "too large"));
	assert_in_range(err.line, 4, 6);

	/* Many plain nodes. */
	tip_buf_reset(&b);
	tip_buf_addc(&b, '[');
	for (int i = 0; i < TIP_YAML_MAX_NODES; i++)
		tip_buf_adds(&b, "x,");
	tip_buf_addc(&b, ']');
	assert_int_equal(tip_yaml_parse(arena, "t", b.data, b.len, &docs, &n, &err), -1);
	assert_non_null(strstr(err.text, "too large"));

	tip_buf_reset(&b);
	tip_buf_reserve(&b, (16u << 20) + 2);
	memset(b.data, ' ', (16u << 20) + 1);
	assert_int_equal(tip_yaml_parse(arena, "t", b.data, (16u << 20) + 1, &docs, &n, &err), -1);
	assert_non_null(strstr(err.text, "16 MiB"));
	tip_buf_free(&b);
}

static void keys(void **state)
{
	struct tip_buf b = {0};

	refuse("a: 1\nb: 2\n'a': 3\n", 3, 1, "\"a\" is there twice");
	refuse("x: {k: 1, k: 2}\n", 1, 11, "\"k\" is there twice");
	refuse("[a, b]: 1\n", 1, 1, "a key must be");
	refuse("? {a: 1}\n: 1\n", 1, 3, "a key must be");
	/* A mapping too large to compare each key with each. */
	for (int i = 0; i < 1000; i++)
		tip_buf_addf(&b, "k%d: %d\n", i, i);
	assert_string_equal(tip_yaml_get(parse(b.data), "k999")->text, "999");
	tip_buf_adds(&b, "k5: again\n");
	refuse(b.data, 1001, 1, "\"k5\" is there twice");
	tip_buf_free(&b);
}

static void syntax(void **state)
{
	refuse("a: [1, 2\nb: 3\n", 2, 2, "flow sequence");
	refuse("a:\n\t- x\n", 2, 1, "cannot start any token");
	refuse("a: 'x\n", 2, 1, "starts at line 1");
	refuse("a: b: c\n", 1, 5, "mapping values are not allowed");
	refuse("- \"a\\0b\"\n", 1, 3, "NUL");
	refuse_n("ab: \0c\n", 7, 1, 5, "control characters");
	refuse("x: 1\ny: \xc3(\n", 2, 5, "invalid");
	refuse_n("\xff\xfe"
		 "a\0:\0",
		 6, 1, 1, "invalid"); /* UTF-16 is not text to us */
}

static void scalars(void **state)
{
	struct tip_yaml *m =
		parse("t: True\nf: OFF\nq: 'true'\ni: -42\nbig: 9223372036854775808\n"
		      "oct: 010\nzero: 0\nhex: 0x10\nz: ~\ne:\nqe: ''\ns: !!str 7\n"
		      "n: null\nplus: +1\nl: [1]\nmin: -9223372036854775808\ndash: --\n");
	int64_t i;
	bool b;

	assert_int_equal(tip_yaml_bool(tip_yaml_get(m, "t"), &b), 0);
	assert_true(b);
	assert_int_equal(tip_yaml_bool(tip_yaml_get(m, "f"), &b), 0);
	assert_false(b);
	assert_int_equal(tip_yaml_bool(tip_yaml_get(m, "q"), &b), -1);
	assert_int_equal(tip_yaml_bool(tip_yaml_get(m, "i"), &b), -1);
	assert_int_equal(tip_yaml_bool(tip_yaml_get(m, "l"), &b), -1);
	assert_int_equal(tip_yaml_bool(NULL, &b), -1);

	assert_int_equal(tip_yaml_int(tip_yaml_get(m, "i"), &i), 0);
	assert_int_equal(i, -42);
	assert_int_equal(tip_yaml_int(tip_yaml_get(m, "zero"), &i), 0);
	assert_int_equal(i, 0);
	assert_int_equal(tip_yaml_int(tip_yaml_get(m, "min"), &i), 0);
	assert_true(i == INT64_MIN);
	assert_int_equal(tip_yaml_int(tip_yaml_get(m, "big"), &i), -1);
	assert_int_equal(tip_yaml_int(tip_yaml_get(m, "oct"), &i), -1);
	assert_int_equal(tip_yaml_int(tip_yaml_get(m, "hex"), &i), -1);
	assert_int_equal(tip_yaml_int(tip_yaml_get(m, "plus"), &i), -1);
	assert_int_equal(tip_yaml_int(tip_yaml_get(m, "dash"), &i), -1);
	assert_int_equal(tip_yaml_int(tip_yaml_get(m, "s"), &i), -1);
	assert_int_equal(tip_yaml_int(tip_yaml_get(m, "e"), &i), -1);
	assert_int_equal(tip_yaml_int(tip_yaml_get(m, "l"), &i), -1);

	assert_true(tip_yaml_is_null(tip_yaml_get(m, "z")));
	assert_true(tip_yaml_is_null(tip_yaml_get(m, "e")));
	assert_true(tip_yaml_is_null(tip_yaml_get(m, "n")));
	assert_false(tip_yaml_is_null(tip_yaml_get(m, "qe")));
	assert_false(tip_yaml_is_null(tip_yaml_get(m, "zero")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tree_and_places, setup, teardown),
		cmocka_unit_test_setup_teardown(offsets_count_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(documents, setup, teardown),
		cmocka_unit_test_setup_teardown(aliases, setup, teardown),
		cmocka_unit_test_setup_teardown(limits, setup, teardown),
		cmocka_unit_test_setup_teardown(keys, setup, teardown),
		cmocka_unit_test_setup_teardown(syntax, setup, teardown),
		cmocka_unit_test_setup_teardown(scalars, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
