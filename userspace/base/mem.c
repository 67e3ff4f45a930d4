/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <link.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

static void *checked(void *p)
{
	if (!p) {
		tip_err("base", "out of memory");
		abort();
	}
	return p;
}

void *tip_alloc(size_t size)
{
	return checked(calloc(1, size ? size : 1));
}

void *tip_calloc(size_t count, size_t size)
{
	return checked(calloc(count ? count : 1, size ? size : 1));
}

void *tip_realloc(void *p, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return checked(NULL);
	return checked(realloc(p, bytes ? bytes : 1));
}

char *tip_strdup(const char *s)
{
	return checked(strdup(s));
}

char *tip_strndup(const char *s, size_t n)
{
	return checked(strndup(s, n));
}

static char *vformat(struct tip_arena *arena, const char *fmt, va_list ap)
{
	va_list again;
	char *s;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return checked(NULL);
	s = arena ? tip_arena_alloc(arena, (size_t)n + 1) : tip_alloc((size_t)n + 1);
	vsnprintf(s, (size_t)n + 1, fmt, ap);
	return s;
}

char *tip_sprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = vformat(NULL, fmt, ap);
	va_end(ap);
	return s;
}

/* ---- arena ------------------------------------------------------------- */

struct block {
	struct block *next;
	size_t size, used;
	_Alignas(max_align_t) char data[];
};

struct tip_arena {
	struct block *head;
	size_t total;
};

#define BLOCK_MIN 4096

struct tip_arena *tip_arena_new(void)
{
	return tip_alloc(sizeof(struct tip_arena));
}

void tip_arena_free(struct tip_arena *arena)
{
	struct block *b, *next;

	if (!arena)
		return;
	for (b = arena->head; b; b = next) {
		next = b->next;
		free(b);
	}
	free(arena);
}

void *tip_arena_alloc(struct tip_arena *arena, size_t size)
{
	const size_t align = _Alignof(max_align_t);
	struct block *b = arena->head;
	size_t want, room;
	void *p;

	if (size > SIZE_MAX - 2 * align)
		return checked(NULL);
	size = (size + align - 1) & ~(align - 1);
	if (!b || b->size - b->used < size) {
		/* Blocks double with the arena, so that many small strings cost few mallocs. */
		room = arena->total < BLOCK_MIN ? BLOCK_MIN : arena->total;
		if (room > (1u << 20))
			room = 1u << 20;
		want = size > room ? size : room;
		if (want > SIZE_MAX - sizeof(*b))
			return checked(NULL);
		b = tip_alloc(sizeof(*b) + want);
		b->size = want;
		b->next = arena->head;
		arena->head = b;
		arena->total += want;
	}
	p = b->data + b->used;
	b->used += size;
	return p;
}

char *tip_arena_strndup(struct tip_arena *arena, const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *p = tip_arena_alloc(arena, len + 1);

	memcpy(p, s, len);
	return p;
}

char *tip_arena_strdup(struct tip_arena *arena, const char *s)
{
	return tip_arena_strndup(arena, s, strlen(s));
}

char *tip_arena_sprintf(struct tip_arena *arena, const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = vformat(arena, fmt, ap);
	va_end(ap);
	return s;
}

/* What is mapped writable has relocations of ours in it and stays. */
static int give_back_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		const uintptr_t from = (info->dlpi_addr + ph->p_vaddr) & ~(page - 1);
		const uintptr_t to = info->dlpi_addr + ph->p_vaddr + ph->p_memsz;

		if (ph->p_type == PT_LOAD && !(ph->p_flags & PF_W))
			madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 0;
}

void tip_mem_give_back(void)
{
	malloc_trim(0);
	dl_iterate_phdr(give_back_object, NULL);
}
