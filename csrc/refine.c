/* Step 7: fill in missing joints. Each is sought where the heat is high and the tag near the person's mean tag. */
#include "adjust.h"
#include "numbers.h"
#include "refine.h"

#include <stdlib.h>

static const float *tag_at(const HaeTags *tags, int joint, int x, int y)
{
    return tags->data + joint * tags->joint + y * tags->row + x * tags->column;
}

/* Collects the tags that stand at a person's joints; returns how many there are. */
static int tags_of_person(const float *rows, const HaePersons *persons, const HaeHeat *heat, const HaeTags *tags,
                          float *collected)
{
    const int length = tags->length;
    int count = 0;
    for (int joint = 0; joint < persons->joints; joint++) {
        const float *row = rows + (size_t)joint * (3 + persons->length);
        if (!(row[2] > 0.0f))
            continue;
        const float *tag = tag_at(tags, joint, hae_truncate_inside(row[0], heat->width),
                                  hae_truncate_inside(row[1], heat->height));
        int finite = 1;
        for (int l = 0; l < length; l++) {
            collected[count * length + l] = tag[l * tags->value];
            finite &= hae_is_finite(tag[l * tags->value]);
        }
        count += finite;
    }
    return count;
}

int hae_mean_tag(const float *collected, int count, int length, float *mean)
{
    if (count == 0)
        return 0;
    for (int l = 0; l < length; l++) {
        mean[l] = hae_numpy_mean_column(collected, (size_t)count, (size_t)length, (size_t)l);
        if (!hae_is_finite(mean[l]))
            return 0;
    }
    return 1;
}

/* The scores of a row of pixels; NaN where the heat or a tag is not finite. squares, scores: a row each. */
static void score_row(const float *heat, const float *tag, const HaeTags *tags, const float *mean, int mode, int width,
                      float *squares, float *scores)
{
    for (int x = 0; x < width; x++) {
        squares[x] = 0.0f;
        scores[x] = heat[x] - heat[x]; /* 0, or NaN */
    }
    for (int l = 0; l < tags->length; l++, tag += tags->value)
        for (int x = 0; x < width; x++) {
            const float value = tag[x * tags->column], difference = value - mean[l];
            squares[x] += difference * difference;
            scores[x] += value - value;
        }
    for (int x = 0; x < width; x++)
        scores[x] += hae_refine_score(heat[x], squares[x], mode);
}

/* First maximum, in row-major order, of the score over all pixels that have a finite heat and tag; -1: there is none.
 * */
static int64_t best_pixel(const HaeHeat *heat, const HaeTags *tags, int joint, const float *mean, int mode, float *line)
{
    const int width = heat->width;
    const float *row = heat->data + (size_t)joint * heat->height * width;
    float *scores = line + width, best_score = 0.0f;
    int64_t best = -1;
    for (int y = 0; y < heat->height; y++, row += width) {
        score_row(row, tag_at(tags, joint, 0, y), tags, mean, mode, width, line, scores);
        for (int x = 0; x < width; x++)
            if (scores[x] > best_score || (best < 0 && scores[x] == scores[x])) {
                best = (int64_t)y * width + x;
                best_score = scores[x];
            }
    }
    return best;
}

void hae_fill_in(float *row, const HaePatch *heat, int x, int y, const HaeSettings *settings)
{
    const float value = heat->data[(ptrdiff_t)(y - heat->top) * heat->stride + x - heat->left];
    if (settings->mode == HAE_MMPOSE1) {
        row[0] = (float)x;
        row[1] = (float)y;
        row[2] = value;
    } else if (value > settings->filled_floor) {
        row[0] = (float)x + (settings->use_udp ? 0.0f : 0.5f);
        row[1] = (float)y + (settings->use_udp ? 0.0f : 0.5f);
        row[2] = value;
        hae_quarter_step(hae_rise_at(heat, x, y), row);
    }
}

int hae_refine(HaePersons *persons, const HaeHeat *heat, const HaeTags *tags, const HaeSettings *settings)
{
    const size_t room = (size_t)persons->joints * tags->length;
    float *collected = malloc((room + tags->length + 2 * (size_t)heat->width) * sizeof(float));
    if (!collected)
        return -1;
    float *mean = collected + room, *line = mean + tags->length;
    for (int person = 0; person < persons->count; person++) {
        float *rows = persons->rows + (size_t)person * persons->joints * (3 + persons->length);
        const int count = tags_of_person(rows, persons, heat, tags, collected);
        if (!hae_mean_tag(collected, count, tags->length, mean))
            continue;
        for (int joint = 0; joint < persons->joints; joint++) {
            float *row = rows + (size_t)joint * (3 + persons->length);
            if (row[2] != 0.0f)
                continue;
            const int64_t pixel = best_pixel(heat, tags, joint, mean, settings->mode, line);
            const HaePatch map = hae_whole_map(heat, joint);
            if (pixel >= 0)
                hae_fill_in(row, &map, (int)(pixel % heat->width), (int)(pixel / heat->width), settings);
        }
    }
    free(collected);
    return 0;
}
