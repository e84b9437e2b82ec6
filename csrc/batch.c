/* Images side by side. The threads share a counter and nothing else: no thread waits for another. */
#include "batch.h"

/* C11's atomics are optional, and missing where they are not asked for with an option; these are always there. */
#ifdef _MSC_VER
#include <intrin.h>
static long take_next(volatile long *next)
{
    return _InterlockedExchangeAdd(next, 1);
}

static void set_next(volatile long *next, long value)
{
    _InterlockedExchange(next, value);
}
#else
static long take_next(volatile long *next)
{
    return __atomic_fetch_add(next, 1, __ATOMIC_RELAXED);
}

static void set_next(volatile long *next, long value)
{
    __atomic_store_n(next, value, __ATOMIC_RELAXED);
}
#endif

void hae_decode_batch(HaeBatch *batch, HaeArena *arena)
{
    for (long i = take_next(&batch->next); i < batch->count; i = take_next(&batch->next)) {
        HaeImage *image = batch->images[i];
        image->failed = hae_decode(&image->outputs, &image->settings, batch->level, arena, &image->poses);
    }
}

void hae_stop_batch(HaeBatch *batch)
{
    set_next(&batch->next, batch->count);
}
