/* Numbers: float16, finiteness, rounding and NumPy's float32 mean, to the bit. */
#ifndef HRNETAE_NUMBERS_H
#define HRNETAE_NUMBERS_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* float16 to float32, exact for every pattern (IEEE 754-2008 binary16). */
static inline float hae_half_to_float(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    const uint32_t magnitude = half & 0x7fffu;
    uint32_t bits;
    float value;
    if (magnitude >= 0x7c00u) { /* infinity, NaN */
        bits = sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13);
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    if (magnitude < 0x400u) /* subnormal: counted in units of 2^-24, which never makes a subnormal float32 */
        value = (float)magnitude * 0x1p-24f;
    else {
        bits = (magnitude << 13) + (112u << 23);
        memcpy(&value, &bits, sizeof value);
    }
    memcpy(&bits, &value, sizeof bits);
    bits |= sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* By the bits, so that no compiler option can argue it away. */
static inline int hae_is_finite(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits & 0x7f800000u) != 0x7f800000u;
}

/* A heat that is not a number, or infinite, counts as below everything: it is never a peak. */
static inline float hae_finite_or_lowest(float value)
{
    return hae_is_finite(value) ? value : -INFINITY;
}

static inline float hae_clamp_finite(double value)
{
    if (value != value)
        return 0.0f;
    if (value > FLT_MAX)
        return FLT_MAX;
    if (value < -FLT_MAX)
        return -FLT_MAX;
    return (float)value;
}

/* int(position) for any float; what no map reaches is cut off. */
static inline int hae_truncate(float position)
{
    if (!(position > -1e9f))
        return position != position ? 0 : -1000000000;
    return position < 1e9f ? (int)position : 1000000000;
}

/* rint for value >= 0 or +inf: adding 2^23 leaves no room for a fraction, so the addition rounds half to even.
 * Written so because compilers vectorise it at every level, which they do not do with rintf. */
static inline float hae_rint_positive(float value)
{
    const float shifted = (value + 8388608.0f) - 8388608.0f;
    return value < 8388608.0f ? shifted : value;
}

/* The same for float64, with 2^52. */
static inline double hae_rint_positive_double(double value)
{
    const double shifted = (value + 4503599627370496.0) - 4503599627370496.0;
    return value < 4503599627370496.0 ? shifted : value;
}

/* The float32 sum that np.add.reduce makes of a contiguous run: plain below 8 numbers, eight running sums up to
 * 128, halves beyond. */
static inline float hae_numpy_sum(const float *values, size_t count, size_t stride)
{
    if (count < 8) {
        float sum = 0.0f;
        for (size_t i = 0; i < count; i++)
            sum += values[i * stride];
        return sum;
    }
    if (count <= 128) {
        float running[8];
        size_t i;
        for (i = 0; i < 8; i++)
            running[i] = values[i * stride];
        for (; i + 8 <= count; i += 8)
            for (size_t j = 0; j < 8; j++)
                running[j] += values[(i + j) * stride];
        float sum = ((running[0] + running[1]) + (running[2] + running[3]))
                  + ((running[4] + running[5]) + (running[6] + running[7]));
        for (; i < count; i++)
            sum += values[i * stride];
        return sum;
    }
    size_t half = count / 2;
    half -= half % 8;
    return hae_numpy_sum(values, half, stride) + hae_numpy_sum(values + half * stride, count - half, stride);
}

/* np.mean(tags, axis=0) of a (count, length) float32 array, one column of it: with one column NumPy sees a
 * contiguous run, with more it adds row by row. */
static inline float hae_numpy_mean_column(const float *tags, size_t count, size_t length, size_t column)
{
    float sum;
    if (length == 1) {
        sum = hae_numpy_sum(tags, count, 1);
    } else {
        sum = tags[column];
        for (size_t i = 1; i < count; i++)
            sum += tags[i * length + column];
    }
    return sum / (float)count;
}

#endif
