/* The arenas of threads that come and go. No thread waits for another. */
#include "arena_pool.h"

/* As in batch.c: these are always there. */
#ifdef _MSC_VER
#include <intrin.h>
static void *exchange(void *volatile *slot, void *value)
{
    return _InterlockedExchangePointer(slot, value);
}

static int fill_empty(void *volatile *slot, void *value)
{
    return !_InterlockedCompareExchangePointer(slot, value, NULL);
}
#else
static void *exchange(void *volatile *slot, void *value)
{
    return __atomic_exchange_n(slot, value, __ATOMIC_ACQ_REL);
}

static int fill_empty(void *volatile *slot, void *value)
{
    void *empty = NULL;
    return __atomic_compare_exchange_n(slot, &empty, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}
#endif

HaeArena *hae_pool_take(HaeArenaPool *pool)
{
    for (int i = 0; i < HAE_POOLED; i++) {
        HaeArena *arena = exchange(&pool->slots[i], NULL);
        if (arena)
            return arena;
    }
    return hae_arena_make();
}

void hae_pool_give(HaeArenaPool *pool, HaeArena *arena)
{
    for (int i = 0; i < HAE_POOLED; i++)
        if (fill_empty(&pool->slots[i], arena))
            return;
    hae_arena_free(arena);
}

void hae_pool_clear(HaeArenaPool *pool)
{
    for (int i = 0; i < HAE_POOLED; i++)
        hae_arena_free(exchange(&pool->slots[i], NULL));
}
