/* Memory that a thread keeps from image to image, handed out piece by piece and taken back all at once.
 *
 * Pages that are given back to the system have to be cleared and mapped again for the next image, which takes longer
 * than decoding one.
 */
#ifndef HRNETAE_ARENA_H
#define HRNETAE_ARENA_H

#include <stddef.h>

typedef struct HaeArena HaeArena;

/* NULL where memory ran out. */
HaeArena *hae_arena_make(void);
void hae_arena_free(HaeArena *arena);

/* `bytes` bytes, aligned for anything, not cleared; NULL where memory ran out. */
void *hae_arena_take(HaeArena *arena, size_t bytes);

/* Everything that was taken is free again. */
void hae_arena_reset(HaeArena *arena);

#endif
