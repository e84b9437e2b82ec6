/* Shortest decimals by fixed-point arithmetic (the free-format algorithm of Steele and White, where 64 bits do).
 *
 * The whole part is printed as it is; the fraction, in units of 2^-60, gives one decimal after the other until what is
 * left is less than half the distance to the neighbouring float64: every decimal number in there reads back as the
 * value. Multiplying by ten loses nothing, so the digits are exact. The whole part is never rounded: an integer in that
 * range would be a float64 other than the value. */
#include "print_number.h"

#include <stdint.h>
#include <string.h>

#define ONE ((uint64_t)1 << 60)

static char *print_whole(uint64_t whole, char *out)
{
    char reversed[20];
    int count = 0;
    do
        reversed[count++] = (char)('0' + whole % 10);
    while (whole /= 10);
    while (count)
        *out++ = reversed[--count];
    return out;
}

/* below, above: how far away, in units of 2^-60, a number may be and still read back as the value. */
static char *print_fraction(uint64_t fraction, uint64_t below, uint64_t above, char *out)
{
    int low, high, odd;
    do {
        fraction *= 10;
        below *= 10;
        above *= 10;
        *out++ = (char)('0' + (fraction >> 60));
        odd = (int)(fraction >> 60) & 1;
        fraction &= ONE - 1;
        low = fraction < below;         /* these digits will do */
        high = fraction + above > ONE;  /* so will these with one more in the last place */
    } while (!low && !high);
    if (high && (!low || fraction > ONE / 2 || (fraction == ONE / 2 && odd))) {
        while (out[-1] == '9')
            out--;
        out[-1]++;
    }
    return out;
}

int hae_print_number(double value, char out[HAE_LONGEST_NUMBER])
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    int exponent = (int)(bits >> 52 & 0x7ff) - 1023;
    uint64_t mantissa = bits & (((uint64_t)1 << 52) - 1);
    int is_zero = bits << 1 == 0;
    if (!is_zero && (exponent < -6 || exponent > 52))
        return 0;

    char *end = out;
    if (bits >> 63)
        *end++ = '-';
    /* value = digits / 2^shift, 0 <= shift <= 58 */
    uint64_t digits = is_zero ? 0 : mantissa | (uint64_t)1 << 52;
    int shift = is_zero ? 0 : 52 - exponent;
    uint64_t fraction = (digits & (((uint64_t)1 << shift) - 1)) << (60 - shift);
    uint64_t quarter = ONE >> shift >> 2; /* of the distance to the next float64; the one below a power of 2 is nearer */
    end = print_whole(digits >> shift, end);
    *end++ = '.';
    if (fraction)
        end = print_fraction(fraction, mantissa ? 2 * quarter : quarter, 2 * quarter, end);
    else
        *end++ = '0';
    return (int)(end - out);
}
