/* Step 5's assignment: minimum-cost pairing by Kuhn-Munkres (Munkres 1957).
 *
 * Where costs tie, as rounded tag distances mostly do, many pairings are equally cheap, and people depend on which
 * one is returned. This one returns what the Python package munkres 1.1.4 returns: same starting stars, same order
 * of search, same float64 operations in the same order (costs of 1e10 absorb low digits, and a zero is an exact 0).
 *
 * The zeros of a row are kept as a bit mask, so that the search for an uncovered zero, where the time goes, looks
 * at 64 columns at once.
 */
#include "steps.h"

#include <math.h>
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

/* A row's costs stand in a line. Each given row has its own, of the same number. The rows that are missing, which start
 * as zeros, share one as long as the same happens to them; mostly that is for ever, and they are most rows. */
typedef struct {
    int n, rows, lines, words; /* n x n; rows that are given; words of n bits */
    double *cost;              /* lines x n */
    uint64_t *zero;            /* lines x words: the columns where the line's cost is exactly 0 */
    uint64_t *open;            /* words: the columns that are not covered */
    double *decrease;          /* n: shift_costs' scratch */
    int32_t *line_of_row;      /* n */
    int32_t *twin_of_line;     /* n: share_no_more's scratch */
    int32_t *star_of_row, *star_of_column, *prime_of_row; /* n each; -1: none */
    unsigned char *row_covered, *line_covered;            /* n each */
} Problem;

static uint64_t column_bit(int column)
{
    return (uint64_t)1 << (column % 64);
}

static double *cost_of_line(const Problem *p, int line)
{
    return p->cost + (size_t)line * p->n;
}

static uint64_t *zeros_of_line(const Problem *p, int line)
{
    return p->zero + (size_t)line * p->words;
}

static const uint64_t *zeros_of_row(const Problem *p, int row)
{
    return zeros_of_line(p, p->line_of_row[row]);
}

/* One bit a column, the last column first. All bits of a zero are 0 but its sign's; so told, each takes few
 * instructions. */
static uint64_t zeros_among(const double *cost, int count)
{
    uint64_t zeros = 0, number;
    for (int column = count - 1; column >= 0; column--) {
        memcpy(&number, cost + column, sizeof number);
        zeros = zeros + zeros + (number + number < 1);
    }
    return zeros;
}

static void note_zeros(Problem *p, int line)
{
    const double *cost = cost_of_line(p, line);
    uint64_t *zero = zeros_of_line(p, line);
    for (int word = 0; word < p->words; word++) {
        const int first = word * 64, last = first + 64 < p->n ? first + 64 : p->n;
        zero[word] = zeros_among(cost + first, last - first);
    }
}

/* In lanes that do not wait for each other. */
static double least_of(const double *cost, int count)
{
    enum { LANES = 8 };
    double least[LANES], all = cost[0];
    int column = 0;
    if (count >= LANES) {
        memcpy(least, cost, sizeof least);
        for (column = LANES; column + LANES <= count; column += LANES)
            for (int lane = 0; lane < LANES; lane++)
                least[lane] = cost[column + lane] < least[lane] ? cost[column + lane] : least[lane];
        for (int lane = 0; lane < LANES; lane++)
            all = least[lane] < all ? least[lane] : all;
    }
    for (; column < count; column++)
        all = cost[column] < all ? cost[column] : all;
    return all;
}

/* munkres step 1; where all is zero, nothing is to be subtracted. */
static void subtract_row_minima(Problem *p)
{
    for (int row = 0; row < p->rows; row++) {
        double *cost = cost_of_line(p, row);
        const double least = least_of(cost, p->n);
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
        const uint64_t *zero = zeros_of_row(p, row);
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
    const uint64_t *zero = zeros_of_row(p, row);
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

static double least_open_cost(const Problem *p)
{
    double least = INFINITY;
    for (int row = 0; row < p->n; row++) {
        if (p->row_covered[row])
            continue;
        const double *cost = cost_of_line(p, p->line_of_row[row]);
        for (int word = 0; word < p->words; word++)
            for (uint64_t bits = p->open[word]; bits; bits &= bits - 1) {
                const double value = cost[word * 64 + lowest_bit(bits)];
                least = value < least ? value : least;
            }
    }
    return least;
}

static int copy_line(Problem *p, int line)
{
    const int copy = p->lines++;
    memcpy(cost_of_line(p, copy), cost_of_line(p, line), (size_t)p->n * sizeof(double));
    return copy;
}

/* Where a shared line's rows are covered in part, the part that is unlike the first of them gets a line of its own.
 * Each line has a row, so there are no more than n. */
static void share_no_more(Problem *p)
{
    enum { UNSEEN = 2 };
    const int lines = p->lines;
    memcpy(p->line_covered, p->row_covered, (size_t)p->rows);
    memset(p->line_covered + p->rows, UNSEEN, (size_t)(lines - p->rows));
    memset(p->twin_of_line, 0xff, (size_t)lines * sizeof(int32_t));
    for (int row = p->rows; row < p->n; row++) {
        const int line = p->line_of_row[row];
        if (p->line_covered[line] == UNSEEN)
            p->line_covered[line] = p->row_covered[row];
        if (p->line_covered[line] == p->row_covered[row])
            continue;
        if (p->twin_of_line[line] < 0) {
            p->twin_of_line[line] = copy_line(p, line);
            p->line_covered[p->twin_of_line[line]] = p->row_covered[row];
        }
        p->line_of_row[row] = p->twin_of_line[line];
    }
}

/* munkres step 6. Covered row: plus; open column: minus; where both hold, x + v - v need not be x. Elsewhere the 0 that
 * is added or subtracted changes nothing but a zero's sign, which nothing depends on. */
static void shift_costs(Problem *p, double v)
{
    share_no_more(p);
    for (int column = 0; column < p->n; column++)
        p->decrease[column] = p->open[column / 64] & column_bit(column) ? v : 0.0;
    for (int line = 0; line < p->lines; line++) {
        double *cost = cost_of_line(p, line);
        const double increase = p->line_covered[line] ? v : 0.0;
        for (int column = 0; column < p->n; column++)
            cost[column] = (cost[column] + increase) - p->decrease[column];
        note_zeros(p, line);
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

/* The lines of doubles, the lines of bits, the rest: each size is a multiple of what follows it. */
size_t hae_assign_bytes(int columns)
{
    const size_t n = (size_t)columns, words = (n + 63) / 64;
    return (n + 1) * n * sizeof(double) + (n + 1) * words * sizeof(uint64_t) + 5 * n * sizeof(int32_t) + 2 * n;
}

static void place(Problem *p, void *memory, int rows, int n)
{
    const size_t size = (size_t)n;
    p->n = n;
    p->rows = rows;
    p->words = (n + 63) / 64;
    p->cost = memory;
    p->decrease = p->cost + size * size;
    p->zero = (uint64_t *)(p->decrease + size);
    p->open = p->zero + size * p->words;
    p->line_of_row = (int32_t *)(p->open + p->words);
    p->twin_of_line = p->line_of_row + size;
    p->star_of_row = p->twin_of_line + size;
    p->star_of_column = p->star_of_row + size;
    p->prime_of_row = p->star_of_column + size;
    p->row_covered = (unsigned char *)(p->prime_of_row + size);
    p->line_covered = p->row_covered + size;
}

static void begin(Problem *p)
{
    memset(p->star_of_row, 0xff, 2 * (size_t)p->n * sizeof(int32_t));
    for (int row = 0; row < p->n; row++)
        p->line_of_row[row] = row < p->rows ? row : p->rows;
    p->lines = p->rows;
    if (p->rows < p->n) {
        memset(cost_of_line(p, p->lines), 0, (size_t)p->n * sizeof(double));
        note_zeros(p, p->lines++);
    }
}

/* memory: hae_assign_bytes(columns), and at its start the cost, rows x columns, finite, rows <= columns. It is written
 * over. column_of_row[i] is the column that row i is paired with. */
void hae_assign(void *memory, int rows, int columns, int32_t *column_of_row)
{
    Problem problem, *p = &problem;
    place(p, memory, rows, columns);
    begin(p);
    subtract_row_minima(p);
    star_first_zeros(p);
    while (cover_starred_columns(p) < columns)
        augment(p);
    memcpy(column_of_row, p->star_of_row, (size_t)rows * sizeof(int32_t));
}
