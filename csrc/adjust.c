/* Step 6: the quarter step towards the higher neighbour, and the person score, which is taken here. */
#include "adjust.h"
#include "numbers.h"

/* A map's pixel; outside, the nearest one inside. */
static float heat_at(const HaePatch *heat, int x, int y)
{
    x = x < 0 ? 0 : x < heat->width ? x : heat->width - 1;
    y = y < 0 ? 0 : y < heat->height ? y : heat->height - 1;
    return hae_finite_or_lowest(heat->data[(ptrdiff_t)(y - heat->top) * heat->stride + x - heat->left]);
}

/* Up if the next pixel is the higher one, else (also if they are equal) down. */
void hae_quarter_step(const HaePatch *heat, int x, int y, float *position)
{
    position[0] += heat_at(heat, x + 1, y) > heat_at(heat, x - 1, y) ? 0.25f : -0.25f;
    position[1] += heat_at(heat, x, y + 1) > heat_at(heat, x, y - 1) ? 0.25f : -0.25f;
}

static float sign_of_slope(float after, float before)
{
    return after > before ? 1.0f : after < before ? -1.0f : 0.0f;
}

/* mmpose 1.x: none near the map's border, none on level ground. */
static void guarded_quarter_step(const HaePatch *heat, int x, int y, float *position)
{
    if (1 < x && x < heat->width - 1 && 0 < y && y < heat->height)
        position[0] += 0.25f * sign_of_slope(heat_at(heat, x + 1, y), heat_at(heat, x - 1, y));
    if (1 < y && y < heat->height - 1 && 0 < x && x < heat->width)
        position[1] += 0.25f * sign_of_slope(heat_at(heat, x, y + 1), heat_at(heat, x, y - 1));
}

static void adjust_mmpose1(float *row, const HaePatch *heat, const HaeSettings *settings)
{
    if (settings->adjust)
        guarded_quarter_step(heat, hae_truncate(row[0]), hae_truncate(row[1]), row);
    if (row[2] > 0.0f) {
        row[0] += settings->center_shift;
        row[1] += settings->center_shift;
    }
}

static void adjust_reference(float *row, const HaePatch *heat)
{
    if (row[2] > 0.0f) {
        hae_quarter_step(heat, hae_truncate(row[0]), hae_truncate(row[1]), row);
        row[0] += 0.5f;
        row[1] += 0.5f;
    }
}

/* mmpose1 takes the quarter step's shift with settings->adjust off too; the reference then leaves this step out. */
void hae_adjust_joint(float *row, const HaePatch *heat, const HaeSettings *settings)
{
    if (settings->mode == HAE_MMPOSE1)
        adjust_mmpose1(row, heat, settings);
    else if (settings->use_udp)
        hae_dark_step(row, heat);
    else
        adjust_reference(row, heat);
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
            hae_adjust_joint(row, &map, settings);
        }
}

/* The float32 mean of a person's joint values, missing joints counting as 0. */
void hae_person_scores(const HaePersons *persons, float *scores)
{
    const size_t stride = 3 + (size_t)persons->length, joints = (size_t)persons->joints;
    for (int person = 0; person < persons->count; person++)
        scores[person] = hae_clamp_finite(
            hae_numpy_sum(persons->rows + person * joints * stride + 2, joints, stride) / (float)joints);
}

/* The joint values themselves, count x joints. */
void hae_joint_scores(const HaePersons *persons, float *scores)
{
    const size_t stride = 3 + (size_t)persons->length, count = (size_t)persons->count * persons->joints;
    for (size_t i = 0; i < count; i++)
        scores[i] = persons->rows[i * stride + 2];
}
