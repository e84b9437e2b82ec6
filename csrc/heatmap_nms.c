/* Step 3: heatmap NMS. A pixel that equals the maximum of its window is a peak; all pixels of a plateau are. */
#include "steps.h"
#include "numbers.h"

#include <stdlib.h>

enum { NARROW = 8 }; /* windows that reach further take the same time whatever their size */

/* Maximum of the numbers within `reach` of each of `count` numbers; outside there is nothing. */
static void sliding_maximum(const float *values, int count, int reach, float *maximum)
{
    for (int i = 0; i < count; i++) {
        const int first = i > reach ? i - reach : 0;
        const int last = i < count - 1 - reach ? i + reach : count - 1;
        float best = values[first];
        for (int j = first + 1; j <= last; j++)
            best = values[j] > best ? values[j] : best;
        maximum[i] = best;
    }
}

static void raise_row(float *row, const float *other, int width)
{
    for (int x = 0; x < width; x++)
        row[x] = other[x] > row[x] ? other[x] : row[x];
}

/* Lines of `width` numbers, in blocks of `length` lines: the maxima from the start of a block to each line, and from
 * each line to the end of its block (van Herk, Pattern Recognition Letters 13, 1992; Gil and Werman, PAMI 15, 1993).
 */
static void block_maxima(const float *lines, int count, int width, int length, float *from_start, float *to_end)
{
    const size_t bytes = (size_t)width * sizeof(float);
    for (int i = 0; i < count; i++) {
        float *line = from_start + (size_t)i * width;
        memcpy(line, lines + (size_t)i * width, bytes);
        if (i % length > 0)
            raise_row(line, line - width, width);
    }
    for (int i = count - 1; i >= 0; i--) {
        float *line = to_end + (size_t)i * width;
        memcpy(line, lines + (size_t)i * width, bytes);
        if (i < count - 1 && (i + 1) % length > 0)
            raise_row(line, line + width, width);
    }
}

/* Of the lines first..last. They are as many as a block has, or fewer, and then begin or end where all lines do. */
static void joined_maximum(const float *from_start, const float *to_end, int first, int last, int width, int length,
                           float *maximum)
{
    const float *begin = to_end + (size_t)first * width, *end = from_start + (size_t)last * width;
    const int in_one_block = first / length == last / length;
    memcpy(maximum, in_one_block && first % length > 0 ? begin : end, (size_t)width * sizeof(float));
    if (!in_one_block)
        raise_row(maximum, begin, width);
}

/* What a map needs beside itself. from_start, to_end: for wide windows alone. */
typedef struct {
    float *clean, *row_maximum, *window, *from_start, *to_end;
} Room;

static void row_maxima(const Room *room, int height, int width, int reach)
{
    const int length = 2 * reach + 1;
    for (int y = 0; y < height; y++) {
        const float *row = room->clean + (size_t)y * width;
        float *maximum = room->row_maximum + (size_t)y * width;
        if (reach <= NARROW) {
            sliding_maximum(row, width, reach, maximum);
            continue;
        }
        block_maxima(row, width, 1, length, room->from_start, room->to_end);
        for (int x = 0; x < width; x++)
            joined_maximum(room->from_start, room->to_end, x > reach ? x - reach : 0,
                           x < width - 1 - reach ? x + reach : width - 1, 1, length, maximum + x);
    }
}

/* The maximum of the window around each pixel of a row, from row_maximum. */
static void window_maxima(const Room *room, int y, int height, int width, int reach)
{
    const int first = y > reach ? y - reach : 0;
    const int last = y < height - 1 - reach ? y + reach : height - 1;
    if (reach > NARROW) {
        joined_maximum(room->from_start, room->to_end, first, last, width, 2 * reach + 1, room->window);
        return;
    }
    memcpy(room->window, room->row_maximum + (size_t)first * width, (size_t)width * sizeof(float));
    for (int other = first + 1; other <= last; other++)
        raise_row(room->window, room->row_maximum + (size_t)other * width, width);
}

/* heat, peaks: joints x height x width. A pixel that is not a peak becomes 0; neither NaN nor an infinity is one. */
int hae_heatmap_nms(const float *heat, int joints, int height, int width, int kernel, float *peaks)
{
    const size_t size = (size_t)height * width;
    const int longest = height > width ? height : width;
    const int reach = kernel / 2 < longest ? kernel / 2 : longest;
    const int wide = reach > NARROW;
    float *memory = malloc(((wide ? 4 : 2) * size + width) * sizeof(float));
    if (!memory)
        return -1;
    float *const maps = memory + width;
    const Room room = {maps, maps + size, memory, wide ? maps + 2 * size : NULL, wide ? maps + 3 * size : NULL};
    for (int joint = 0; joint < joints; joint++, heat += size, peaks += size) {
        for (size_t i = 0; i < size; i++)
            room.clean[i] = hae_finite_or_lowest(heat[i]);
        row_maxima(&room, height, width, reach);
        if (wide)
            block_maxima(room.row_maximum, height, width, 2 * reach + 1, room.from_start, room.to_end);
        for (int y = 0; y < height; y++) {
            const float *line = room.clean + (size_t)y * width;
            window_maxima(&room, y, height, width, reach);
            for (int x = 0; x < width; x++)
                peaks[(size_t)y * width + x] = line[x] == room.window[x] && line[x] > -INFINITY ? line[x] : 0.0f;
        }
    }
    free(memory);
    return 0;
}
