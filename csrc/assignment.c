/* Step 5's assignment: minimum-cost pairing by Kuhn-Munkres (Munkres 1957).
 *
 * Where costs tie, as rounded tag distances mostly do, many pairings are equally cheap, and people depend on which
 * one is returned. This one returns what the Python package munkres 1.1.4 returns: same starting stars, same order
 * of search, same float64 operations in the same order (costs of 1e10 absorb low digits, and a zero is an exact 0).
 *
 * The zeros of a row are kept as a bit mask, so that the search for an uncovered zero, where the time goes, looks
 * at 64 columns at once.
 */
#include "hrnetae.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef _MSC_VER
#include <intrin.h>
static int highest_bit(uint64_t word)
{
    unsigned long at;
    _BitScanReverse64(&at, word);
    return (int)at;
}
static int lowest_bit(uint64_t word)
{
    unsigned long at;
    _BitScanForward64(&at, word);
    return (int)at;
}
#else
static int highest_bit(uint64_t word)
{
    return 63 - __builtin_clzll(word);
}

static int lowest_bit(uint64_t word)
{
    return __builtin_ctzll(word);
}
#endif

typedef struct {
    int n, words;
    double *cost;                    /* n x n */
    uint64_t *zero;                  /* n x words: the columns where the row's cost is exactly 0 */
    uint64_t *open;                  /* words: the columns that are not covered */
    unsigned char *row_covered;      /* n */
    int32_t *star_of_row, *star_of_column, *prime_of_row; /* n each; -1: none */
} Problem;

static uint64_t column_bit(int column)
{
    return (uint64_t)1 << (column % 64);
}

static void note_zeros(Problem *p, int row)
{
    const double *cost = p->cost + (size_t)row * p->n;
    uint64_t *zero = p->zero + (size_t)row * p->words;
    for (int word = 0; word < p->words; word++) {
        const int first = word * 64, last = first + 64 < p->n ? first + 64 : p->n;
        uint64_t bits = 0;
        for (int column = first; column < last; column++)
            bits |= (uint64_t)(cost[column] == 0.0) << (column - first);
        zero[word] = bits;
    }
}

/* munkres step 1. */
static void subtract_row_minima(Problem *p)
{
    for (int row = 0; row < p->n; row++) {
        double *cost = p->cost + (size_t)row * p->n;
        double least = cost[0];
        for (int column = 1; column < p->n; column++)
            least = cost[column] < least ? cost[column] : least;
        for (int column = 0; column < p->n; column++)
            cost[column] -= least;
        note_zeros(p, row);
    }
}

static void open_all_columns(Problem *p)
{
    memset(p->open, 0xff, (size_t)p->words * sizeof(uint64_t));
}

static void star(Problem *p, int row, int column)
{
    p->star_of_row[row] = column;
    p->star_of_column[column] = row;
}

/* munkres step 2: row by row, the first zero whose column holds no star yet. */
static void star_first_zeros(Problem *p)
{
    open_all_columns(p);
    for (int row = 0; row < p->n; row++) {
        const uint64_t *zero = p->zero + (size_t)row * p->words;
        for (int word = 0; word < p->words; word++) {
            const uint64_t bits = zero[word] & p->open[word];
            if (bits) {
                const int column = word * 64 + lowest_bit(bits);
                star(p, row, column);
                p->open[word] &= ~column_bit(column);
                break;
            }
        }
    }
}

/* munkres step 3: cover the columns that hold a star; nothing else is covered or primed. Returns how many. */
static int cover_starred_columns(Problem *p)
{
    int covered = 0;
    memset(p->open, 0, (size_t)p->words * sizeof(uint64_t));
    for (int column = 0; column < p->n; column++) {
        p->row_covered[column] = 0;
        p->prime_of_row[column] = -1;
        if (p->star_of_column[column] >= 0)
            covered++;
        else
            p->open[column / 64] |= column_bit(column);
    }
    return covered;
}

/* The last uncovered zero of a row, when columns are visited from `start` cyclically; -1: none. It is the highest
 * column below `start`, if there is one, else the highest of all. */
static int last_open_zero(const Problem *p, int row, int start)
{
    const uint64_t *zero = p->zero + (size_t)row * p->words;
    uint64_t below_start = column_bit(start) - 1;
    for (int word = start / 64; word >= 0; word--, below_start = ~(uint64_t)0) {
        const uint64_t bits = zero[word] & p->open[word] & below_start;
        if (bits)
            return word * 64 + highest_bit(bits);
    }
    for (int word = p->words - 1; word >= start / 64; word--) {
        const uint64_t bits = zero[word] & p->open[word];
        if (bits)
            return word * 64 + highest_bit(bits);
    }
    return -1;
}

/* The first uncovered row that has an uncovered zero, from row `*row` cyclically. 0: there is none. */
static int find_open_zero(const Problem *p, int *row, int *column)
{
    const int start_row = *row, start_column = *column;
    for (int step = 0; step < p->n; step++) {
        *row = start_row + step < p->n ? start_row + step : start_row + step - p->n;
        if (p->row_covered[*row])
            continue;
        *column = last_open_zero(p, *row, start_column);
        if (*column >= 0)
            return 1;
    }
    return 0;
}

/* munkres step 5: from a prime without a star in its row, alternate star in its column, prime in that star's row;
 * primes become stars, stars go. */
static void flip_path(Problem *p, int row, int column)
{
    for (;;) {
        const int starred_row = p->star_of_column[column];
        star(p, row, column);
        if (starred_row < 0)
            return;
        row = starred_row;
        column = p->prime_of_row[row];
    }
}

static int column_is_open(const Problem *p, int column)
{
    return (p->open[column / 64] & column_bit(column)) != 0;
}

static double least_open_cost(const Problem *p)
{
    double least = INFINITY;
    for (int row = 0; row < p->n; row++) {
        if (p->row_covered[row])
            continue;
        const double *cost = p->cost + (size_t)row * p->n;
        for (int column = 0; column < p->n; column++)
            if (column_is_open(p, column) && cost[column] < least)
                least = cost[column];
    }
    return least;
}

/* munkres step 6. Covered row: plus; open column: minus; where both hold, x + v - v need not be x. */
static void shift_costs(Problem *p, double v)
{
    for (int row = 0; row < p->n; row++) {
        double *cost = p->cost + (size_t)row * p->n;
        for (int column = 0; column < p->n; column++) {
            double value = cost[column];
            if (p->row_covered[row])
                value += v;
            if (column_is_open(p, column))
                value -= v;
            cost[column] = value;
        }
        note_zeros(p, row);
    }
}

/* munkres steps 4 to 6 until one more star is found. */
static void augment(Problem *p)
{
    int row = 0, column = 0;
    for (;;) {
        if (!find_open_zero(p, &row, &column)) {
            shift_costs(p, least_open_cost(p));
            row = column = 0;
            continue;
        }
        p->prime_of_row[row] = column;
        if (p->star_of_row[row] < 0) {
            flip_path(p, row, column);
            return;
        }
        column = p->star_of_row[row];
        p->row_covered[row] = 1;
        p->open[column / 64] |= column_bit(column);
    }
}

static int make(Problem *p, int n)
{
    const size_t size = (size_t)n, words = (size_t)(n + 63) / 64;
    char *memory = malloc(size * size * sizeof(double) + (size + 1) * words * sizeof(uint64_t)
                          + 3 * size * sizeof(int32_t) + size);
    if (!memory)
        return -1;
    p->n = n;
    p->words = (int)words;
    p->cost = (double *)memory;
    p->zero = (uint64_t *)(p->cost + size * size);
    p->open = p->zero + size * words;
    p->star_of_row = (int32_t *)(p->open + words);
    p->star_of_column = p->star_of_row + size;
    p->prime_of_row = p->star_of_column + size;
    p->row_covered = (unsigned char *)(p->prime_of_row + size);
    memset(p->star_of_row, 0xff, 2 * size * sizeof(int32_t));
    return 0;
}

/* cost: rows x columns, finite, rows <= columns. column_of_row[i] is the column that row i is paired with. */
int hae_assign(const double *cost, int rows, int columns, int32_t *column_of_row)
{
    Problem problem, *p = &problem;
    if (make(p, columns))
        return -1;
    const size_t given = (size_t)rows * columns;
    memcpy(p->cost, cost, given * sizeof(double));
    memset(p->cost + given, 0, ((size_t)columns * columns - given) * sizeof(double));
    subtract_row_minima(p);
    star_first_zeros(p);
    while (cover_starred_columns(p) < columns)
        augment(p);
    memcpy(column_of_row, p->star_of_row, (size_t)rows * sizeof(int32_t));
    free(p->cost);
    return 0;
}
