/* Numbers as JSON text. Plain C99, no Python. */
#ifndef HRNETAE_PRINT_NUMBER_H
#define HRNETAE_PRINT_NUMBER_H

enum { HAE_LONGEST_NUMBER = 40 };

/* Writes a number as Python's repr does: the shortest decimal that reads back as the same float64, and of these the
 * closest. -> its length, or 0 for a number that is not done here: |value| below 1/64 but not 0, from 2^53 on, or not
 * finite. */
int hae_print_number(double value, char out[HAE_LONGEST_NUMBER]);

#endif
