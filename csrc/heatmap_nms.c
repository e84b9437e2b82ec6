/* Step 3: heatmap NMS. A pixel that equals the maximum of its window is a peak; all pixels of a plateau are. */
#include "steps.h"
#include "numbers.h"

#include <stdlib.h>

/* Maximum of the window of `kernel` numbers around each of `count` numbers; outside there is nothing. */
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

/* heat, peaks: joints x height x width. A pixel that is not a peak becomes 0; neither NaN nor an infinity is one. */
int hae_heatmap_nms(const float *heat, int joints, int height, int width, int kernel, float *peaks)
{
    const size_t size = (size_t)height * width;
    const int longest = height > width ? height : width;
    const int reach = kernel / 2 < longest ? kernel / 2 : longest;
    float *clean = malloc((2 * size + width) * sizeof(float));
    if (!clean)
        return -1;
    float *row_maximum = clean + size, *window = row_maximum + size;
    for (int joint = 0; joint < joints; joint++, heat += size, peaks += size) {
        for (size_t i = 0; i < size; i++)
            clean[i] = hae_finite_or_lowest(heat[i]);
        for (int y = 0; y < height; y++)
            sliding_maximum(clean + (size_t)y * width, width, reach, row_maximum + (size_t)y * width);
        for (int y = 0; y < height; y++) {
            const int first = y > reach ? y - reach : 0;
            const int last = y < height - 1 - reach ? y + reach : height - 1;
            memcpy(window, row_maximum + (size_t)first * width, (size_t)width * sizeof(float));
            for (int other = first + 1; other <= last; other++)
                raise_row(window, row_maximum + (size_t)other * width, width);
            const float *line = clean + (size_t)y * width;
            for (int x = 0; x < width; x++)
                peaks[(size_t)y * width + x] = line[x] == window[x] && line[x] > -INFINITY ? line[x] : 0.0f;
        }
    }
    free(clean);
    return 0;
}
