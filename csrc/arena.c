/* Memory that a thread keeps from image to image. */
#include "arena.h"

#include <stdlib.h>

enum { ALIGNMENT = 64 };

typedef struct Block {
    struct Block *next; /* older */
    size_t size, used;  /* of the bytes behind this header */
} Block;

struct HaeArena {
    Block *blocks; /* the newest first */
};

static const size_t header = (sizeof(Block) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

HaeArena *hae_arena_make(void)
{
    return calloc(1, sizeof(HaeArena));
}

static void free_blocks(Block *block)
{
    while (block) {
        Block *next = block->next;
        free(block);
        block = next;
    }
}

void hae_arena_free(HaeArena *arena)
{
    if (arena)
        free_blocks(arena->blocks);
    free(arena);
}

static Block *add_block(HaeArena *arena, size_t size)
{
    Block *block = malloc(header + size + ALIGNMENT);
    if (!block)
        return NULL;
    *block = (Block){arena->blocks, size, 0};
    arena->blocks = block;
    return block;
}

void *hae_arena_take(HaeArena *arena, size_t bytes)
{
    const size_t smallest = (size_t)1 << 16;
    Block *block = arena->blocks;
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (!block || block->size - block->used < bytes)
        block = add_block(arena, bytes > smallest ? bytes : smallest);
    if (!block)
        return NULL;
    char *start = (char *)block + header;
    start += (ALIGNMENT - (size_t)start % ALIGNMENT) % ALIGNMENT;
    void *taken = start + block->used;
    block->used += bytes;
    return taken;
}

/* What did not fit into one block this time gets a block of its whole size for the next. */
void hae_arena_reset(HaeArena *arena)
{
    size_t size = 0;
    if (!arena->blocks)
        return;
    if (arena->blocks->next) {
        for (const Block *block = arena->blocks; block; block = block->next)
            size += block->size;
        free_blocks(arena->blocks);
        arena->blocks = NULL;
        add_block(arena, size); /* without one the next image asks again */
        return;
    }
    arena->blocks->used = 0;
}
