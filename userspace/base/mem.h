/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_BASE_MEM_H
#define TIP_BASE_MEM_H

#include <stddef.h>

/*
 * Allocation that cannot fail for the caller: the process aborts with a log
 * line when memory ends. Right for small, bounded state (configuration, rules,
 * tables with a configured limit); sizes that come from outside are checked
 * against their limit first.
 */
void *tip_alloc(size_t size);                          /* zeroed */
void *tip_calloc(size_t count, size_t size);           /* zeroed, overflow-checked */
void *tip_realloc(void *p, size_t count, size_t size); /* overflow-checked, tail not zeroed */
char *tip_strdup(const char *s);
char *tip_strndup(const char *s, size_t n);
char *tip_sprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * For the end of a start: gives back what only the start needed. Free memory of the heap, and the
 * pages of programs and libraries (the dynamic linker's tables, the embedded BPF objects): they
 * come from files, unchanged, and those that are needed again come back one fault at a time.
 */
void tip_mem_give_back(void);

/*
 * An arena: allocations freed together. Not thread-safe.
 * Memory from it is zeroed and aligned for any type.
 */
struct tip_arena;
struct tip_arena *tip_arena_new(void);
void tip_arena_free(struct tip_arena *arena); /* NULL is fine */
void *tip_arena_alloc(struct tip_arena *arena, size_t size);
char *tip_arena_strdup(struct tip_arena *arena, const char *s);
char *tip_arena_strndup(struct tip_arena *arena, const char *s, size_t n);
char *tip_arena_sprintf(struct tip_arena *arena, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define TIP_ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))
#define TIP_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

#endif
