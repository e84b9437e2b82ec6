/* Step 6 of UDP models: the DARK sub-pixel step (Zhang et al. 2020; Huang et al. 2020).
 *
 * A Newton step on the logarithm of the blurred heat, for all joints of a person, missing ones (at (0, 0)) included.
 */
#include "steps.h"
#include "numbers.h"

/* OpenCV's default border: mirrored without repeating the edge pixel. */
static int mirror_inside(int at, int size)
{
    if (size == 1)
        return 0;
    if (at < 0)
        return -at;
    return at < size ? at : 2 * size - 2 - at;
}

static int clamp_inside(int at, int size)
{
    return at < 0 ? 0 : at < size ? at : size - 1;
}

/* (1/4, 1/2, 1/4), as OpenCV's symmetric 3-tap filter adds. */
static float blur3(float before, float at, float after)
{
    return (before + after) * 0.25f + at * 0.5f;
}

static float blurred_row(const HaePatch *heat, int x, int y)
{
    const float *row = heat->data + (ptrdiff_t)(y - heat->top) * heat->stride - heat->left;
    return blur3(hae_finite_or_lowest(row[mirror_inside(x - 1, heat->width)]), hae_finite_or_lowest(row[x]),
                 hae_finite_or_lowest(row[mirror_inside(x + 1, heat->width)]));
}

/* The logarithm of the blurred heat at (x, y), which may lie outside by one pixel. */
static float log_heat(const HaePatch *heat, int x, int y)
{
    x = clamp_inside(x, heat->width);
    y = clamp_inside(y, heat->height);
    float value = blur3(blurred_row(heat, x, mirror_inside(y - 1, heat->height)), blurred_row(heat, x, y),
                        blurred_row(heat, x, mirror_inside(y + 1, heat->height)));
    if (!(value > 0.001f))
        value = 0.001f;
    if (value > 50.0f)
        value = 50.0f;
    return (float)log((double)value);
}

void hae_dark_step(float *position, const HaePatch *heat)
{
    const int x = hae_truncate(position[0]), y = hae_truncate(position[1]);
    const double epsilon = 0x1p-23;
    const float at = log_heat(heat, x, y);
    const float left = log_heat(heat, x - 1, y), right = log_heat(heat, x + 1, y);
    const float above = log_heat(heat, x, y - 1), below = log_heat(heat, x, y + 1);
    const float before = log_heat(heat, x - 1, y - 1), after = log_heat(heat, x + 1, y + 1);
    const double gx = 0.5f * (right - left), gy = 0.5f * (below - above);
    const double gxx = (double)(right - 2.0f * at + left) + epsilon;
    const double gyy = (double)(below - 2.0f * at + above) + epsilon;
    const double gxy = 0.5f * (after - right - below + 2.0f * at - left - above + before);
    const double determinant = gxx * gyy - gxy * gxy;
    const double dx = (gyy * gx - gxy * gy) / determinant, dy = (gxx * gy - gxy * gx) / determinant;
    if (!isfinite(dx) || !isfinite(dy))
        return; /* level ground to the last bit: there is no step */
    position[0] = hae_clamp_finite((double)position[0] - dx);
    position[1] = hae_clamp_finite((double)position[1] - dy);
}
