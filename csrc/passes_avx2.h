/* The passes over float16 maps, sixteen cells at a time. They give what the plain loops give.
 *
 * As signed 16-bit integers float16 numbers order like numbers where they are positive, and all negative ones are
 * below; as unsigned integers negative ones are above, and order by their distance from 0.
 */
#ifndef HRNETAE_PASSES_AVX2_H
#define HRNETAE_PASSES_AVX2_H

enum { CHUNK = 16, WIDEST = 1024 };

static inline int chunks_fit(const HaeMaps *maps)
{
    return maps->is_half && maps->width % CHUNK == 0 && maps->width <= WIDEST;
}

/* The passes run down columns of a block, an order that the processor does not foresee: lines are asked for two rows of
 * blocks ahead. Past the map's end that is the next map, which is the next to be read. */
static inline void prefetch_ahead(const uint16_t *row, int width)
{
    const size_t line = (size_t)width * sizeof(uint16_t);
    const uintptr_t ahead = (uintptr_t)row + 2 * BLOCK * line;
    for (int y = 0; y < BLOCK; y++)
        _mm_prefetch((const char *)(ahead + y * line), _MM_HINT_T0);
}

static inline __m256i load_chunk(const uint16_t *at)
{
    return _mm256_loadu_si256((const __m256i *)at);
}

/* The smallest of eight unsigned numbers. */
static inline unsigned smallest_of_eight(const uint16_t *at)
{
    return (unsigned)_mm_cvtsi128_si32(_mm_minpos_epu16(_mm_loadu_si128((const __m128i *)at))) & 0xffffu;
}

static inline unsigned smallest_of(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static inline void find_bounds_avx2(const HaeSource *source, HaeBounds *bounds)
{
    const int width = source->maps->width, height = source->maps->height;
    const uint16_t *map = (const uint16_t *)source->maps->data + row_start(source, 0);
    const __m256i flip = _mm256_set1_epi16(0x7fff); /* turns the signed order into the unsigned one, backwards */
    uint16_t keys_and_edges[WIDEST + 2 * CHUNK], *keys = keys_and_edges + CHUNK;
    uint16_t largest[WIDEST / BLOCK + LANES];
    __m256i farthest = _mm256_setzero_si256(), most = _mm256_set1_epi16(-0x8000);
    keys[-1] = keys[width] = 0xffffu;
    for (int block = 0; block < bounds->down; block++) {
        const int top = block * BLOCK, bottom = top + BLOCK < height ? top + BLOCK : height;
        const uint16_t *own = map + (size_t)top * width;
        for (int x = 0; x < width; x += CHUNK) {
            const uint16_t *row = own + x;
            __m256i line = load_chunk(row);
            if (x % (2 * CHUNK) == 0)
                prefetch_ahead(row, width);
            farthest = _mm256_max_epu16(farthest, line);
            for (int y = top + 1; y < bottom; y++) {
                row += width;
                const __m256i chunk = load_chunk(row);
                line = _mm256_max_epi16(line, chunk);
                farthest = _mm256_max_epu16(farthest, chunk);
            }
            most = _mm256_max_epi16(most, line);
            if (top > 0)
                line = _mm256_max_epi16(line, load_chunk(own + x - width));
            if (bottom < height)
                line = _mm256_max_epi16(line, load_chunk(row + width));
            _mm256_storeu_si256((__m256i *)(keys + x), _mm256_xor_si256(line, flip));
        }
        for (int j = 0; j < bounds->across; j++) {
            const uint16_t *key = keys + j * BLOCK;
            const unsigned smallest = smallest_of(smallest_of_eight(key), smallest_of(key[-1], key[BLOCK]));
            const unsigned value = smallest <= 0x7fffu ? 0x7fffu - smallest : 0; /* negative: 0 */
            largest[source->mirrored ? bounds->across - 1 - j : j] = (uint16_t)value;
        }
        float *bound = bounds->bound + (size_t)block * bounds->across;
        for (int j = 0; j < bounds->across; j++)
            bound[j] = bound_of(half_value(largest[j]));
    }
    uint16_t lanes[2][CHUNK];
    unsigned above = 0, below = 0;
    _mm256_storeu_si256((__m256i *)lanes[0], most);
    _mm256_storeu_si256((__m256i *)lanes[1], farthest);
    for (int i = 0; i < CHUNK; i++) {
        const unsigned positive = lanes[0][i] < 0x8000u ? lanes[0][i] : 0;
        above = positive > above ? positive : above;
        below = lanes[1][i] > below ? lanes[1][i] : below;
    }
    below &= 0x7fffu;
    finish_bounds(bounds, half_value((uint16_t)above), half_value((uint16_t)below));
}

static inline void find_ranges_avx2(const HaeSource *source, int across, float *low, float *high)
{
    const int width = source->maps->width, height = source->maps->height;
    const uint16_t *map = (const uint16_t *)source->maps->data + row_start(source, 0);
    const __m256i flip = _mm256_set1_epi16(0x7fff), ones = _mm256_set1_epi16(-1);
    uint16_t rows[3][WIDEST + 2 * CHUNK];
    uint16_t *const positive = rows[0] + CHUNK, *const farthest = rows[1] + CHUNK, *const nearest = rows[2] + CHUNK;
    for (int i = 0; i < 3; i++)
        rows[i][CHUNK - 1] = rows[i][CHUNK + width] = 0xffffu;
    for (int block = 0; block * BLOCK < height; block++) {
        const int top = block * BLOCK, last = top + BLOCK < height ? top + BLOCK : height - 1;
        for (int x = 0; x < width; x += CHUNK) {
            const uint16_t *row = map + (size_t)top * width + x;
            __m256i most = load_chunk(row), far = most, near = most;
            if (x % (2 * CHUNK) == 0)
                prefetch_ahead(row, width);
            for (int y = top + 1; y <= last; y++) {
                row += width;
                const __m256i chunk = load_chunk(row);
                most = _mm256_max_epi16(most, chunk);
                far = _mm256_max_epu16(far, chunk);
                near = _mm256_min_epu16(near, chunk);
            }
            _mm256_storeu_si256((__m256i *)(positive + x), _mm256_xor_si256(most, flip));
            _mm256_storeu_si256((__m256i *)(farthest + x), _mm256_xor_si256(far, ones));
            _mm256_storeu_si256((__m256i *)(nearest + x), near);
        }
        for (int j = 0; j < across; j++) {
            /* A block needs the cell beyond its right edge, which of a mirrored map is on the left. */
            const int x = j * BLOCK, next = source->mirrored ? x - 1 : x + BLOCK;
            const unsigned smax_key = smallest_of(smallest_of_eight(positive + x), positive[next]);
            const unsigned umax = 0xffffu - smallest_of(smallest_of_eight(farthest + x), farthest[next]);
            const unsigned umin = smallest_of(smallest_of_eight(nearest + x), nearest[next]);
            const unsigned most = smax_key <= 0x7fffu ? 0x7fffu - smax_key : umin;
            const unsigned least = umax >= 0x8000u ? umax : umin;
            const int at = block * across + (source->mirrored ? across - 1 - j : j);
            set_range(half_value((uint16_t)least), half_value((uint16_t)most), (umax & 0x7fffu) < 0x7c00u
                      && (most & 0x7fffu) < 0x7c00u, &low[at], &high[at]);
        }
    }
}

#endif
