/* Asking for memory ahead of its use.
 *
 * A joint's maps are read once, at the speed of memory; what is then computed of them leaves the memory idle. So the
 * maps of the next joint are asked for in small portions meanwhile.
 */
#ifndef HRNETAE_AHEAD_H
#define HRNETAE_AHEAD_H

#include "sample.h"

typedef struct {
    uintptr_t at[2], end[2];
} HaeAhead;

static inline void ahead_of_map(HaeAhead *ahead, int side, const HaeSource *source)
{
    const size_t cell = source->maps->is_half ? sizeof(uint16_t) : sizeof(float);
    const size_t size = (size_t)source->maps->width * source->maps->height * cell;
    ahead->at[side] = (uintptr_t)source->maps->data + row_start(source, 0) * cell;
    ahead->end[side] = ahead->at[side] + size;
}

/* `lines` cache lines of each map. */
static inline void ask_ahead(HaeAhead *ahead, int lines)
{
#ifdef __GNUC__
    enum { LINE = 64 };
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < lines && ahead->at[side] < ahead->end[side]; i++, ahead->at[side] += LINE)
            __builtin_prefetch((const void *)ahead->at[side], 0, 2);
#else
    (void)ahead;
    (void)lines;
#endif
}

#endif
