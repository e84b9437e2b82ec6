/* The arenas of threads that come and go: each call takes one and gives it back. */
#ifndef HRNETAE_ARENA_POOL_H
#define HRNETAE_ARENA_POOL_H

#include "arena.h"

/* More threads than this at once work too; what they need beyond it is freed after each call. */
enum { HAE_POOLED = 64 };

/* Zeros: an empty pool. A slot is read and written as one step. */
typedef struct {
    void *volatile slots[HAE_POOLED];
} HaeArenaPool;

/* An arena that nobody else uses, NULL where memory ran out. */
HaeArena *hae_pool_take(HaeArenaPool *pool);
void hae_pool_give(HaeArenaPool *pool, HaeArena *arena);

/* Frees the arenas that were given back. */
void hae_pool_clear(HaeArenaPool *pool);

#endif
