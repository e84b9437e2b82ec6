/* Step 6: the quarter step towards the higher neighbour. */
#include "adjust.h"
#include "numbers.h"

/* A map's pixel; outside, the nearest one inside. */
static float heat_at(const HaePatch *heat, int x, int y)
{
    x = x < 0 ? 0 : x < heat->width ? x : heat->width - 1;
    y = y < 0 ? 0 : y < heat->height ? y : heat->height - 1;
    return hae_finite_or_lowest(heat->data[(ptrdiff_t)(y - heat->top) * heat->stride + x - heat->left]);
}

static int sign_of_rise(float before, float after)
{
    return (after > before) - (after < before);
}

HaeRise hae_rise_at(const HaePatch *heat, int x, int y)
{
    return (HaeRise){sign_of_rise(heat_at(heat, x - 1, y), heat_at(heat, x + 1, y)),
                       sign_of_rise(heat_at(heat, x, y - 1), heat_at(heat, x, y + 1))};
}

/* Up if the next pixel is the higher one, else (also if they are equal) down. */
void hae_quarter_step(HaeRise rise, float *position)
{
    position[0] += rise.across > 0 ? 0.25f : -0.25f;
    position[1] += rise.down > 0 ? 0.25f : -0.25f;
}

/* mmpose 1.x: none near the map's border, none on level ground. */
static void guarded_quarter_step(HaeRise rise, int width, int height, float *position)
{
    const int x = hae_truncate(position[0]), y = hae_truncate(position[1]);
    if (1 < x && x < width - 1 && 0 < y && y < height)
        position[0] += 0.25f * (float)rise.across;
    if (1 < y && y < height - 1 && 0 < x && x < width)
        position[1] += 0.25f * (float)rise.down;
}

static void adjust_mmpose1(float *row, HaeRise rise, int width, int height, const HaeSettings *settings)
{
    if (settings->adjust)
        guarded_quarter_step(rise, width, height, row);
    if (row[2] > 0.0f) {
        row[0] += settings->center_shift;
        row[1] += settings->center_shift;
    }
}

/* mmpose1 takes the quarter step's shift with settings->adjust off too; the reference then leaves this step out. */
void hae_adjust_joint(float *row, HaeRise rise, int width, int height, const HaeSettings *settings)
{
    if (settings->mode == HAE_MMPOSE1) {
        adjust_mmpose1(row, rise, width, height, settings);
    } else if (row[2] > 0.0f) {
        hae_quarter_step(rise, row);
        row[0] += 0.5f;
        row[1] += 0.5f;
    }
}

HaePatch hae_whole_map(const HaeHeat *heat, int joint)
{
    const float *map = heat->data + (size_t)joint * heat->height * heat->width;
    return (HaePatch){map, 0, 0, heat->width, heat->width, heat->height};
}

void hae_adjust(HaePersons *persons, const HaeHeat *heat, const HaeSettings *settings)
{
    float *row = persons->rows;
    for (int person = 0; person < persons->count; person++)
        for (int joint = 0; joint < persons->joints; joint++, row += 3 + persons->length) {
            const HaePatch map = hae_whole_map(heat, joint);
            if (settings->use_udp && settings->mode == HAE_REFERENCE)
                hae_dark_step(row, &map);
            else
                hae_adjust_joint(row, hae_rise_at(&map, hae_truncate(row[0]), hae_truncate(row[1])), map.width,
                                 map.height, settings);
        }
}
