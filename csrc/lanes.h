/* Eight float32 at a time: AVX2 where the including file is compiled for it, else plain loops of eight, which compilers
 * turn into what the processor has. Both give the same bits.
 */
#ifndef HRNETAE_LANES_H
#define HRNETAE_LANES_H

#include "numbers.h"

enum { LANES = 8 };

#ifdef __AVX2__
#include <immintrin.h>

typedef __m256 Lanes;

static inline Lanes lanes_load(const float *at) { return _mm256_loadu_ps(at); }
static inline void lanes_store(float *at, Lanes a) { _mm256_storeu_ps(at, a); }
static inline Lanes lanes_all(float value) { return _mm256_set1_ps(value); }
static inline Lanes lanes_add(Lanes a, Lanes b) { return _mm256_add_ps(a, b); }
static inline Lanes lanes_sub(Lanes a, Lanes b) { return _mm256_sub_ps(a, b); }
static inline Lanes lanes_mul(Lanes a, Lanes b) { return _mm256_mul_ps(a, b); }
static inline Lanes lanes_div(Lanes a, Lanes b) { return _mm256_div_ps(a, b); }
/* a * b + c, rounded once. */
static inline Lanes lanes_fma(Lanes a, Lanes b, Lanes c) { return _mm256_fmadd_ps(a, b, c); }
/* a > b ? a : b, so b where one is NaN. */
static inline Lanes lanes_max(Lanes a, Lanes b) { return _mm256_max_ps(a, b); }
/* a < b ? a : b, so b where one is NaN. */
static inline Lanes lanes_min(Lanes a, Lanes b) { return _mm256_min_ps(a, b); }
static inline Lanes lanes_sqrt(Lanes a) { return _mm256_sqrt_ps(a); }
static inline Lanes lanes_abs(Lanes a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
/* hae_rint_positive */
static inline Lanes lanes_rint_positive(Lanes a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* One bit a lane; none where one is NaN. */
static inline int lanes_above(Lanes a, Lanes b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)); }
static inline int lanes_not_below(Lanes a, Lanes b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GE_OQ)); }
/* b where a is lane for lane the value, else a. */
static inline Lanes lanes_replace(Lanes a, float value, Lanes b)
{
    return _mm256_blendv_ps(a, b, _mm256_cmp_ps(a, _mm256_set1_ps(value), _CMP_EQ_OQ));
}

/* hae_finite_or_lowest */
static inline Lanes lanes_finite_or_lowest(Lanes a)
{
    const Lanes infinite = _mm256_set1_ps(INFINITY);
    return _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), a, _mm256_cmp_ps(lanes_abs(a), infinite, _CMP_LT_OQ));
}

/* b where a is positive, else 0. */
static inline Lanes lanes_where_positive(Lanes a, Lanes b)
{
    return _mm256_and_ps(_mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_GT_OQ), b);
}

#else

typedef struct {
    float at[LANES];
} Lanes;

#define HAE_LANES(expression)                     \
    Lanes result;                                 \
    for (int i = 0; i < LANES; i++)               \
        result.at[i] = (expression);              \
    return result

static inline Lanes lanes_load(const float *at) { HAE_LANES(at[i]); }
static inline void lanes_store(float *at, Lanes a) { memcpy(at, a.at, sizeof a.at); }
static inline Lanes lanes_all(float value) { HAE_LANES(value); }
static inline Lanes lanes_add(Lanes a, Lanes b) { HAE_LANES(a.at[i] + b.at[i]); }
static inline Lanes lanes_sub(Lanes a, Lanes b) { HAE_LANES(a.at[i] - b.at[i]); }
static inline Lanes lanes_mul(Lanes a, Lanes b) { HAE_LANES(a.at[i] * b.at[i]); }
static inline Lanes lanes_div(Lanes a, Lanes b) { HAE_LANES(a.at[i] / b.at[i]); }
static inline Lanes lanes_fma(Lanes a, Lanes b, Lanes c) { HAE_LANES(fmaf(a.at[i], b.at[i], c.at[i])); }
static inline Lanes lanes_max(Lanes a, Lanes b) { HAE_LANES(a.at[i] > b.at[i] ? a.at[i] : b.at[i]); }
static inline Lanes lanes_min(Lanes a, Lanes b) { HAE_LANES(a.at[i] < b.at[i] ? a.at[i] : b.at[i]); }
static inline Lanes lanes_sqrt(Lanes a) { HAE_LANES(sqrtf(a.at[i])); }
static inline Lanes lanes_abs(Lanes a) { HAE_LANES(fabsf(a.at[i])); }
static inline Lanes lanes_rint_positive(Lanes a) { HAE_LANES(hae_rint_positive(a.at[i])); }
static inline Lanes lanes_replace(Lanes a, float value, Lanes b) { HAE_LANES(a.at[i] == value ? b.at[i] : a.at[i]); }
static inline Lanes lanes_where_positive(Lanes a, Lanes b) { HAE_LANES(a.at[i] > 0.0f ? b.at[i] : 0.0f); }
static inline Lanes lanes_finite_or_lowest(Lanes a) { HAE_LANES(hae_finite_or_lowest(a.at[i])); }
static inline int lanes_above(Lanes a, Lanes b)
{
    int bits = 0;
    for (int i = 0; i < LANES; i++)
        bits |= (a.at[i] > b.at[i]) << i;
    return bits;
}
static inline int lanes_not_below(Lanes a, Lanes b)
{
    int bits = 0;
    for (int i = 0; i < LANES; i++)
        bits |= (a.at[i] >= b.at[i]) << i;
    return bits;
}

#endif

/* Lanes 1..7 of a, and lane 0 of b. */
static inline Lanes lanes_next(Lanes a, Lanes b)
{
#ifdef __AVX2__
    const __m256i middle = _mm256_castps_si256(_mm256_permute2f128_ps(a, b, 0x21));
    return _mm256_castsi256_ps(_mm256_alignr_epi8(middle, _mm256_castps_si256(a), sizeof(float)));
#else
    Lanes next;
    for (int i = 0; i < LANES; i++)
        next.at[i] = i < LANES - 1 ? a.at[i + 1] : b.at[0];
    return next;
#endif
}

/* Eight of the numbers of `lines` lines. */
static inline Lanes lanes_pick(const Lanes *line, int lines, const int32_t *index)
{
#ifdef __AVX2__
    const __m256i at = _mm256_loadu_si256((const __m256i *)index);
    __m256 picked = _mm256_permutevar8x32_ps(line[0], at);
    for (int i = 1; i < lines; i++) {
        const __m256i is_here = _mm256_cmpgt_epi32(at, _mm256_set1_epi32(i * LANES - 1));
        picked = _mm256_blendv_ps(picked, _mm256_permutevar8x32_ps(line[i], at), _mm256_castsi256_ps(is_here));
    }
    return picked;
#else
    Lanes picked;
    (void)lines;
    for (int i = 0; i < LANES; i++)
        picked.at[i] = line[index[i] / LANES].at[index[i] % LANES];
    return picked;
#endif
}

/* None may be NaN. */
static inline float lanes_largest(Lanes a)
{
#ifdef __AVX2__
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
#else
    float at[LANES], largest;
    lanes_store(at, a);
    largest = at[0];
    for (int i = 1; i < LANES; i++)
        largest = at[i] > largest ? at[i] : largest;
    return largest;
#endif
}

/* (a + b) / 2, as hae_flip_average. */
static inline Lanes lanes_average(Lanes a, Lanes b)
{
    return lanes_mul(lanes_add(a, b), lanes_all(0.5f));
}

/* The value between two cells or rows: fma(near_weight, near, far_weight * far). */
static inline Lanes lanes_blend(Lanes near_weight, Lanes near, Lanes far_weight, Lanes far)
{
    return lanes_fma(near_weight, near, lanes_mul(far_weight, far));
}

/* 0 where finite, else NaN. */
static inline Lanes lanes_unless_finite(Lanes a)
{
    return lanes_sub(a, a);
}

/* The first `count` lanes, or all. */
static inline int bits_of(int count)
{
    return count < LANES ? (1 << count) - 1 : (1 << LANES) - 1;
}

/* The lowest bit of a mask that is not 0. */
static inline int first_lane(int bits)
{
#ifdef __GNUC__
    return __builtin_ctz((unsigned)bits);
#else
    int lane = 0;
    while (!(bits >> lane & 1))
        lane++;
    return lane;
#endif
}

#endif
