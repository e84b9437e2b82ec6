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

/* Pixels of a row whose heat is bounded together. */
enum { STRETCH = 64, LANES = 8 };

/* The highest finite heat of a stretch, -inf where there is none, and the first column that has it. No score of the
 * stretch is higher, since distances are subtracted. */
typedef struct {
    float heat;
    int x;
} Highest;

static Highest highest_of(const float *row, int from, int to)
{
    float lane[LANES], top = -INFINITY;
    int x = from;
    for (int i = 0; i < LANES; i++)
        lane[i] = -INFINITY;
    for (; x + LANES <= to; x += LANES)
        for (int i = 0; i < LANES; i++) {
            const float value = hae_finite_or_lowest(row[x + i]);
            lane[i] = value > lane[i] ? value : lane[i];
        }
    for (int i = 0; i < LANES; i++)
        top = lane[i] > top ? lane[i] : top;
    for (; x < to; x++)
        top = hae_finite_or_lowest(row[x]) > top ? row[x] : top;
    for (x = from; x < to - 1 && hae_finite_or_lowest(row[x]) != top;)
        x++;
    return (Highest){top, x};
}

static int stretches_of_row(int width)
{
    return (width + STRETCH - 1) / STRETCH;
}

static int end_of(int stretch, int width)
{
    return (stretch + 1) * STRETCH < width ? (stretch + 1) * STRETCH : width;
}

/* highest: height x stretches of a row. */
static void bound_joint(const HaeHeat *heat, int joint, Highest *highest)
{
    const float *row = heat->data + (size_t)joint * heat->height * heat->width;
    for (int y = 0; y < heat->height; y++, row += heat->width)
        for (int s = 0; s < stretches_of_row(heat->width); s++)
            *highest++ = highest_of(row, s * STRETCH, end_of(s, heat->width));
}

/* The scores of a stretch of pixels; NaN where the heat or a tag is not finite. */
static void score_stretch(const float *heat, const float *tag, const HaeTags *tags, const float *mean, int mode,
                          int count, float *scores)
{
    float squares[STRETCH];
    for (int x = 0; x < count; x++) {
        squares[x] = 0.0f;
        scores[x] = heat[x] - heat[x]; /* 0, or NaN */
    }
    for (int l = 0; l < tags->length; l++, tag += tags->value)
        for (int x = 0; x < count; x++) {
            const float value = tag[x * tags->column], difference = value - mean[l];
            squares[x] += difference * difference;
            scores[x] += value - value;
        }
    for (int x = 0; x < count; x++)
        scores[x] += hae_refine_score(heat[x], squares[x], mode);
}

/* The best score among the highest pixels of all stretches: the whole map's is no lower. -inf: nothing is known. */
static float score_to_reach(const HaeHeat *heat, const HaeTags *tags, int joint, const float *mean, int mode,
                            const Highest *highest)
{
    float reached = -INFINITY;
    for (int y = 0; y < heat->height; y++)
        for (int s = 0; s < stretches_of_row(heat->width); s++, highest++) {
            float score;
            if (highest->heat <= reached)
                continue;
            score_stretch(&highest->heat, tag_at(tags, joint, highest->x, y), tags, mean, mode, 1, &score);
            reached = score > reached ? score : reached;
        }
    return reached;
}

/* First maximum, in row-major order, of the score over all pixels that have a finite heat and tag; -1: there is none.
 * Stretches whose heat cannot reach it are passed over. highest: of the joint, by bound_joint. */
static int64_t best_pixel(const HaeHeat *heat, const HaeTags *tags, int joint, const float *mean, int mode,
                          const Highest *highest)
{
    const int width = heat->width;
    const float reached = score_to_reach(heat, tags, joint, mean, mode, highest);
    const float *row = heat->data + (size_t)joint * heat->height * width;
    float scores[STRETCH], best_score = 0.0f;
    int64_t best = -1;
    for (int y = 0; y < heat->height; y++, row += width)
        for (int s = 0; s < stretches_of_row(width); s++, highest++) {
            const int from = s * STRETCH, count = end_of(s, width) - from;
            if (highest->heat < reached || (best >= 0 && highest->heat <= best_score))
                continue;
            score_stretch(row + from, tag_at(tags, joint, from, y), tags, mean, mode, count, scores);
            for (int x = 0; x < count; x++)
                if (scores[x] > best_score || (best < 0 && scores[x] == scores[x])) {
                    best = (int64_t)y * width + from + x;
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

/* A person's mean tag, and whether it has one. */
static int mean_of_person(const float *rows, const HaePersons *persons, const HaeHeat *heat, const HaeTags *tags,
                          float *collected, float *mean)
{
    return hae_mean_tag(collected, tags_of_person(rows, persons, heat, tags, collected), tags->length, mean);
}

/* Joint by joint, so that a joint's maps stay in the cache for all persons. means: persons x length, with known where
 * there is one. */
static void fill_joint(HaePersons *persons, int joint, const HaeHeat *heat, const HaeTags *tags, const float *means,
                       const char *known, const HaeSettings *settings, Highest *highest)
{
    const HaePatch map = hae_whole_map(heat, joint);
    int bounded = 0;
    for (int person = 0; person < persons->count; person++) {
        float *row = persons->rows + ((size_t)person * persons->joints + joint) * (3 + persons->length);
        if (row[2] != 0.0f || !known[person])
            continue;
        if (!bounded)
            bound_joint(heat, joint, highest);
        bounded = 1;
        const float *mean = means + (size_t)person * tags->length;
        const int64_t pixel = best_pixel(heat, tags, joint, mean, settings->mode, highest);
        if (pixel >= 0)
            hae_fill_in(row, &map, (int)(pixel % heat->width), (int)(pixel / heat->width), settings);
    }
}

int hae_refine(HaePersons *persons, const HaeHeat *heat, const HaeTags *tags, const HaeSettings *settings)
{
    const size_t count = persons->count, length = tags->length, row = (size_t)persons->joints * (3 + persons->length);
    const size_t stretches = (size_t)heat->height * stretches_of_row(heat->width);
    Highest *highest = malloc(stretches * sizeof(Highest) + (persons->joints + count) * length * sizeof(float) + count);
    if (!highest)
        return -1;
    float *collected = (float *)(highest + stretches), *means = collected + persons->joints * length;
    char *known = (char *)(means + count * length);
    for (size_t person = 0; person < count; person++)
        known[person] = (char)mean_of_person(persons->rows + person * row, persons, heat, tags, collected,
                                             means + person * length);
    for (int joint = 0; joint < persons->joints; joint++)
        fill_joint(persons, joint, heat, tags, means, known, settings, highest);
    free(highest);
    return 0;
}
