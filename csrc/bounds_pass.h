/* The pass of bounds.h for one kind of cell: CELL (signed, as wide as a map's number), BITS (the same, unsigned),
 * CELL_TO_FLOAT, NAME. Loops are written so that compilers vectorise them at every level. */

/* Columns outside the map count as 0, which raises no bound: a block without a positive cell has the bound 0. */
static inline void NAME(widen_line)(CELL *line, int width)
{
    for (int x = width; x < width + 2 * BLOCK; x++)
        line[x] = 0;
}

/* line[x] becomes the maximum of line[x - 1] .. line[x + 8], for the first cell x of every block. */
static inline void NAME(bound_line)(const CELL *line, CELL *pairs, CELL *fours, int width, int across, float *bound,
                                    int mirrored)
{
    for (int x = 0; x < width + BLOCK; x++)
        pairs[x] = line[x] > line[x + 1] ? line[x] : line[x + 1];
    for (int x = 0; x < width + BLOCK - 2; x++)
        fours[x] = pairs[x] > pairs[x + 2] ? pairs[x] : pairs[x + 2];
    for (int block = 0; block < across; block++) {
        /* A mirrored map's first block starts at its right edge; where the width is no multiple of 8 the block then
         * starts left of the map. */
        const int x = mirrored ? width - BLOCK * (block + 1) : BLOCK * block;
        CELL largest;
        if (x >= 0)
            largest = fours[x] > fours[x + 4] ? fours[x] : fours[x + 4];
        else
            largest = line[0];
        for (int inside = 0; x < 0 && inside < x + BLOCK; inside++)
            largest = line[inside] > largest ? line[inside] : largest;
        if (x > 0 && line[x - 1] > largest)
            largest = line[x - 1];
        if (line[x + BLOCK] > largest)
            largest = line[x + BLOCK];
        bound[block] = bound_of(largest < 0 ? 0.0f : CELL_TO_FLOAT(largest));
    }
}

static inline void NAME(find_bounds)(const HaeSource *source, CELL *line, HaeBounds *bounds)
{
    const int width = source->maps->width, height = source->maps->height;
    const CELL *map = (const CELL *)source->maps->data + row_start(source, 0);
    CELL *pairs = line + width + 4 * BLOCK, *fours = pairs + width + 4 * BLOCK;
    BITS *farthest = (BITS *)(fours + width + 4 * BLOCK);
    memset(farthest, 0, (size_t)width * sizeof(BITS));
    NAME(widen_line)(line, width);
    CELL largest = 0;
    for (int block = 0; block < bounds->down; block++) {
        const int top = block * BLOCK, bottom = top + BLOCK < height ? top + BLOCK : height;
        const int first = top > 0 ? top - 1 : top, last = bottom < height ? bottom : height - 1;
        const CELL *row = map + (size_t)first * width;
        memcpy(line, row, (size_t)width * sizeof(CELL));
        for (int y = first + 1; y <= last; y++) {
            row += width;
            for (int x = 0; x < width; x++)
                line[x] = row[x] > line[x] ? row[x] : line[x];
        }
        row = map + (size_t)top * width;
        for (int y = top; y < bottom; y++, row += width)
            for (int x = 0; x < width; x++)
                farthest[x] = (BITS)row[x] > farthest[x] ? (BITS)row[x] : farthest[x];
        for (int x = 0; x < width; x++)
            largest = line[x] > largest ? line[x] : largest;
        NAME(bound_line)(line, pairs, fours, width, bounds->across, bounds->bound + (size_t)block * bounds->across,
                         source->mirrored);
    }
    /* As unsigned integers negative numbers are above all positive ones, and order by their distance from 0. */
    BITS most = 0;
    for (int x = 0; x < width; x++)
        most = farthest[x] > most ? farthest[x] : most;
    const CELL lowest = (CELL)(most & (BITS)~((BITS)1 << (8 * sizeof(BITS) - 1)));
    const float above = CELL_TO_FLOAT(largest), below = CELL_TO_FLOAT(lowest);
    finish_bounds(bounds, above, below);
}
